//! The tables of a record: every number of the run once, dashes for the rest, nothing of the machine.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and talk")]

mod common;

use std::path::Path;

use lobe_report::record::{MARK, Spread, render};
use lobe_report::{RunData, Targets};

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
    let text = render(&run, Spread::of_seeds(3), None);
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
    assert_eq!(text, render(&run, Spread::Range, None), "the same run gives the same text");
    assert!(render(&run, Spread::Interval, None).contains("Student's t"));
}

#[test]
fn targets_stand_beside_and_missing_stays_missing() {
    let run = run(common::digits);
    let csv = "arm,label,metric,value,source\n\
               routed,low,mse,0.03,\"Someone 2024, table 2\"\n\
               routed,high,mse,,\"Someone 2024, table 2\"\n\
               unheard-of,low,mse,0.5,elsewhere\n\
               routed,low,sharpness,1,elsewhere\n";
    let text = render(&run, Spread::Range, Some(&Targets::parse("t.csv", csv).unwrap()));
    let table = section(&text, "mse (mae)");
    assert!(table[0].ends_with("target | distance to it |"), "{}", table[0]);
    let row = |start: &str| *table.iter().find(|l| l.starts_with(start)).unwrap_or(&"");
    let mean = run.after("routed", "mse", "low").iter().map(|v| v.1).sum::<f64>() / 3.0;
    let cells: Vec<&str> = row("| low | routed |").split(" | ").collect();
    let distance: f64 = cells[6].trim_end_matches(" |").replace('−', "-").parse().unwrap();
    assert!(cells[5] == "0.03" && (distance - (mean - 0.03)).abs() < 1e-4, "{cells:?}");
    assert!(row("| high | routed |").ends_with("| — | — |"), "{}", row("| high | routed |"));
    assert!(row("| low | unheard-of | — |").ends_with("| 0.5 | — |"), "{table:?}");
    assert!(row("| low | baseline |").ends_with("| — | — |"));
    assert_eq!(section(&text, "sharpness").len(), 3);
    assert!(text.ends_with("* Someone 2024, table 2\n* elsewhere\n"), "{text}");
    // Without a file there is no such column.
    assert!(!render(&run, Spread::Range, None).contains("target"));
}

#[test]
fn hostile_names_and_unfinished_runs_are_shown_as_they_are() {
    let run = run(|d| {
        common::crowded(d);
        let path = d.join("manifest.json");
        let text = std::fs::read_to_string(&path).unwrap().replace("synthetic crowd", "<script>|`x`");
        std::fs::write(&path, text).unwrap();
    });
    let text = render(&run, Spread::Range, None);
    assert!(text.contains("**The run is not finished (state: running).**"));
    assert!(!text.contains("<script>") && text.contains("&lt;script>"));
    assert!(text.contains("not reached") || text.contains("0 of 2") || text.contains("| — |"));
}

#[test]
fn targets_that_cannot_be_used_name_the_line() {
    let refused = |rows: &str| {
        let text = format!("arm,label,metric,value,source\n{rows}");
        Targets::parse("t.csv", &text).unwrap_err().to_string()
    };
    assert_eq!(refused("a,b,c,nan,d\n"), "t.csv line 2: value is \"nan\", not a number");
    assert_eq!(refused("a,b,c,1,d\na,b,c,2,d\n"), "t.csv line 3: c of a on b stands here twice");
    assert_eq!(refused("a,b,c\n"), "t.csv line 2: 3 fields, expected 5");
    assert!(Targets::parse("t.csv", "arm,value\n").unwrap_err().to_string().contains("expected arm,label"));
}
