//! The two recipes on parts of a latent, cut down to seconds.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "these recipes have no stories")]
mod common;

use std::path::Path;

use common::{go, results_of, values};
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::Written;
use lobe_lab::schedule::resolve;

fn tiny(name: &str, changes: &[&str]) -> Written {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let changes: Vec<String> = changes.iter().map(|c| (*c).to_owned()).collect();
    let written = Written::from_str(name, &text).unwrap().with_preset(Some("tiny")).unwrap();
    changes.iter().fold(written, |w, c| w.with_set(c).unwrap())
}

#[test]
fn routed_digits_find_their_own_latent() {
    let written = tiny("one-latent-per-digit.toml", &["train.steps=200", "data.train=500"]);
    let dir = tempfile::tempdir().unwrap();
    go(&written, dir.path(), 2, false).unwrap();
    let csv = results_of(dir.path());
    let of = |arm: &str, label: &str, metric: &str| values(&csv, ["train", arm, label, metric])[0];
    let routed = of("routed", "all", "argmax_accuracy");
    // Ten labels: nothing gives an unrouted latent its number. Each label's share is part of the whole.
    assert!(routed > 0.6, "{routed}");
    assert!(of("unrouted", "all", "argmax_accuracy") < 0.4, "{csv}");
    let labels: f64 = (0..10).map(|d| of("routed", &d.to_string(), "argmax_accuracy")).sum();
    assert!((labels / 10.0 - routed).abs() < 0.02, "{labels} {routed}: as many of each digit");
    assert!(of("routed", "all", "argmax_purity") >= routed - 1e-12);
    let charts: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.path().join("charts.json")).unwrap()).unwrap();
    let charts = charts["charts"].as_array().unwrap();
    let chart = |arm: &str, name: &str| {
        let found = charts.iter().find(|c| c["arm"] == arm && c["chart"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} of {arm}"))["chart"].clone()
    };
    // The cells count the images; those of the digits' own latents are the accuracy.
    let cells = chart("routed", "train:confusion")["values"].clone();
    let cell = |r: usize, c: usize| cells[r][c].as_f64().unwrap();
    let all: f64 = (0..100).map(|i| cell(i / 10, i % 10)).sum();
    assert_eq!(all, 200.0);
    assert!(((0..10).map(|d| cell(d, d)).sum::<f64>() / all - routed).abs() < 1e-12);
    let pictures = chart("routed", "train:decoded")["pictures"].clone();
    let pictures = pictures.as_array().unwrap();
    assert_eq!((pictures.len(), &pictures[13]["name"]), (30, &"3 at 1".into()));
    let ink = pictures[13]["pixels"].as_array().unwrap();
    assert!(ink.len() == 784 && ink.iter().all(|p| (0.0..=1.0).contains(&p.as_f64().unwrap())));
    let other = tempfile::tempdir().unwrap();
    go(&written, other.path(), 1, false).unwrap();
    assert_eq!(csv, results_of(other.path()), "threads change nothing, and noise is that of the step");
}

#[test]
fn the_edges_are_a_map_of_all_arms() {
    let written = tiny("which-edges.toml", &["train.steps=3", "model.hidden=[16]", "data.train=128"]);
    let dir = tempfile::tempdir().unwrap();
    go(&written, dir.path(), 2, false).unwrap();
    let csv = results_of(dir.path());
    let charts = std::fs::read_to_string(dir.path().join("charts.json")).unwrap();
    let charts: serde_json::Value = serde_json::from_str(&charts).unwrap();
    let charts = charts["charts"].as_array().unwrap();
    let (recipe, _) = resolve(&written).unwrap();
    assert_eq!(charts.len(), recipe.arms.len());
    for chart in charts {
        let (arm, chart) = (chart["arm"].as_str().unwrap(), &chart["chart"]);
        let columns: Vec<&str> =
            chart["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        let at = |name: &str| columns.iter().position(|c| *c == name).unwrap();
        for (column, label, metric) in [
            ("decoder high", "high", "mse"),
            ("top low", "low", "mse@top"),
            ("bottom low", "low", "mse@bottom"),
        ] {
            let shown = chart["values"][0][at(column)].as_f64().unwrap();
            let measured = values(&csv, ["train", arm, label, metric])[0];
            assert!((shown - measured).abs() <= 1e-6 * measured, "{arm}, {column}: {shown}, {measured}");
        }
    }
    // What is routed makes another network, each in its own way.
    let mut seen: Vec<f64> =
        recipe.arms.iter().map(|a| values(&csv, ["train", &a.name, "low", "mse@bottom"])[0]).collect();
    seen.sort_by(f64::total_cmp);
    seen.dedup();
    assert!(seen.len() + 2 >= recipe.arms.len(), "{} of {} arms differ", seen.len(), recipe.arms.len());
}

#[test]
fn what_cannot_be_measured_is_refused_before_training() {
    for (change, why) in [
        ("stage.measure.argmax=\"heads\"", "names 20 units for 10 labels"),
        ("stage.measure.argmax=\"latent + heads\"", "names 2 sites, not one"),
        ("stage.measure.argmax=\"latents\"", "latent"),
        ("stage.measure.decode=[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", "makes 110 pictures"),
        ("stage.measure.decode=[1e9]", "out of range"),
        ("model.variational=false", "unknown site \"heads\""),
        ("train.min_lr=0.0", "above 0"),
        ("arms.routed.home=[\"0\"]", "1 label for 10 regions"),
    ] {
        let written = tiny("one-latent-per-digit.toml", &[change]);
        let recipe = resolve(&written).map(|(recipe, _)| recipe);
        let said = recipe.and_then(|r| Experiment::open(&r).map(drop)).unwrap_err().to_string();
        assert!(said.contains(why), "{why}: {said}");
    }
}
