//! Families of arms along their dials, and published numbers beside measured ones.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use lobe_report::figure_files::{self, FigureFile};
use lobe_report::{RunData, html};
use serde_json::{Value, json};

/// Three seeds of a baseline and of a family of four, whose loss is known for each arm.
fn run(targets: &Value, edit: impl Fn(&mut Value)) -> RunData {
    let dir = tempfile::tempdir().unwrap();
    let point = |lr: f64, mask: bool| {
        json!({"name": "f", "point": [{"key": "train.lr", "text": lr.to_string(), "number": lr},
            {"key": "mask", "text": mask.to_string()}]})
    };
    let mut arms = vec![json!({"name": "baseline", "method": "none", "place": 0})];
    let mut csv = String::from("stage,arm,seed,label,metric,step,value,unit\n");
    for seed in 0..3 {
        csv += &format!("train,baseline,{seed},forget,loss,,{},nat\n", 2.0);
    }
    for (i, (lr, mask)) in [(0.001, false), (0.001, true), (0.1, false), (0.1, true)].into_iter().enumerate()
    {
        let name = format!("f-{i}");
        for seed in 0..3 {
            csv += &format!(
                "train,{name},{seed},forget,loss,,{},nat\n",
                3.0 + i as f64 + 0.01 * f64::from(seed)
            );
        }
        arms.push(
            json!({"name": name, "method": "sgtm", "place": 5, "region": "r", "family": point(lr, mask)}),
        );
    }
    let mut manifest = json!({"format": 2, "name": "families", "state": "done", "seeds": [0, 1, 2], "arms": arms,
        "labels": ["forget"], "reference": {"baseline": "baseline"}, "targets": targets,
        "stages": [{"name": "train", "does": "train", "makes": "model", "starts": "drawn"}]});
    edit(&mut manifest);
    let metrics =
        json!({"metrics": [{"name": "loss", "title": "held-out loss", "unit": "nat", "role": "outcome"}]});
    fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.path().join("metrics.json"), metrics.to_string()).unwrap();
    fs::write(dir.path().join("results.csv"), csv).unwrap();
    RunData::load(dir.path()).unwrap()
}

fn figure(run: &RunData, name: &str) -> Option<FigureFile> {
    let page = html::render(run);
    let found = figure_files::all(run).into_iter().find(|f| f.name == name);
    assert_eq!(page.contains(&format!("id=\"{name}\"")), found.is_some());
    found
}

#[test]
fn a_family_is_drawn_along_its_numbers() {
    let run = run(&json!([]), |_| {});
    let f = figure(&run, "family-1").unwrap();
    let svg = f.svg.as_deref().unwrap();
    // A line for each choice of what is no number, the baseline as a level, and a logarithmic dial.
    for text in [
        "f along train.lr",
        ">train.lr</text>",
        "held-out loss (nat)",
        ">forget, false<",
        ">forget, true<",
        "class=\"level\"",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let row = f.csv.lines().find(|l| l.contains("\"forget, true\"") && l.contains(",0.1,")).unwrap();
    assert!(row.contains(",6.01"), "{row}");
    assert!(figure(&run, "family-2").is_none(), "what is no number is no dial");
}

#[test]
fn a_family_without_two_numbers_has_no_figure() {
    let alone = run(&json!([]), |m| {
        for arm in m["arms"].as_array_mut().unwrap().iter_mut().skip(1) {
            arm["family"]["point"][0]["number"] = json!(1e-3);
        }
    });
    assert!(figure(&alone, "family-1").is_none());
    let huge = run(&json!([]), |m| m["arms"][1]["family"]["point"][0]["number"] = json!(1e300));
    assert!(!html::render(&huge).contains("NaN"));
}

#[test]
fn published_numbers_stand_beside_the_measured_ones() {
    let target = |arm: &str, value: f64, tolerance: f64| json!({"arm": arm, "label": "forget", "metric": "loss", "value": value, "tolerance": tolerance, "source": "s"});
    let run =
        run(&json!([target("f-0", 3.0, 0.1), target("f-3", 9.0, 0.0), target("gone", 1.0, 0.0)]), |_| {});
    let f = figure(&run, "published").unwrap();
    let rows: Vec<&str> = f.csv.lines().collect();
    assert_eq!(rows[0], "metric,arm,label,published,tolerance,mean,low,high,seeds");
    assert!(rows[1].starts_with("loss,f-0,forget,3,0.1,3.01,2.98"), "{}", rows[1]);
    assert_eq!(rows[3], "loss,gone,forget,1,0,,,,0", "a missing number is missing");
    let svg = f.svg.as_deref().unwrap();
    assert_eq!((svg.matches("class=\"hollow\"").count(), svg.matches("class=\"mean\"").count()), (3, 2));
}

#[test]
fn without_a_measured_target_there_is_no_figure() {
    let none = run(&json!([]), |_| {});
    assert!(figure(&none, "published").is_none());
}
