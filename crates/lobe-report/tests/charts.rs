//! Charts that stages leave, drawn by their shape: one test for each kind, with the size that it is made for.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use lobe_report::figure_files::{self, FigureFile};
use lobe_report::{RunData, html};
use serde_json::{Value, json};

/// A run of two arms in which the stage `look` left `chart(arm, seed)`, and its figure.
fn with(seeds: u64, chart: impl Fn(&str, u64) -> Value) -> (RunData, FigureFile) {
    let dir = tempfile::tempdir().unwrap();
    let arm = |name: &str| json!({"name": name, "method": name, "place": 1, "control": false});
    let manifest = json!({"format": 2, "name": "charts", "state": "done", "seeds": (0..seeds).collect::<Vec<_>>(),
        "arms": [arm("plain"), arm("routed")], "stages": [{"name": "look", "do": "look", "makes": "numbers"}]});
    let members = ["plain", "routed"].into_iter().flat_map(|a| (0..seeds).map(move |s| (a, s)));
    let charts: Vec<Value> = members
        .map(|(arm, seed)| json!({"stage": "look", "arm": arm, "seed": seed, "chart": chart(arm, seed)}))
        .collect();
    fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.path().join("charts.json"), json!({ "charts": charts }).to_string()).unwrap();
    let run = RunData::load(dir.path()).unwrap();
    let page = html::render(&run);
    assert!(page.contains("id=\"chart-1\"") && page.contains("From the stage look."), "in the page");
    assert!(!page.contains("NaN"));
    let file = figure_files::all(&run).into_iter().find(|f| f.name == "chart-1").unwrap();
    (run, file)
}

fn svg(f: &FigureFile) -> &str {
    f.svg.as_deref().unwrap()
}

#[test]
fn lines_have_levels_and_intervals_over_seeds() {
    let (_, f) = with(3, |arm, seed| {
        let shift = seed as f64 * 0.01 + if arm == "plain" { 0.0 } else { -0.05 };
        json!({"name": "loss", "title": "Loss by probability", "caption": "Below the dotted line it beats a linear map.",
            "kind": "lines", "x": {"name": "feature probability", "log": true}, "y": {"name": "loss"},
            "series": [{"points": [[0.001, 0.17 + shift], [0.01, 0.12 + shift], [0.1, 0.09 + shift]]}],
            "levels": [{"value": 0.0833, "name": "linear"}]})
    });
    assert!(svg(&f).contains(">linear</text>") && svg(&f).contains("class=\"level\""));
    assert_eq!(svg(&f).matches("<polygon class=\"band\"").count(), 2, "an interval for each arm");
    assert!(svg(&f).contains(">feature probability</text>") && svg(&f).contains(">routed</text>"));
    // Mean of 0.12, 0.13, 0.14; half width 4.303 · 0.01 / √3 = 0.0248.
    let row = f.csv.lines().find(|l| l.contains(",plain,0.01,")).unwrap();
    let v: Vec<f64> = row.split(',').skip(3).map(|v| v.parse().unwrap()).collect();
    assert!(
        (v[0] - 0.13).abs() < 1e-9 && (v[1] - 0.1052).abs() < 1e-3 && (v[2] - 0.1548).abs() < 1e-3,
        "{row}"
    );
    insta::assert_snapshot!("lines", body(svg(&f)));
}

#[test]
fn a_scatter_has_every_point_of_every_seed() {
    let (_, f) = with(2, |arm, seed| {
        let at = seed as f64 + if arm == "plain" { 0.0 } else { 10.0 };
        json!({"name": "gain", "title": "Gain by norm", "kind": "scatter", "x": {"name": "norm of M"},
            "y": {"name": "gain"}, "series": [{"points": [[at, at * 0.1], [at + 1.0, 0.3]]}]})
    });
    assert_eq!(svg(&f).matches("class=\"seed\"").count(), 8);
    assert_eq!(f.csv.lines().count(), 9);
    insta::assert_snapshot!("scatter", body(svg(&f)));
}

#[test]
fn a_detector_has_its_area() {
    let (_, f) = with(1, |arm, _| {
        let up = if arm == "plain" { 0.5 } else { 1.0 };
        json!({"name": "roc", "title": "Detector", "kind": "roc",
            "series": [{"name": "norm", "points": [[0.0, 0.0], [0.5, up], [1.0, 1.0]]}]})
    });
    // A diagonal has one half; up to 1 at one half three quarters.
    assert!(svg(&f).contains(">area 0.50</text>") && svg(&f).contains(">area 0.75</text>"));
    insta::assert_snapshot!("roc", body(svg(&f)));
}

#[test]
fn bars_stand_in_groups_and_a_missing_one_is_missing() {
    let (_, f) = with(2, |arm, seed| {
        let second = if arm == "plain" { Value::Null } else { json!(0.5) };
        json!({"name": "share", "title": "Share by part", "kind": "bars", "y": {"name": "share"},
            "bars": [{"name": "first", "value": 0.25 + 0.1 * seed as f64}, {"name": "second", "value": second}],
            "levels": [{"value": 0.1, "name": "chance"}]})
    });
    assert_eq!(svg(&f).matches("class=\"bar-fill\"").count(), 3);
    assert!(f.csv.contains("second,plain,,,,0\n") && f.csv.contains("second,routed,0.5,"), "{}", f.csv);
    insta::assert_snapshot!("bars", body(svg(&f)));
}

#[test]
fn a_confusion_map_of_ten_digits_has_its_numbers() {
    let names: Vec<String> = (0..10).map(|i| i.to_string()).collect();
    let (_, f) = with(2, |_, seed| {
        let cell = |r: usize, c: usize| if r == c { 0.9 + 0.04 * seed as f64 } else { 0.01 };
        let mut values: Vec<Vec<Value>> =
            (0..10).map(|r| (0..10).map(|c| json!(cell(r, c))).collect()).collect();
        values[3][4] = Value::Null;
        json!({"name": "confusion", "title": "Which digit", "kind": "heat", "x": {"name": "latent"},
            "y": {"name": "share of images"}, "rows": names, "columns": names, "values": values})
    });
    assert_eq!(svg(&f).matches("<g class=\"cell").count(), 200, "100 cells for each arm");
    assert!(svg(&f).contains("<title>7, 7: 0.92</title>") && svg(&f).contains(">.92</text>"));
    assert!(svg(&f).contains("<title>3, 4: —</title>") && svg(&f).contains("class=\"missing\""));
    assert!(f.csv.contains("plain,3,4,,0\n"), "{}", f.csv);
}

#[test]
fn a_small_map_is_drawn_as_it_was() {
    let (_, f) = with(1, |_, _| {
        json!({"name": "map", "title": "Which edges", "kind": "heat", "x": {"name": "edge", "unit": "step"},
            "rows": ["both", "none"], "columns": ["0.0", "1.0"], "values": [[0.32, 0.08], [0.13, -0.09]]})
    });
    insta::assert_snapshot!("heat", body(svg(&f)));
}

#[test]
fn arms_of_one_row_each_are_the_rows_of_one_map() {
    let chart = |arm: &str, seed: u64| {
        let first = if arm == "plain" { 0.1 } else { 0.3 } + 0.02 * seed as f64;
        json!({"name": "map", "title": "Which edges", "kind": "heat", "x": {"name": "output and label"},
            "rows": [""], "columns": ["bottom low", "bottom high"], "values": [[first, null]]})
    };
    let (_, f) = with(2, chart);
    assert_eq!(svg(&f).matches("<g class=\"cell").count(), 4, "two cells for each arm");
    assert_eq!(svg(&f).matches("class=\"panel-title\"").count(), 1, "in one drawing");
    for said in
        [">plain</text>", ">routed</text>", ">bottom high</text>", "<title>routed, bottom low: 0.31</title>"]
    {
        assert!(svg(&f).contains(said), "{said}: {}", svg(&f));
    }
    assert!(
        f.csv.contains("plain,,bottom low,0.11") && f.csv.contains("plain,,bottom high,,0\n"),
        "{}",
        f.csv
    );
}

#[test]
fn ten_pictures_of_28_by_28_fit_into_the_page() {
    let (run, f) = with(2, |_, seed| {
        // A ring: what latents decode to looks like this.
        let pixel = |i: usize| {
            let (x, y) = ((i % 28) as f64 - 13.5, (i / 28) as f64 - 13.5);
            (1.0 - ((x * x + y * y).sqrt() - 8.0 - seed as f64).abs() / 3.0).max(0.0)
        };
        let pixels: Vec<f64> = (0..784).map(pixel).collect();
        let pictures: Vec<Value> =
            (0..10).map(|i| json!({"name": i.to_string(), "width": 28, "pixels": pixels})).collect();
        json!({"name": "decoded", "title": "What latents decode to", "kind": "pictures", "pictures": pictures})
    });
    assert_eq!(svg(&f).matches("class=\"paper\"").count(), 20, "ten for each arm, of the first seed");
    assert!(svg(&f).len() < 200_000, "{} bytes", svg(&f).len());
    assert!(!html::render(&run).contains("<image"), "nothing is embedded");
    assert!(f.csv.starts_with("arm,picture,row,pixels\n") && f.csv.lines().count() == 1 + 2 * 10 * 28);
}

#[test]
fn two_pixels_are_drawn_as_they_were() {
    let (_, f) = with(1, |_, _| {
        json!({"name": "p", "title": "Pixels", "kind": "pictures",
            "pictures": [{"name": "a", "width": 2, "pixels": [0.0, 1.0, 0.5, 0.5]}]})
    });
    insta::assert_snapshot!("pictures", body(svg(&f)));
}

#[test]
fn a_kind_of_another_version_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = json!({"format": 2, "name": "x", "arms": [{"name": "a"}]});
    let chart = json!({"stage": "s", "arm": "a", "seed": 0, "chart": {"name": "n", "title": "T", "kind": "hologram"}});
    fs::write(dir.path().join("manifest.json"), manifest.to_string()).unwrap();
    fs::write(dir.path().join("charts.json"), json!({"charts": [chart]}).to_string()).unwrap();
    assert!(!html::render(&RunData::load(dir.path()).unwrap()).contains("id=\"chart-1\""));
}

/// A file without its style sheet, which every figure has.
fn body(svg: &str) -> String {
    let (head, rest) = svg.split_once("<style>").unwrap();
    format!("{head}{}", rest.split_once("</style>").unwrap().1).replace("><", ">\n<")
}
