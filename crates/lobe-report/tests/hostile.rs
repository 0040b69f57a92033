//! Run directories that nobody sane would write: an error that names the place, or escaped output.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and talk")]

mod common;

use std::fs;
use std::path::Path;

use lobe_report::{RunData, html, terminal};

fn run(change: impl FnOnce(&Path)) -> Result<RunData, String> {
    let dir = tempfile::tempdir().unwrap();
    common::bilingual(dir.path(), 2);
    change(dir.path());
    // Where the directory lies differs from test to test.
    let said = |e: lobe_report::ReportError| e.to_string().replace(&format!("{}/", dir.path().display()), "");
    let run = RunData::load(dir.path()).map_err(said)?;
    // Whatever loads must render.
    html::render(&run);
    terminal::render(&run, 80, terminal::Style::Ascii);
    Ok(run)
}

fn check(change: impl FnOnce(&Path), expected: &str) {
    assert_eq!(run(change).map_or_else(|e| e, |_| "loaded".to_owned()), expected);
}

fn edit(dir: &Path, file: &str, change: impl FnOnce(String) -> String) {
    let path = dir.join(file);
    fs::write(&path, change(fs::read_to_string(&path).unwrap())).unwrap();
}

const HEADER: &str = "stage,arm,seed,label,metric,step,value,unit\n";

#[test]
fn errors_name_file_and_line() {
    check(|d| fs::remove_file(d.join("manifest.json")).unwrap(), "cannot read manifest.json");
    let cut = "{\n  \"name\": \"x\",\n  \"arms\": [";
    check(
        |d| fs::write(d.join("manifest.json"), cut).unwrap(),
        "manifest.json line 3: column 11: EOF while parsing a list",
    );
    check(
        |d| fs::write(d.join("manifest.json"), "{}").unwrap(),
        "manifest.json line 1: column 2: missing field `name`",
    );
    check(
        |d| fs::write(d.join("results.csv"), "").unwrap(),
        &format!("results.csv line 1: empty, expected the header {}", HEADER.trim_end()),
    );
    check(
        |d| fs::write(d.join("results.csv"), "arm,stage\n").unwrap(),
        &format!("results.csv line 1: columns are \"arm,stage\", expected {}", HEADER.trim_end()),
    );
    check(
        |d| fs::write(d.join("results.csv"), format!("{HEADER}a,b,0\n")).unwrap(),
        "results.csv line 2: 3 fields, expected 8",
    );
    check(
        |d| fs::write(d.join("results.csv"), format!("{HEADER}train,sgtm,-1,forget,loss,,1,nat\n")).unwrap(),
        "results.csv line 2: seed is \"-1\", not a whole number",
    );
    check(
        |d| fs::write(d.join("results.csv"), format!("{HEADER}train,sgtm,0,forget,loss,,1e,nat\n")).unwrap(),
        "results.csv line 2: value is \"1e\", not a number",
    );
    check(|d| fs::write(d.join("results.csv"), b"a\n\xff\xfe").unwrap(), "results.csv line 2: not UTF-8");
    check(
        |d| fs::write(d.join("activity.json"), "{\n").unwrap(),
        "activity.json line 2: column 0: EOF while parsing an object",
    );
    check(
        |d| {
            let entry = r#"{"arm":"a","seed":0,"region":"r","stage":"train","site":"s","units":[1],"labels":["x"],"mean_abs":[[1,2]]}"#;
            fs::write(d.join("activity.json"), format!("{{\"regions\":[{entry}]}}")).unwrap();
        },
        "activity.json entry 0: 2 values for 1 units",
    );
}

#[test]
fn too_many_names_are_refused() {
    let many = (0..300).map(|i| format!("train,arm{i},0,forget,loss,,1,nat")).collect::<Vec<_>>().join("\n");
    check(
        |d| fs::write(d.join("results.csv"), format!("{HEADER}{many}")).unwrap(),
        "results.csv line 253: more than 256 arms, stages or labels, or 20000 quantities",
    );
}

#[test]
fn markup_in_every_name_is_escaped() {
    let evil = "<script>alert(1)</script>\"'><img onerror=x>";
    let dir = tempfile::tempdir().unwrap();
    common::bilingual(dir.path(), 2);
    let quoted = evil.replace('"', "\"\"");
    for file in ["results.csv", "timings.csv"] {
        edit(dir.path(), file, |t| {
            t.replace("sgtm", &format!("\"{quoted}\"")).replace("nat", &format!("\"{quoted}\""))
        });
    }
    let json = serde_json::to_string(evil).unwrap();
    let json = &json[1..json.len() - 1];
    edit(dir.path(), "activity.json", |t| {
        t.replace("sgtm", json).replace("spanish", json).replace("unlabelled", json)
    });
    edit(dir.path(), "manifest.json", |t| {
        ["sgtm", "spanish", "synthetic", "unlabelled", "masks", "steps"]
            .iter()
            .fold(t, |t, w| t.replace(w, json))
    });
    let page = html::render(&RunData::load(dir.path()).unwrap());
    assert!(!page.contains("<script") && !page.contains("<img"), "markup got through");
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn links_are_encoded_and_never_lead_out() {
    for evil in
        ["../../../etc", "javascript:alert(1)", "a\"><img src=x>", "//host", "?q#f", "%2e%2e", "\u{1f600} é"]
    {
        let dir = tempfile::tempdir().unwrap();
        common::matrix(dir.path(), 6, 3, 2);
        let json = serde_json::to_string(evil).unwrap();
        edit(dir.path(), "manifest.json", |t| t.replace("\"rmu\"", &json).replace("\"lora\"", &json));
        let quoted = format!("\"{}\"", evil.replace('"', "\"\""));
        edit(dir.path(), "results.csv", |t| {
            t.replace(",rmu,", &format!(",{quoted},")).replace("\nlora,", &format!("\n{quoted},"))
        });
        let page = html::render(&RunData::load(dir.path()).unwrap());
        assert!(!page.contains("<img"), "{evil}");
        let page = common::without_files(&page);
        for href in page.split("href=\"").skip(1).map(|p| p.split('"').next().unwrap()) {
            let path: Vec<&str> = href.split('/').collect();
            assert!(path.len() == 4 && path[0] == "stages" && path[3] == "metrics.jsonl", "{href}");
            assert!(path.iter().all(|p| *p != ".." && *p != "."), "{href}");
            assert!(href.chars().all(|c| c.is_ascii_alphanumeric() || "-._~%/".contains(c)), "{href}");
        }
    }
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let run =
        run(|d| edit(d, "manifest.json", |t| t.replace("synthetic quickstart", "a\\u001b[2Jb\\u202ec")))
            .unwrap();
    let text = terminal::render(&run, 80, terminal::Style::Unicode);
    assert!(text.starts_with("a\u{fffd}[2Jb\u{fffd}c: "));
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
}

#[test]
fn numbers_that_are_none_count_as_missing() {
    for bad in ["NaN", "inf", "-inf", "1e300"] {
        let loaded =
            run(|d| edit(d, "results.csv", |t| format!("{t}train,sgtm,0,forget,loss,1600,{bad},nat\n")))
                .unwrap();
        assert!(
            loaded.warnings[0].starts_with("1 measured values were not finite"),
            "{bad}: {:?}",
            loaded.warnings
        );
        let finals = loaded.measured("train", "loss", "forget").unwrap().finals("sgtm");
        assert_eq!(finals.len(), 2, "the earlier value stays");
    }
    // The largest that is accepted must still draw.
    let page = run(|d| edit(d, "results.csv", |t| format!("{t}ablate,sgtm,0,forget,loss,1600,-9e29,nat\n")))
        .map(|r| html::render(&r))
        .unwrap();
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn missing_parts_are_left_out_and_named() {
    let page = |change: fn(&Path)| html::render(&run(change).unwrap());
    let nothing = page(|d| {
        for file in ["results.csv", "timings.csv", "activity.json"] {
            fs::remove_file(d.join(file)).unwrap();
        }
    });
    assert!(!nothing.contains("<figure") && nothing.contains("Not shown: trade-off"));
    let header = page(|d| fs::write(d.join("results.csv"), HEADER).unwrap());
    assert!(header.contains("id=\"units-1\"") && !header.contains("id=\"trade-off\""));
    let no_steps = page(|d| {
        edit(d, "results.csv", |t| {
            t.lines().filter(|l| !l.contains("steps_to_baseline")).collect::<Vec<_>>().join("\n")
        });
    });
    assert!(no_steps.contains("more than 500 steps in all 2 seeds"));
}

#[test]
fn a_running_experiment_reads_the_members_own_files() {
    let with_member = |state: &str| {
        let loaded = run(|d| {
            fs::remove_file(d.join("results.csv")).unwrap();
            edit(d, "manifest.json", |t| t.replace("\"done\"", &format!("{state:?}")));
            let member = d.join("stages/train/sgtm.1");
            fs::create_dir_all(&member).unwrap();
            let line = r#"{"step": 10, "label": "forget", "metric": "loss", "value": 3.5, "unit": "nat"}"#;
            fs::write(member.join("metrics.jsonl"), format!("{line}\n{}", &line[..20])).unwrap();
        });
        let finals = |r: RunData| r.measured("train", "loss", "forget").map(|m| m.finals("sgtm"));
        finals(loaded.unwrap())
    };
    assert_eq!(with_member("running"), Some(vec![(1, 3.5)]));
    // What a finished run did not write down belongs to something else.
    assert_eq!(with_member("done"), None);
    let broken = run(|d| {
        edit(d, "manifest.json", |t| t.replace("\"done\"", "\"running\""));
        fs::remove_file(d.join("results.csv")).unwrap();
        fs::create_dir_all(d.join("stages/train/sgtm.1")).unwrap();
        fs::write(d.join("stages/train/sgtm.1/metrics.jsonl"), "{}\n").unwrap();
    });
    assert_eq!(
        broken.unwrap_err(),
        "stages/train/sgtm.1/metrics.jsonl line 1: column 2: missing field `metric`"
    );
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_directory_is_read() {
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret.csv");
    fs::write(&secret, HEADER).unwrap();
    check(
        |d| {
            fs::remove_file(d.join("results.csv")).unwrap();
            std::os::unix::fs::symlink(&secret, d.join("results.csv")).unwrap();
        },
        "results.csv is not an ordinary file inside the run directory",
    );
    // Names with path separators never become paths: this loads, and reads nothing for that arm.
    let climbing = run(|d| edit(d, "manifest.json", |t| t.replace("\"sgtm\"", "\"../../etc\"")));
    assert!(climbing.is_ok());
}

#[test]
fn damaged_bytes_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    common::digits(dir.path());
    let whole = ["manifest.json", "results.csv"].map(|f| (f, fs::read(dir.path().join(f)).unwrap()));
    let mut rng = lobe_core::Key::root(5).rng();
    let mut loaded = 0;
    for round in 0..300 {
        let (file, bytes) = &whole[round % 2];
        let mut bytes = bytes.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len());
            // Characters that mean something in either format.
            bytes[at] = *rng.choose(b"0919,\n\"\\{}[]-.eE:x \xff<");
        }
        fs::write(dir.path().join(file), &bytes).unwrap();
        if let Ok(run) = RunData::load(dir.path()) {
            loaded += 1;
            html::render(&run);
            terminal::render(&run, 40, terminal::Style::Unicode);
        }
        fs::write(dir.path().join(file), &whole[round % 2].1).unwrap();
    }
    assert!(loaded > 50, "only {loaded} of 300 damaged runs loaded: the test tests too little");
}

#[test]
fn axes_failures_and_prefixes_are_read_and_may_be_absent() {
    let plain = run(|_| ()).unwrap();
    assert!(plain.manifest.failed.is_empty() && plain.prefixes.is_empty());
    assert!(plain.manifest.stages.iter().all(|s| s.axis.is_none()));
    let read = run(|d| {
        edit(d, "manifest.json", |t| {
            let mut m: serde_json::Value = serde_json::from_str(&t).unwrap();
            m["stages"][0]["axis"] = serde_json::json!({ "name": "bits per weight", "unit": "bits" });
            m["failed"] = serde_json::json!([{ "stage": "train", "arm": "sgtm", "seed": 1,
                "reason": "loss of forget is NaN\u{1b}[2J", "step": 7 }]);
            m.to_string()
        });
        let found = r#"{"prefixes": [{"stage": "prefix", "arm": "sgtm", "seed": 0, "variant": "text",
            "tokens": [1, 2], "text": "le\u202echat", "survives": true}]}"#;
        fs::write(d.join("prefixes.json"), found).unwrap();
    });
    let read = read.unwrap();
    assert_eq!(
        read.manifest.stages[0].axis.as_ref().map(|a| (&a.name[..], &a.unit[..])),
        Some(("bits per weight", "bits"))
    );
    let failed = &read.manifest.failed[0];
    assert_eq!((&failed.arm[..], failed.seed, failed.step), ("sgtm", 1, 7));
    assert!(!failed.reason.contains('\u{1b}'), "{}", failed.reason);
    assert_eq!((&read.prefixes[0].text[..], read.prefixes[0].survives), ("le\u{fffd}chat", true));
}
