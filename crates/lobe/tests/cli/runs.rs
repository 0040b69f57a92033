//! Whole runs: reports, caches, threads.

use crate::TINY;
use crate::process::{Place, same};

#[test]
fn a_run_goes_from_recipe_to_report() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    let said = place.lobe(&["run", "tiny.toml", "--threads", "2"]).ends(0);
    assert!(said.out.contains("Report: runs/tiny/report.html"), "{}", said.out);
    assert!(said.err.contains("train: done in"), "{}", said.err);
    let page = String::from_utf8(place.read("runs/tiny/report.html")).unwrap();
    assert!(page.contains("lobe run tiny.toml --threads 2") && !page.to_lowercase().contains("<script"));
    let results = String::from_utf8(place.read("runs/tiny/results.csv")).unwrap();
    assert!(results.starts_with("stage,arm,seed,label,metric,step,value,unit\n"));
    assert!(results.contains("relearn_loss"));

    // The report can be written and read again.
    place.write("runs/tiny/report.html", "");
    place.lobe(&["report", "runs/tiny"]).ends(0);
    assert_eq!(place.read("runs/tiny/report.html"), page.as_bytes());
    assert!(place.lobe(&["report", "runs/tiny", "--text"]).ends(0).out.contains("sgtm"));
    place.lobe(&["report", "runs/tiny", "--out", "nowhere/page.html"]).refuses(&["nowhere/page.html"]);
    place.lobe(&["report", "runs/tiny", "--out", "runs"]).refuses(&["cannot be written", "runs"]);
    let value = place.lobe(&["report", "runs/tiny", "--json"]).ends(0).json();
    assert_eq!((&value["state"], &value["arms"][1]["arm"]), (&"done".into(), &"sgtm".into()));
    assert!(value["arms"][1]["finals"][0]["over_seeds"]["mean"].is_number());

    // Nothing is done twice, and an attack can be changed without training again.
    let before = place.outcome("runs/tiny");
    let said = place.lobe(&["run", "tiny.toml"]).ends(0);
    assert!(
        said.err.contains("train: done in 0 s (3 cached)")
            && said.err.contains("relearn: done in 0 s (3 cached)")
    );
    same(&before, &place.outcome("runs/tiny"));
    let said = place.lobe(&["run", "tiny.toml", "--set", "stage.relearn.lrs=[1e-2]"]).ends(0);
    assert!(said.err.contains("train: done in 0 s (3 cached)"), "{}", said.err);
    assert!(
        said.err.lines().any(|l| l.starts_with("relearn: done") && !l.contains("cached")),
        "{}",
        said.err
    );
    assert_ne!(before[0], place.outcome("runs/tiny")[0]);
}

#[test]
fn threads_change_nothing() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--threads", "1", "--out", "one", "--quiet"]).ends(0);
    let said = place.lobe(&["run", "tiny.toml", "--threads", "2", "--out", "two", "--quiet"]).ends(0);
    assert!(said.out.is_empty() && said.err.is_empty(), "{}{}", said.out, said.err);
    same(&place.outcome("one"), &place.outcome("two"));
}

#[test]
fn a_preset_has_a_directory_of_its_own() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    let said = place.lobe(&["run", "tiny.toml", "--preset", "less", "--json"]).ends(0);
    assert_eq!(said.json()["name"], "tiny");
    assert!(place.path("runs/tiny-less/results.csv").exists() && !place.path("runs/tiny").exists());
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    std::fs::create_dir(place.path("mine")).unwrap();
    place.write("mine/thesis.txt", "years of work");
    place.lobe(&["run", "tiny.toml", "--out", "mine"]).refuses(&["mine"]);
    assert_eq!(place.read("mine/thesis.txt"), b"years of work");
    place.lobe(&["report", "mine"]).refuses(&["manifest.json"]);
    place.lobe(&["report", "nowhere"]).ends(2);
    place.write("mine/manifest.json", "{\"name\": 3");
    place.lobe(&["report", "mine"]).refuses(&["manifest.json"]);
}
