//! The tables of a record: every number of the run once, dashes for the rest, nothing of the machine.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and talk")]

mod common;

use std::path::Path;

use lobe_report::RunData;
use lobe_report::record::{MARK, Spread, render};
use lobe_report::targets::{Answer, answers};

fn run(write: impl FnOnce(&Path)) -> RunData {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    RunData::load(dir.path()).unwrap()
}

/// The lines of a section.
fn section<'a>(text: &'a str, title: &str) -> Vec<&'a str> {
    let from = text.find(&format!("\n## {title}")).unwrap_or_else(|| panic!("no {title:?} in\n{text}"));
    let body = &text[from + 1..];
    let end = body[2..].find("\n## ").map_or(body.len(), |e| e + 2);
    body[..end].lines().filter(|l| l.starts_with('|')).collect()
}

#[test]
fn every_part_of_a_finished_run_is_there() {
    let run = run(|d| common::bilingual(d, 3));
    let text = render(&run, Spread::of_seeds(3));
    assert!(text.starts_with(MARK));
    assert!(text.contains("\n    lobe run recipes/quickstart.toml --scale 0.1\n"), "{text}");
    for said in ["8c1f0d5b2a7e4c63", "Seeds: 0, 1, 2.", "mean [smallest, largest seed]"] {
        assert!(text.contains(said), "{said:?} is missing in\n{text}");
    }
    assert_eq!(section(&text, "Arms").len(), 2 + 5);

    let gap = section(&text, "Share of the gap in forget loss from baseline to oracle");
    let sgtm = gap.iter().find(|l| l.starts_with("| sgtm |")).unwrap();
    assert_eq!(sgtm.matches(" / ").count(), 2, "one number per seed: {sgtm}");

    let steps = section(&text, "Attack relearn");
    assert!(steps.iter().any(|l| l.starts_with("| sgtm |") && l.contains("3 of 3")), "{steps:?}");
    assert!(steps[0].contains("minus oracle, paired"));

    let loss = section(&text, "loss (nat)");
    assert!(loss[0].contains("before the cut | after the cut | minus oracle, paired"), "{}", loss[0]);
    // A mean with its smallest and largest seed, worked out again from the run.
    let after: Vec<f64> = run.after("sgtm", "loss", "forget").iter().map(|v| v.1).collect();
    let mean = after.iter().sum::<f64>() / 3.0;
    let row = loss.iter().find(|l| l.starts_with("| forget | sgtm |")).unwrap();
    let cell = row.split(" | ").nth(3).unwrap();
    let shown: f64 = cell.split(' ').next().unwrap().parse().unwrap();
    assert!((shown - mean).abs() < 0.01, "{cell} against {mean}");
    let oracle = loss.iter().find(|l| l.starts_with("| forget | oracle |")).unwrap();
    assert!(oracle.contains("not cut") && oracle.ends_with("| — |"), "{oracle}");

    for apart in ["train loss", "region units", "seconds", "token/s"] {
        assert!(!text.contains(apart), "{apart:?} has no place in a record");
    }
    assert_eq!(text, render(&run, Spread::Range), "the same run gives the same text");
    assert!(render(&run, Spread::Interval).contains("Student's t"));
}

/// The run of digits with these targets.
fn with_targets(targets: &serde_json::Value) -> RunData {
    run(|d| {
        common::digits(d);
        let path = d.join("manifest.json");
        let mut m: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        m["targets"] = targets.clone();
        std::fs::write(path, m.to_string()).unwrap();
    })
}

#[test]
fn a_target_is_met_missed_or_not_measured() {
    let plain = run(common::digits);
    let mean = plain.after("routed", "mse", "low").iter().map(|v| v.1).sum::<f64>() / 3.0;
    let target = |arm: &str, value: f64, need: &str| {
        serde_json::json!({"arm": arm, "label": "low", "metric": "mse", "value": value, "tolerance": 0.01,
            "need": need, "source": "Someone 2024, table 2"})
    };
    let run = with_targets(&serde_json::json!([
        target("routed", mean + 0.009, "near"),
        target("routed", mean - 0.03, "near"),
        target("routed", mean - 0.03, "at-least"),
        target("unheard-of", 0.5, "near"),
        {"arm": "routed", "stage": "train", "label": "low", "metric": "mse", "step": 7_000_000, "value": 1.0},
    ]));
    let words: Vec<String> = answers(&run).iter().map(Answer::words).collect();
    assert_eq!(words, ["met", "missed by 0.02", "met", "not measured", "not measured"]);
    let table = section(&render(&run, Spread::Range), "Targets").join("\n");
    assert!(table.contains("| missed by 0.02 | Someone 2024, table 2 |"), "{table}");
    assert!(table.contains("train, step 7000000"), "{table}");
    // A record, the page and the terminal say the same.
    let page = lobe_report::html::render(&run);
    let text = lobe_report::terminal::answer(&run, 100, lobe_report::terminal::Style::Ascii);
    for said in [page, text] {
        assert!(said.contains("Targets: 2 of 5 met, 1 missed, 2 not measured."), "{said}");
    }
    assert!(!render(&plain, Spread::Range).contains("Targets"), "without targets there is no such part");
}

#[test]
fn hostile_names_and_unfinished_runs_are_shown_as_they_are() {
    let run = run(|d| {
        common::crowded(d);
        let path = d.join("manifest.json");
        let text = std::fs::read_to_string(&path).unwrap().replace("synthetic crowd", "<script>|`x`");
        std::fs::write(&path, text).unwrap();
    });
    let text = render(&run, Spread::Range);
    assert!(text.contains("**The run is not finished (state: running).**"));
    assert!(!text.contains("<script>") && text.contains("&lt;script>"));
    assert!(text.contains("not reached") || text.contains("0 of 2") || text.contains("| — |"));
}
