//! A synthetic run directory. Every number is the value of a function below: nothing was trained.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use lobe_report::RunData;
use lobe_report::judge::{Role, judge};
use serde_json::{Value, json};

pub(crate) const ARMS: [&str; 5] = ["baseline", "filter", "routing", "sgtm", "oracle"];

/// The run that `write` puts into a folder.
pub(crate) fn loaded(write: impl FnOnce(&Path)) -> RunData {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    RunData::load(dir.path()).unwrap()
}

/// The whole judgement of the arms that are judged.
pub(crate) fn words(run: &RunData) -> String {
    let j = judge(run);
    let arms = j.arms.iter().filter(|a| a.role == Role::Judged);
    let arms = arms.map(|a| {
        format!("{} {}: {}\n  {}\n", a.word.symbol(), a.arm, a.word.text(), a.sentences.join("\n  "))
    });
    let lines = |list: &[String]| list.iter().flat_map(|s| [s.as_str(), "\n"]).collect::<String>();
    lines(&j.overview)
        + &arms.collect::<String>()
        + &j.scale.as_ref().map_or_else(String::new, |s| format!("{s}\n"))
        + &j.caveats.join("\n")
}

/// The page without its own files and without the links to its own parts, each of which was checked.
pub(crate) fn without_files(page: &str) -> String {
    let mut parts = page.split("href=\"");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (href, rest) = part.split_once('"').unwrap();
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "+/=-".contains(c));
        let file =
            ["data:image/svg+xml;base64,", "data:text/csv;base64,"].iter().find_map(|k| href.strip_prefix(k));
        if file.or(href.strip_prefix('#')).is_some_and(plain) {
            out.push_str(rest);
        } else {
            out.push_str(&format!("href=\"{href}\"{rest}"));
        }
    }
    out
}

/// A number in (−1, 1) that looks random and never changes.
fn noise(parts: &[u64]) -> f64 {
    let mut key = lobe_core::Key::root(11);
    for p in parts {
        key = key.index(*p);
    }
    key.uniform() * 2.0 - 1.0
}

struct ArmModel {
    before: f64,
    after: f64,
    retain: f64,
    /// Steps until half of the gap is relearned.
    half: f64,
}

fn model(arm: usize, seed: u64) -> ArmModel {
    let jitter = |k: u64, size: f64| size * noise(&[arm as u64, seed, k]);
    let (before, after, retain, half) = [
        (1.30, 1.30, 1.205, 1.0),
        (2.45, 2.45, 1.214, 60.0),
        (1.62, 3.10, 1.262, 45.0),
        (1.34, 3.72, 1.231, 150.0),
        (3.90, 3.90, 1.201, 170.0),
    ][arm];
    let cut = if before == after { 0.0 } else { jitter(2, 0.1) };
    let base = before + jitter(1, 0.04);
    ArmModel {
        before: base,
        after: base + (after - before) + cut,
        retain: retain + jitter(3, 0.006),
        half: half * (1.0 + jitter(4, 0.12)),
    }
}

fn manifest(seeds: u64) -> Value {
    let arm = |name: &str, method: &str, region: Option<&str>, note: &str| json!({"name": name, "method": method, "region": region, "note": note, "control": name == "oracle"});
    json!({
        "name": "synthetic quickstart", "state": "done",
        "recipe_hash": "8c1f0d5b2a7e4c63", "build": "0.1.0 (synthetic)",
        "command": "lobe run recipes/quickstart.toml --scale 0.1",
        "seeds": (0..seeds).collect::<Vec<_>>(),
        "arms": [
            arm("baseline", "none", None, "trains on everything"),
            arm("filter", "filter", None, "drops what is labelled forget"),
            arm("routing", "gradient-routing", Some("spanish"), "routes labelled data into the region"),
            arm("sgtm", "sgtm", Some("spanish"), "masks parameters and activations"),
            arm("oracle", "none", None, "never saw the forget data"),
        ],
        "labels": ["forget", "retain", "unlabelled"],
        "stages": [{"name": "train", "do": "train", "seconds": 61.2}, {"name": "ablate", "do": "ablate", "seconds": 1.4},
                   {"name": "relearn", "do": "relearn", "seconds": 40.0}, {"name": "measure", "do": "measure", "seconds": 2.0}],
        "reference": {"baseline": "baseline", "control": "oracle", "filter": "filter"},
        "derived": [{"key": "train.steps", "value": "1500", "rule": "scale × 15000"}, {"key": "train.warmup", "value": 75, "rule": "5 % of steps"}],
        "notes": ["every number of this run is synthetic"]
    })
}

/// Writes a finished run of five arms and `seeds` seeds.
pub(crate) fn bilingual(dir: &Path, seeds: u64) {
    let mut csv = String::from("stage,arm,seed,label,metric,step,value,unit\n");
    let mut timings = String::from("stage,arm,seed,seconds,rate,unit\n");
    let mut activity = Vec::new();
    for (a, arm) in ARMS.iter().enumerate() {
        for seed in 0..seeds {
            let m = model(a, seed);
            let mut row =
                |stage: &str, label: &str, metric: &str, step: Option<u64>, value: f64, unit: &str| {
                    let step = step.map_or_else(String::new, |s| s.to_string());
                    writeln!(csv, "{stage},{arm},{seed},{label},{metric},{step},{value},{unit}").unwrap();
                };
            for step in (10..=1500).step_by(10) {
                let loss = 1.2
                    + 0.02 * a as f64
                    + 5.5 * (-(step as f64) / 130.0).exp()
                    + 0.9 * (-(step as f64) / 600.0).exp();
                row(
                    "train",
                    "all",
                    "train_loss",
                    Some(step),
                    loss + 0.05 * noise(&[a as u64, seed, 9, step]),
                    "nat",
                );
            }
            for (label, loss) in
                [("forget", m.before), ("retain", m.retain - 0.004), ("unlabelled", m.retain + 0.03)]
            {
                row("train", label, "loss", Some(1500), loss, "nat");
                row("train", label, "accuracy", Some(1500), (-loss).exp() * 1.9, "fraction");
            }
            if (2..=3).contains(&a) {
                for (label, loss) in
                    [("forget", m.after), ("retain", m.retain), ("unlabelled", m.retain + 0.05)]
                {
                    row("ablate", label, "loss", None, loss, "nat");
                    row("ablate", label, "accuracy", None, (-loss).exp() * 1.9, "fraction");
                }
                let (low, high) = (model(0, seed).before, model(4, seed).before);
                row("ablate", "forget", "gap_closed", None, (m.after - low) / (high - low), "fraction");
                row("ablate", "all", "region_units", None, 132.0, "count");
                row("ablate", "all", "region_params", None, 35_072.0, "count");
            }
            let base = model(0, seed).before;
            let mut reached = None;
            for step in (0..=500).step_by(20) {
                let floor = 1.12;
                let loss = floor + (m.after - floor) / (1.0 + (step as f64 / m.half).powf(1.6) * 3.0);
                row("relearn", "forget", "relearn_loss", Some(step), loss, "nat");
                row(
                    "relearn",
                    "forget",
                    "relearn_loss@zero,lr=0.001".replace(',', ";").as_str(),
                    Some(step),
                    loss + 0.05,
                    "nat",
                );
                if loss <= base && reached.is_none() {
                    reached = Some(step);
                }
            }
            row("relearn", "forget", "steps_budget", None, 500.0, "steps");
            row("relearn", "forget", "steps_target", None, base, "nat");
            if let Some(steps) = reached {
                row("relearn", "forget", "steps_to_baseline", None, steps as f64, "steps");
            }
            writeln!(
                timings,
                "train,{arm},{seed},{},{},token/s",
                11.0 + a as f64 + noise(&[seed, 5]),
                41_000.0 - 900.0 * a as f64
            )
            .unwrap();
            writeln!(timings, "relearn,{arm},{seed},{},,", 4.0 + noise(&[seed, 6])).unwrap();
            if (2..=3).contains(&a) {
                activity.extend((0..4).map(|layer| site(arm, a, seed, layer)));
            }
        }
    }
    fs::write(dir.join("manifest.json"), serde_json::to_string_pretty(&manifest(seeds)).unwrap()).unwrap();
    fs::write(dir.join("results.csv"), csv).unwrap();
    fs::write(dir.join("timings.csv"), timings).unwrap();
    fs::write(dir.join("activity.json"), serde_json::to_string(&json!({"regions": activity})).unwrap())
        .unwrap();
}

fn site(arm: &str, a: usize, seed: u64, layer: u64) -> Value {
    let units: Vec<u64> = (480..512).collect();
    let level = [0.62, 0.09, 0.16].map(|v| if a == 2 { v * 0.8 + 0.08 } else { v });
    let row = |label: usize| -> Vec<f64> {
        let value = |u: &u64| level[label] * (1.0 + 0.5 * noise(&[a as u64, seed, layer, *u, label as u64]));
        units.iter().map(value).collect()
    };
    json!({"arm": arm, "seed": seed, "region": "spanish", "stage": "train", "site": format!("blocks.{layer}.mlp.post"),
           "units": units, "labels": ["forget", "retain", "unlabelled"], "mean_abs": [row(0), row(1), row(2)]})
}

/// A run whose labels are image classes and which was never attacked.
pub(crate) fn digits(dir: &Path) {
    let arms = ["baseline", "routed"];
    let mut csv = String::from("stage,arm,seed,label,metric,step,value,unit\n");
    for (a, arm) in arms.iter().enumerate() {
        for seed in 0..3u64 {
            for (l, label) in ["low", "high"].iter().enumerate() {
                for metric in ["loss", "mse"] {
                    let v = 0.021
                        + 0.004 * l as f64
                        + 0.001 * noise(&[a as u64, seed, l as u64])
                        + if metric == "mse" { 0.01 } else { 0.0 };
                    writeln!(csv, "train,{arm},{seed},{label},{metric},400,{v},mae").unwrap();
                    if a == 1 {
                        let v = v + 0.09 * l as f64 + 0.002;
                        writeln!(csv, "ablate,{arm},{seed},{label},{metric},,{v},mae").unwrap();
                    }
                }
            }
        }
    }
    let manifest = json!({
        "name": "synthetic digits", "state": "done", "seeds": [0, 1, 2],
        "arms": [{"name": "baseline", "method": "none"}, {"name": "routed", "method": "gradient-routing", "region": "high"}],
        "labels": ["low", "high"], "stages": [{"name": "train", "do": "train"}, {"name": "ablate", "do": "ablate"}],
        "reference": {"baseline": "baseline", "control": null, "filter": null}
    });
    fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.join("results.csv"), csv).unwrap();
}

/// Many arms with long names and nearly equal numbers, attacked on steps spread over decades.
pub(crate) fn crowded(dir: &Path) {
    let names: Vec<String> = (0..16).map(|i| format!("gradient-routing-era-{i}")).collect();
    let mut csv = String::from("stage,arm,seed,label,metric,step,value,unit\n");
    for (a, arm) in names.iter().enumerate() {
        for seed in 0..2u64 {
            let near = |k: u64| 2.0 + 0.02 * noise(&[a as u64, seed, k]);
            for label in ["forget", "retain"] {
                let v = near(label.len() as u64);
                writeln!(csv, "train,{arm},{seed},{label},loss,,{v},nat").unwrap();
                writeln!(csv, "train,{arm},{seed},{label},accuracy,,{},fraction", v / 4.0).unwrap();
            }
            for step in [0u64, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] {
                let v = near(step) - 0.1 * (step as f64 + 1.0).ln();
                writeln!(csv, "relearn,{arm},{seed},forget,relearn_loss,{step},{v},nat").unwrap();
            }
        }
    }
    let arms: Vec<Value> =
        names.iter().map(|n| json!({"name": n, "method": "gradient-routing", "region": "r"})).collect();
    let manifest = json!({
        "name": "synthetic crowd of arms whose name is long enough to wrap on any screen there is",
        "state": "running", "seeds": [0, 1], "arms": arms, "labels": ["forget", "retain"],
        "stages": [{"name": "train", "do": "train"}, {"name": "relearn", "do": "relearn"}],
        "reference": {"baseline": names[0], "control": names[1], "filter": names[2]}
    });
    fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.join("results.csv"), csv).unwrap();
}

/// What the arms of [`matrix`] are: name, kind, start, how much of the gap survives removal, how
/// much more attacks recover, and what removal costs of the retain loss.
const MADE: [(&str, &str, Option<&str>, f64, f64, f64); 6] = [
    ("baseline", "training-time", None, 1.0, 0.0, 0.0),
    ("oracle", "control", None, 0.0, 0.30, 0.01),
    ("fresh", "control", None, -0.4, 0.34, 2.4),
    ("sgtm", "training-time", None, 0.06, 0.27, 0.02),
    ("rmu", "post-hoc", Some("baseline"), 0.12, 0.80, 0.03),
    ("ascent", "post-hoc", Some("baseline"), -0.9, 0.12, 0.9),
];

/// Names of attacks as long as real ones are.
const ATTACKS: &str = "relearn lora sparse-graft few-shot quantise steer relearn-unrelated layer-swap \
    orthogonalise norm-reset adversarial-prompt-optimisation embedding-search head-retrain probe \
    weight-noise pruning logit-bias distil-back";

/// Many arms under many attacks: `arms` from 6, `attacks` up to 18, rows as the lab writes them.
pub(crate) fn matrix(dir: &Path, arms: usize, attacks: usize, seeds: u64) {
    let made: Vec<(String, &str, Option<&str>, f64, f64, f64)> = (0..arms)
        .map(|i| {
            if let Some((n, k, f, a, b, c)) = MADE.get(i) {
                ((*n).to_owned(), *k, *f, *a, *b, *c)
            } else {
                let r = |k| 0.5 + 0.5 * noise(&[91, i as u64, k]);
                let post = i % 3 != 0;
                let names = [
                    "gradient-routing-era",
                    "circuit-breaker",
                    "latent-adversarial",
                    "undo",
                    "npo",
                    "modular-profile",
                ];
                let broken = if i % 7 == 0 { 0.4 } else { 0.03 * r(3) };
                let from = post.then_some(if i % 5 == 0 { "sgtm" } else { "baseline" });
                let kind = if post { "post-hoc" } else { "training-time" };
                (format!("{}-{i}", names[i % 6]), kind, from, 0.25 * r(1) - 0.05, 0.2 + 0.7 * r(2), broken)
            }
        })
        .collect();
    let mut csv = String::from("stage,arm,seed,label,metric,step,value,unit\n");
    let mut by_variant = String::from("stage,arm,seed,attack,start,settings,label,metric,step,value,unit\n");
    let mut timings = String::from("stage,arm,seed,seconds,rate,unit\n");
    for (a, (arm, kind, from, left, gain, cost)) in made.iter().enumerate() {
        for seed in 0..seeds {
            let n = |k: u64| noise(&[a as u64, seed, k]);
            let (low, high) = (1.3 + 0.03 * noise(&[seed, 1]), 3.9 + 0.05 * noise(&[seed, 2]));
            let loss = |recovery: f64| high - recovery * (high - low);
            let exact = matches!(arm.as_str(), "baseline" | "oracle");
            let start = loss(left + if exact { 0.0 } else { 0.03 * n(3) });
            let retain = 1.2 + cost + 0.006 * n(4);
            let stages: &[(&str, f64)] = match (*kind, from) {
                (_, Some(_)) => &[("unlearn", 0.0)],
                ("training-time", _) if arm != "baseline" => &[("train", -1.0), ("ablate", 0.0)],
                _ => &[("train", 0.0)],
            };
            for (stage, more) in stages {
                for (label, v) in
                    [("forget", start + more), ("retain", retain), ("adjacent", retain + 0.4 * cost + 0.3)]
                {
                    writeln!(csv, "{stage},{arm},{seed},{label},loss,,{v},nat").unwrap();
                }
                writeln!(timings, "{stage},{arm},{seed},{},,", 8.0 + n(5)).unwrap();
            }
            for (s, stage) in ATTACKS.split(' ').take(attacks).enumerate() {
                // One arm was not attacked everywhere.
                if a == arms - 1 && s % 4 == 1 {
                    continue;
                }
                let k = 100 + s as u64;
                let power = (0.25 + 0.75 * (0.5 + 0.5 * noise(&[7, k]))) * (1.0 + 0.12 * n(k));
                let back = if arm == "baseline" { 0.02 * power } else { gain * power };
                let single = matches!(stage, "quantise" | "probe" | "logit-bias");
                let steps: &[u64] = if single { &[0] } else { &[0, 1, 2, 5, 10, 20, 50, 100, 200, 400] };
                let variants: Vec<(String, f64, f64)> = if stage == "sparse-graft" {
                    [0u32, 4, 16, 64, 256, 1024, 4096]
                        .iter()
                        .map(|p| (format!("entries,k={p}"), f64::from(*p), (f64::from(*p) + 1.0).ln() / 8.5))
                        .collect()
                } else {
                    vec![("lr=0.001".into(), 4e5, 0.7), ("lr=0.01".into(), 4e5, 1.0)]
                };
                let reach = |share: f64, step: u64| {
                    let done = if single { 1.0 } else { step as f64 / (step as f64 + 60.0) * 460.0 / 400.0 };
                    loss((high - start) / (high - low) + back * share * done)
                };
                let mut row = |label: &str, metric: &str, step: Option<u64>, v: f64, unit: &str| {
                    let step = step.map_or_else(String::new, |s| s.to_string());
                    writeln!(csv, "{stage},{arm},{seed},{label},\"{metric}\",{step},{v},{unit}").unwrap();
                    if let Some((metric, variant)) = metric.split_once('@') {
                        let settings = variant.replace("entries,", "what=entries;");
                        writeln!(
                            by_variant,
                            "{stage},{arm},{seed},{stage},,{settings},{label},{metric},{step},{v},{unit}"
                        )
                        .unwrap();
                    }
                };
                for step in steps {
                    row("forget", &format!("{stage}_loss"), Some(*step), reach(1.0, *step), "nat");
                }
                for (name, parameters, share) in &variants {
                    for step in steps {
                        row(
                            "forget",
                            &format!("{stage}_loss@{name}"),
                            Some(*step),
                            reach(*share, *step),
                            "nat",
                        );
                    }
                    let best = reach(*share, 400);
                    row("forget", &format!("attack_best@{name}"), None, best, "nat");
                    let back = (high - best) / (high - low);
                    row("forget", &format!("recovery@{name}"), None, back, "fraction");
                    row("forget", &format!("budget_parameters@{name}"), None, *parameters, "parameters");
                }
                row("forget", "baseline_start", None, low, "nat");
                row("forget", "control_start", None, high, "nat");
                let best = reach(1.0, 400);
                row("forget", "attack_best", None, best, "nat");
                row("retain", "attack_retain", None, retain + 0.1, "nat");
                row("forget", "recovery", None, (high - best) / (high - low), "fraction");
                let trained = if single { 0.0 } else { 400.0 };
                row("forget", "budget_steps", None, trained, "count");
                row("forget", "budget_tokens", None, trained * 4096.0, "count");
                row("forget", "budget_examples", None, trained * 16.0, "count");
                row("forget", "budget_parameters", None, variants.last().unwrap().1, "count");
                writeln!(timings, "{stage},{arm},{seed},{},,", 3.0 + n(k)).unwrap();
            }
        }
    }
    let list: Vec<Value> = made
        .iter()
        .map(|(name, kind, from, ..)| {
            json!({"name": name, "method": name, "region": null, "note": "synthetic", "control": *kind == "control",
                   "kind": kind, "from": from})
        })
        .collect();
    let mut stages = vec![
        json!({"name": "train", "do": "train"}),
        json!({"name": "ablate", "do": "ablate"}),
        json!({"name": "unlearn", "do": "unlearn"}),
    ];
    stages.extend(ATTACKS.split(' ').take(attacks).map(|s| {
        let bits = if s == "quantise" { json!({"name": "precision", "unit": "bits"}) } else { Value::Null };
        json!({"name": s, "do": s, "axis": bits})
    }));
    let manifest = json!({
        "name": format!("synthetic matrix of {arms} arms and {attacks} attacks"), "state": "done",
        "seeds": (0..seeds).collect::<Vec<_>>(), "arms": list, "labels": ["forget", "retain", "adjacent"], "stages": stages,
        "reference": {"baseline": "baseline", "control": "oracle", "filter": null, "fresh": "fresh"}
    });
    fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.join("results.csv"), csv).unwrap();
    fs::write(dir.join("attacks.csv"), by_variant).unwrap();
    fs::write(dir.join("timings.csv"), timings).unwrap();
}

/// A model from outside and a control under one attack, (start, best) by seed, and perhaps the original's loss.
pub(crate) fn outside(dir: &Path, model: &[(f64, f64)], control: &[(f64, f64)], original: Option<f64>) {
    let mut csv = String::from("stage,arm,seed,label,metric,step,value,unit\n");
    let mut row = |stage: &str, arm: &str, seed: usize, metric: &str, v: f64| {
        writeln!(csv, "{stage},{arm},{seed},forget,{metric},,{v},nat").unwrap();
    };
    for (seed, ((start, best), (c, learnt))) in model.iter().zip(control).enumerate() {
        for (arm, start, best) in [("model", *start, *best), ("oracle", *c, *learnt)] {
            row("load", arm, seed, "loss", start);
            row("relearn", arm, seed, "attack_start", start);
            row("relearn", arm, seed, "attack_best", best);
            row("relearn", arm, seed, "control_start", *c);
            if let Some(original) = original {
                row("relearn", arm, seed, "baseline_start", original);
                row("relearn", arm, seed, "recovery", (c - best) / (c - original));
            }
        }
        if let Some(original) = original {
            row("load", "baseline", seed, "loss", original);
        }
    }
    let names: Vec<&str> = ["model", "oracle"].into_iter().chain(original.map(|_| "baseline")).collect();
    let arms: Vec<Value> =
        names.iter().map(|n| json!({"name": n, "method": "none", "control": *n == "oracle"})).collect();
    let manifest = json!({
        "name": "synthetic attack", "state": "done", "seeds": (0..model.len()).collect::<Vec<_>>(), "arms": arms,
        "labels": ["forget", "retain"], "stages": [{"name": "load", "do": "load"}, {"name": "relearn", "do": "relearn"}],
        "reference": {"baseline": original.map(|_| "baseline"), "control": "oracle", "filter": null}
    });
    fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.join("results.csv"), csv).unwrap();
}
