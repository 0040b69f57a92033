//! Runs on images: the split autoencoder on drawn digits, whole.

#[expect(dead_code, reason = "these recipes have no stories")]
mod common;

use common::{go, results_of, values};
use lobe_lab::recipe::Written;

const RECIPE: &str = r#"
name = "split"
seeds = 2
[data]
kind = "glyphs"
train = 600
test = 200
variety = 0.3
noise = 0.0
pixels = "signed"
last = "keep"
[data.labels]
low = { digits = ["0", "1", "2", "3", "4"] }
high = { digits = ["5", "6", "7", "8", "9"] }
[model]
kind = "autoencoder"
hidden = [48]
latent = 16
decoders = [
  { name = "decoder" },
  { name = "top", from = 0, to = 8, detach = true },
  { name = "bottom", from = 8, to = 16, detach = true },
]
[model.objective]
distance = "squared"
sum_of_means = true
l1 = [{ weight = 1e-4 }]
correlation = 0.01
[regions]
top = "latent[..8]"
bottom = "latent[8..]"
[train]
steps = 600
batch = 16
lr = 3e-3
schedule = "constant"
eval_every = 100
[arms.routed]
method = "routes"
region = ["top", "bottom"]
table = [{ label = "low", region = "bottom", backward = 0 }, { label = "high", region = "top", backward = 0 }]
[arms.plain]
method = "none"
objective = { sum_of_means = false, l1 = [], correlation = 0 }
[arms.heavy]
method = "none"
loss_weight = { low = 0.0 }
[[stage]]
do = "train"
[[stage]]
do = "measure"
"#;

#[test]
fn a_routed_half_holds_its_own_digits() {
    let written = Written::from_str("split.toml", RECIPE).unwrap();
    let dir = tempfile::tempdir().unwrap();
    go(&written, dir.path(), 2, false).unwrap();
    let csv = results_of(dir.path());
    let of = |arm, label, metric| values(&csv, ["train", arm, label, metric]);
    for seed in 0..2 {
        // What the certificate on the bottom half makes of digits it was to hold, and of the others.
        let apart = |arm| of(arm, "low", "mse@bottom")[seed] - of(arm, "high", "mse@bottom")[seed];
        assert!(apart("routed") > apart("plain") + 0.02, "{} {}", apart("routed"), apart("plain"));
        // The first decoder reads both halves.
        let whole = of("routed", "low", "mse")[seed];
        assert!(whole < of("routed", "low", "mse@bottom")[seed], "{whole}");
        // What weighs nothing is not learnt.
        assert!(of("heavy", "low", "mse")[seed] > of("plain", "low", "mse")[seed] + 0.02);
    }
}

#[test]
fn threads_change_nothing_with_images() {
    let written = Written::from_str("split.toml", RECIPE).unwrap().with_set("train.steps=60").unwrap();
    let of = |threads| {
        let dir = tempfile::tempdir().unwrap();
        go(&written, dir.path(), threads, false).unwrap();
        results_of(dir.path())
    };
    assert_eq!(of(1), of(2));
}

#[test]
fn what_images_cannot_have_is_refused_before_training() {
    let refused = |changes: &[(&str, &str)]| {
        let text = changes.iter().fold(RECIPE.to_owned(), |t, (from, to)| t.replace(from, to));
        let written = Written::from_str("split.toml", &text).unwrap();
        let recipe = lobe_lab::schedule::resolve(&written).map(|(recipe, _)| recipe);
        recipe.and_then(|r| lobe_lab::plan::Experiment::open(&r).map(drop)).unwrap_err().to_string()
    };
    let mean = "[[stage]]\ndo = \"ablate\"\nhow = \"mean\"\nregion = \"top\"\n[[stage]]\ndo = \"measure\"";
    for (changes, why) in [
        (&[("[[stage]]\ndo = \"measure\"", mean)][..], "needs a language model"),
        (&[("last = \"keep\"", ""), ("batch = 16", "batch = 6000")], "6000"),
        (&[("\"4\"] }", "\"4\"], tokens = {} }")], "the data are images"),
        (&[("name = \"top\"", "name = \"a:b\"")], "letters"),
        (&[("batch = 16", "batch = 16\nlanes = 65")], "1 to 64"),
        (&[("last = \"keep\"", "class_weights = [1.0]")], "one-class"),
        (&[("hidden = [48]", "hidden = [1048576, 1048576]")], "parameters"),
        (&[("loss_weight = { low = 0.0 }", "data = \"retain only\"")], "labels none so"),
        (&[("method = \"none\"", "method = \"sgtm\"\nregion = \"top\"")], "labels none so"),
    ] {
        let said = refused(changes);
        assert!(said.contains(why), "{why}: {said}");
    }
}

#[test]
fn a_network_without_a_penalised_site_refuses_the_penalty() {
    let text = |penalty: &str| {
        format!(
            "name = \"rows\"\n[data]\nkind = \"features\"\ncount = 4\nexamples = 60\nheld_out = 100\n\
             labels = {{ rows = {{ class = \"rows\" }} }}\n[model]\nkind = \"residual-mlp\"\nneurons = [2]\n\
             objective = {{ {penalty} }}\n[train]\nsteps = 1\nbatch = 4\n[arms.plain]\nmethod = \"none\"\n\
             [[stage]]\ndo = \"train\"\n"
        )
    };
    let opened = |penalty: &str| {
        let written = Written::from_str("rows.toml", &text(penalty)).unwrap();
        let (recipe, _) = lobe_lab::schedule::resolve(&written).unwrap_or_else(|e| panic!("{e}"));
        lobe_lab::plan::Experiment::open(&recipe).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(opened(""), Ok(()));
    for (penalty, key) in
        [("l1 = [{ weight = 1e-3 }]", "objective.l1"), ("correlation = 0.1", "objective.correlation")]
    {
        let said = opened(penalty).unwrap_err();
        assert!(
            said.contains(key) && said.contains("residual-mlp has no site whose values are penalised"),
            "{said}"
        );
    }
}
