//! Stages that change a model: weights that are found, deleted for good, adapters that are fitted and cut, and
//! cycles that go on where a process was stopped.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{go, results_of, small, values};
use lobe_lab::LabError;
use lobe_lab::graph::{Options, Progress};
use lobe_lab::recipe::Written;
use lobe_lab::schedule::{resolve, run};
use lobe_nets::Model;

const TRAIN: &str = r#"
[train]
steps = 6
batch = 8
eval_every = 6
log_every = 6
[arms.base]
method = "none"
[[stage]]
do = "train"
"#;

fn recipe(stages: &str) -> Written {
    let text = small("").replace("seeds = 2", "seeds = 1") + TRAIN + stages;
    Written::from_str("changes.toml", &text).unwrap()
}

fn model(dir: &Path, stage: &str) -> Model {
    Model::load(&dir.join(format!("stages/{stage}/base.0/model.safetensors"))).unwrap().0
}

fn refused(stages: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let written = recipe(stages);
    let resolved = resolve(&written).and_then(|(r, _)| lobe_lab::plan::Experiment::open(&r).map(drop));
    drop(dir);
    resolved.unwrap_err().to_string()
}

#[test]
fn weights_that_were_found_and_deleted_stay_deleted() {
    let stages = r#"
[[stage]]
do = "locate"
on = "forget"
within = "blocks.*.mlp.out.weight"
count = 5
found = "spikes"
[[stage]]
do = "treat"
weights = "spikes"
still = true
[[stage]]
do = "cohere"
steps = 4
[[stage]]
do = "measure"
probes = false
"#;
    let dir = tempfile::tempdir().unwrap();
    go(&recipe(stages), dir.path(), 2, false).unwrap();
    let [whole, found, cut, after] = ["train", "locate", "treat", "cohere"].map(|s| model(dir.path(), s));
    assert_eq!(whole.params[..], found.params[..], "locating changes nothing");
    let spikes = &found.found["spikes"];
    assert_eq!(spikes.count(), 5);
    assert!(spikes.tensors().all(|p| found.layout().get(p).name.ends_with("mlp.out.weight")));
    assert_eq!((&cut.still, &after.still), (spikes, spikes));
    let (mut deleted, mut moved) = (0, 0);
    for (i, ((before, zero), after)) in
        whole.params.iter().zip(cut.params.iter()).zip(after.params.iter()).enumerate()
    {
        let mut mine = false;
        spikes.for_ranges(whole.layout(), |_, r| mine |= r.contains(&i));
        if mine {
            assert_eq!((*zero, *after), (0.0, 0.0), "parameter {i}");
            deleted += 1;
        } else {
            assert_eq!(before, zero);
            moved += usize::from(zero != after);
        }
    }
    assert!(deleted == 5 && moved > 1000, "{deleted} {moved}");
    let table = std::fs::read_to_string(dir.path().join("stages/locate/base.0/found.csv")).unwrap();
    let scores: Vec<f32> =
        table.lines().skip(1).map(|l| l.rsplit(',').next().unwrap().parse().unwrap()).collect();
    assert!(scores.len() == 5 && scores.is_sorted_by(|a, b| a >= b), "{table}");
    let csv = results_of(dir.path());
    assert_eq!(values(&csv, ["treat", "base", "all", "treated_weights"]), [5.0]);
    let share = values(&csv, ["locate", "base", "all", "located_share"]);
    assert!(share[0] > 0.0 && share[0] < 1.0, "{share:?}");
    // Every model has its numbers; the deleted weights made a difference.
    let loss = |stage: &str| values(&csv, [stage, "base", "forget", "loss"])[0];
    assert_eq!(loss("train"), loss("locate"));
    assert_ne!(loss("treat"), loss("locate"));
}

#[test]
fn an_adapter_is_fitted_alone_and_its_units_can_be_cut() {
    let stages = r#"
[[stage]]
do = "fit"
adapters = [{ kind = "low-rank", rank = 2, on = "blocks.*.mlp.in.weight" }, { kind = "add", at = "blocks.1.resid_post" }]
on = "retain"
steps = 4
lr = 0.05
[[stage]]
do = "ablate"
region = "lora"
[[stage]]
do = "measure"
probes = false
[[stage]]
do = "relearn"
steps = 2
learning_rates = [1e-3]
starts = ["as-is"]
"#;
    let text = small("").replace("seeds = 2", "seeds = 1")
        + "lora = \"blocks.*.mlp.in.lora\"\n"
        + TRAIN
        + &stages.replace("starts = [\"as-is\"]\n", "").replace("learning_rates = [1e-3]\n", "");
    let dir = tempfile::tempdir().unwrap();
    go(&Written::from_str("fit.toml", &text).unwrap(), dir.path(), 2, false).unwrap();
    let [whole, fitted, cut] = ["train", "fit", "ablate"].map(|s| model(dir.path(), s));
    let n = whole.params.len();
    assert_eq!(whole.params[..], fitted.params[..n], "the host stays");
    assert_eq!(fitted.net.adapters().len(), 2);
    // Two maps of 16 x 2 and 2 x 32, and a vector of 16.
    assert_eq!(fitted.params.len() - n, 2 * (16 * 2 + 2 * 32) + 16);
    assert!(fitted.params[n..].iter().any(|w| *w != 0.0));
    let lora = |m: &Model| {
        let names = ["blocks.0.mlp.in.lora.b", "blocks.1.mlp.in.lora.b"];
        let all = names.map(|name| m.layout().get(m.layout().find(name).unwrap()).span());
        all.into_iter().flatten().filter(|i| m.params[*i] != 0.0).count()
    };
    assert!(lora(&fitted) > 0);
    assert_eq!(lora(&cut), 0, "the cut took the maps");
    let csv = results_of(dir.path());
    assert_eq!(values(&csv, ["fit", "base", "all", "fitted_params"]), [(fitted.params.len() - n) as f64]);
    let loss = |stage: &str| values(&csv, [stage, "base", "retain", "loss"])[0];
    assert!(loss("fit") < loss("train"), "the adapters learnt: {} {}", loss("fit"), loss("train"));
    assert!(loss("ablate") != loss("fit") && loss("ablate") != loss("train"), "the vector is left");
    assert_eq!(values(&csv, ["relearn", "base", "all", "fitted_params"]), [] as [f64; 0]);
}

/// Sets a flag when the work says so.
struct StopAt<'a>(&'a str, &'a AtomicBool);

impl Progress for StopAt<'_> {
    fn stage(&self, _: &str, _: u64) {}
    fn advance(&self, _: f64, note: &str) {
        if note.contains(self.0) {
            self.1.store(true, Ordering::Relaxed);
        }
    }
    fn finish(&self, _: &str, _: usize, _: f64) {}
}

fn cycles(out: &Path, stop_at: &str) -> Result<(), LabError> {
    let stages = r#"
[[stage]]
do = "repeat"
times = 4
stages = [{ do = "treat", how = "noise", with = { size = 0.5 }, weights = "blocks.0.mlp.*.weight" }, { do = "cohere", steps = 2 }]
[[stage]]
do = "measure"
probes = false
"#;
    let written = recipe(stages);
    let (recipe, derived) = resolve(&written).unwrap();
    let stop = AtomicBool::new(false);
    let progress = StopAt(stop_at, &stop);
    let (command, build) = (String::new(), String::new());
    run(
        &written,
        &recipe,
        &derived,
        out,
        &Options { threads: 2, stop: &stop, progress: &progress, command, build },
    )
}

#[test]
fn cycles_go_on_where_a_process_was_stopped() {
    let (once, twice) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    cycles(once.path(), "never").unwrap();
    assert!(matches!(cycles(twice.path(), "cycle 2/4"), Err(LabError::Interrupted)));
    let kept = twice.path().join("stages/repeat/base.0/cycle.safetensors");
    assert!(kept.exists(), "what was done is kept");
    cycles(twice.path(), "never").unwrap();
    assert!(!kept.exists());
    assert_eq!(results_of(once.path()), results_of(twice.path()));
    assert_eq!(model(once.path(), "repeat").params[..], model(twice.path(), "repeat").params[..]);
    // Numbers of every cycle, and of what the stages of a cycle did; another cycle's noise is other noise.
    let csv = results_of(once.path());
    let of = |metric: &str| -> Vec<(u64, f64)> {
        let rows = csv.lines().filter(|l| l.starts_with("repeat,base,0,") && l.contains(metric));
        let cells = rows.map(|l| l.split(',').map(String::from).collect::<Vec<_>>());
        cells.filter(|f| !f[5].is_empty()).map(|f| (f[5].parse().unwrap(), f[6].parse().unwrap())).collect()
    };
    let steps: Vec<u64> = of(",treated_weights@treat,").iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [1, 2, 3, 4]);
    let losses = of("forget,loss,");
    assert!(losses.len() == 4 && losses.windows(2).all(|w| w[0].1 != w[1].1), "{losses:?}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_runs() {
    for (stage, why) in [
        ("do = \"treat\"\nweights = \"blocks.0.mlp.out.wait\"", "no tensor matches"),
        ("do = \"treat\"\nweights = \"spikes\"", "no tensor matches \"spikes\""),
        ("do = \"treat\"\nweights = \"blocks.0\"\nhow = \"zeros\"", "did you mean \"zero\""),
        ("do = \"treat\"\nweights = \"head.weight\"\nhow = \"scale\"\nwith = { by = 1 }", "changes nothing"),
        ("do = \"treat\"\nweights = \"head.weight[0\"", "weights"),
        ("do = \"locate\"\non = \"forgot\"", "did you mean \"forget\""),
        ("do = \"locate\"\nfound = \"a b\"", "is not a word"),
        ("do = \"locate\"\nby = \"magnitude\"\nagainst = \"retain\"", "looks at no data"),
        ("do = \"locate\"\nwithin = \"blocks.7.mlp.out.weight\"", "no tensor matches"),
        ("do = \"fit\"", "fit needs at least one"),
        ("do = \"fit\"\nadapters = [{ kind = \"lowrank\" }]", "is no adapter"),
        ("do = \"fit\"\nadapters = [{ kind = \"low-rank\", rank = 0 }]", "rank"),
        ("do = \"fit\"\nadapters = [{ kind = \"add\", at = \"blocks.9.resid_post\" }]", "at"),
        ("do = \"repeat\"", "a cycle has at least one stage"),
        ("do = \"repeat\"\nstages = [{ do = \"measure\" }]", "cannot be repeated"),
        (
            "do = \"repeat\"\nstages = [{ do = \"fit\", adapters = [{ kind = \"low-rank\" }] }]",
            "would add adapters",
        ),
        ("do = \"repeat\"\nstages = [{ do = \"treat\", weights = \"no.such\" }]", "no tensor matches"),
        ("do = \"repeat\"\nstages = [{ weights = \"head.weight\" }]", "says what the stage does"),
    ] {
        let error = refused(&format!("[[stage]]\n{stage}\n"));
        assert!(error.contains(why), "{stage}: {error:?} lacks {why:?}");
    }
}

#[test]
fn a_model_says_what_was_cut_out_of_it() {
    let cut = "[[stage]]\ndo = \"ablate\"\nregion = \"module\"\nhow = \"HOW\"\n";
    let stages = format!("{}{cut}[[stage]]\ndo = \"cohere\"\nsteps = 2\n", cut.replace("HOW", "zero"));
    let dir = tempfile::tempdir().unwrap();
    go(&recipe(&stages.replace("HOW", "reinit")), dir.path(), 2, false).unwrap();
    let hows = |stage: &str| {
        let model = model(dir.path(), stage);
        let last = |cut: &lobe_nets::Cut| cut.region.sites().all(|(_, units)| units.iter().eq([&(24..32)]));
        assert!(model.cuts.iter().all(|cut| last(cut) && cut.region.sites().count() == 2));
        model.cuts.iter().map(|cut| cut.how.clone()).collect::<Vec<_>>()
    };
    assert_eq!(hows("train"), [""; 0]);
    assert_eq!(hows("ablate"), ["zero"]);
    assert_eq!(hows("ablate-2"), ["zero", "reinit"]);
    assert_eq!(hows("cohere"), ["zero", "reinit"]);
}
