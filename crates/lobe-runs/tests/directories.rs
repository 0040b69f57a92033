//! Run directories: atomic, locked, damage noticed, the same rows the same bytes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Error;
use std::path::Path;

use lobe_runs::{
    MemberDir, Order, ResultRow, RunDir, State, Status, TimingRow, check_name, results_csv, timings_csv,
    write_atomic, write_atomic_with,
};
use tempfile::TempDir;

fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut out: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    out.sort();
    out
}

fn member() -> (TempDir, RunDir, MemberDir) {
    let dir = temp();
    let run = RunDir::create_or_open(&dir.path().join("run")).unwrap();
    let member = run.member("train", "sgtm", 3).unwrap();
    (dir, run, member)
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let dir = temp();
    let path = dir.path().join("a.json");
    write_atomic(&path, b"old").unwrap();
    let failed = write_atomic_with(&path, |out| {
        out.write_all(b"half of the new")?;
        Err(Error::other("disk on fire"))
    });
    let message = failed.unwrap_err().to_string();
    assert_eq!(message, format!("cannot be written: disk on fire: {}", path.display()));
    assert_eq!(
        (fs::read(&path).unwrap().as_slice(), names(dir.path())),
        (b"old".as_slice(), vec!["a.json".into()])
    );
    write_atomic(&path, b"new").unwrap();
    assert_eq!((fs::read(&path).unwrap().as_slice(), names(dir.path()).len()), (b"new".as_slice(), 1));
}

#[test]
fn readers_see_the_old_or_the_new_file_never_a_mixture() {
    let dir = temp();
    let path = dir.path().join("a.bin");
    write_atomic(&path, &[0; 1000].repeat(100)).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..2u8 {
            let path = &path;
            scope.spawn(move || {
                (0..20).for_each(|i| write_atomic(path, &vec![writer * 20 + i; 100_000]).unwrap());
            });
        }
        for _ in 0..200 {
            let bytes = fs::read(&path).unwrap();
            assert!(bytes.len() == 100_000 && bytes.iter().all(|b| *b == bytes[0]));
        }
    });
    assert_eq!(names(dir.path()), ["a.bin"]);
}

#[test]
fn only_empty_directories_and_runs_are_opened() {
    let dir = temp();
    let run = dir.path().join("deep/run");
    drop(RunDir::create_or_open(&run).unwrap());
    drop(RunDir::create_or_open(&run).unwrap());
    let home = dir.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("thesis.tex"), "x").unwrap();
    let error = RunDir::create_or_open(&home).unwrap_err().to_string();
    assert_eq!(error, format!("not an empty directory and not a run: {}", home.display()));
    assert_eq!(names(&home), ["thesis.tex"]);
    fs::write(home.join("manifest.json"), "{\"short_name\": \"web app\"}").unwrap();
    let error = RunDir::create_or_open(&home).unwrap_err().to_string();
    assert!(error.starts_with("not the manifest of a run: "), "{error}");
    assert!(RunDir::create_or_open(&home.join("thesis.tex")).is_err());
}

#[test]
fn two_processes_cannot_write_the_same_run() {
    let dir = temp();
    let run = RunDir::create_or_open(dir.path()).unwrap();
    let error = RunDir::create_or_open(dir.path()).unwrap_err().to_string();
    assert_eq!(error, format!("another process is writing this run: {}", dir.path().display()));
    drop(run);
    RunDir::create_or_open(dir.path()).unwrap();
}

#[test]
fn what_a_killed_process_was_writing_is_removed() {
    let (_dir, run, member) = member();
    let (root, path) = (run.path().to_owned(), member.path().to_owned());
    fs::write(root.join(".manifest.json.77-1.tmp"), "{").unwrap();
    fs::write(path.join(".checkpoint.bin.77-2.tmp"), "LOBE").unwrap();
    drop(run);
    let run = RunDir::create_or_open(&root).unwrap();
    run.member("train", "sgtm", 3).unwrap();
    assert_eq!((names(&root), names(&path).len()), (vec!["run.lock".into(), "stages".into()], 0));
}

#[test]
fn hostile_names_do_not_become_paths() {
    let dir = temp();
    let run = RunDir::create_or_open(&dir.path().join("run")).unwrap();
    let long = "x".repeat(101);
    for name in [
        "", ".", "..", "a/b", "a\\b", "/etc", "../x", "a\0b", "C:", ".hidden", "a.", "a b", "-rf", "é", &long,
    ] {
        assert!(check_name(name).is_err(), "{name:?}");
        assert!(run.member(name, "a", 0).is_err() && run.member("a", name, 0).is_err(), "{name:?}");
        assert!(run.write(name, |_| Ok(())).is_err(), "{name:?}");
    }
    let error = check_name("../x").unwrap_err().to_string();
    assert_eq!(
        error,
        "\"../x\" cannot be part of a path: only letters, digits, \".\", \"_\" and \"-\" are allowed"
    );
    assert_eq!(names(dir.path()), ["run"]);
    assert_eq!(names(run.path()), ["run.lock"]);
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_the_run() {
    let dir = temp();
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let run = RunDir::create_or_open(&dir.path().join("run")).unwrap();
    fs::create_dir(run.path().join("stages")).unwrap();
    std::os::unix::fs::symlink(&outside, run.path().join("stages/train")).unwrap();
    let error = run.member("train", "a", 0).unwrap_err().to_string();
    assert!(error.starts_with("a link inside of a run: "), "{error}");
    let target = outside.join("target");
    fs::write(&target, "mine").unwrap();
    std::os::unix::fs::symlink(&target, run.path().join("report.html")).unwrap();
    run.write("report.html", |out| out.write_all(b"report")).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "mine");
    assert_eq!(names(&outside), ["target"]);
}

#[test]
fn the_status_says_what_is_done() {
    let (_dir, _run, member) = member();
    assert!(member.path().ends_with("stages/train/sgtm.3"));
    assert_eq!(member.status().unwrap(), None);
    let mut status = Status {
        key: "k".into(),
        state: State::Running,
        step: 10,
        steps: 20,
        log: None,
        same_as: None,
        failed: None,
    };
    member.set_status(&status).unwrap();
    assert_eq!((member.status().unwrap(), member.is_done("k").unwrap()), (Some(status.clone()), false));
    status.state = State::Done;
    member.set_status(&status).unwrap();
    assert_eq!((member.is_done("k").unwrap(), member.is_done("other").unwrap()), (true, false));
    let text = fs::read_to_string(member.path().join("status.json")).unwrap();
    assert_eq!(text, "{\n  \"key\": \"k\",\n  \"state\": \"done\",\n  \"step\": 10,\n  \"steps\": 20\n}\n");
    fs::write(member.path().join("status.json"), "{\"key\"").unwrap();
    assert_eq!(member.status().unwrap(), None);
}

fn row(stage: &str, arm: &str, seed: u64, metric: &str, step: Option<u64>, value: f64) -> ResultRow {
    let [stage, arm, label, metric, unit] = [stage, arm, "forget", metric, "nat"].map(String::from);
    ResultRow { stage, arm, seed, label, metric, step, value, unit }
}

#[test]
fn results_are_sorted_and_the_same_rows_give_the_same_bytes() {
    let names = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<String>>();
    let (stages, arms) = (names(&["train", "ablate"]), names(&["sgtm", "baseline"]));
    let order = Order { stages: &stages, arms: &arms };
    let rows = vec![
        row("ablate", "sgtm", 0, "relearn_loss@zero,lr=0.001", Some(5), 1.0),
        row("train", "baseline", 2, "loss", Some(100), 1.0 / 3.0),
        row("train", "baseline", 2, "loss", None, 2.0),
        row("train", "baseline", 2, "loss", Some(20), 3.0),
        row("train", "baseline", 10, "loss", Some(20), 1e-7),
        row("train", "sgtm", 11, "say \"x\"", Some(20), -0.0),
    ];
    let expected = "stage,arm,seed,label,metric,step,value,unit\n\
        train,sgtm,11,forget,\"say \"\"x\"\"\",20,0,nat\n\
        train,baseline,2,forget,loss,20,3,nat\n\
        train,baseline,2,forget,loss,100,0.3333333333333333,nat\n\
        train,baseline,2,forget,loss,,2,nat\n\
        train,baseline,10,forget,loss,20,1e-7,nat\n\
        ablate,sgtm,0,forget,\"relearn_loss@zero,lr=0.001\",5,1,nat\n";
    assert_eq!(results_csv(&rows, order).unwrap(), expected);
    let mut other: Vec<ResultRow> = rows.iter().rev().cloned().collect();
    other.push(rows[2].clone());
    assert_eq!(results_csv(&other, order).unwrap(), expected);
    let error = |row: ResultRow| {
        results_csv(&rows.iter().cloned().chain([row]).collect::<Vec<_>>(), order).unwrap_err().to_string()
    };
    assert_eq!(
        error(row("train", "baseline", 2, "loss", Some(20), 4.0)),
        "results: train, baseline.2: loss of forget at step 20 is 3 nat and 4 nat"
    );
    assert_eq!(
        error(row("train", "baseline", 2, "loss", None, f64::INFINITY)),
        "results: train, baseline.2: loss of forget is inf nat is not a finite number"
    );
    assert_eq!(error(row("trian", "sgtm", 0, "loss", None, 1.0)), "results: no stage is called \"trian\"");
    let timing = |arm: &str, seconds| TimingRow {
        stage: "train".into(),
        arm: arm.into(),
        seed: 0,
        seconds,
        rate: Some(1500.5),
        unit: "tokens/s".into(),
    };
    assert_eq!(
        timings_csv(&[timing("baseline", 2.0), timing("sgtm", 0.25)], order).unwrap(),
        "stage,arm,seed,seconds,rate,unit\ntrain,sgtm,0,0.25,1500.5,tokens/s\ntrain,baseline,0,2,1500.5,tokens/s\n"
    );
    assert!(timings_csv(&[timing("sgtm", f64::NAN)], order).is_err());
}

#[test]
fn finished_work_of_another_key_is_kept_and_comes_back() {
    let (_dir, run, member) = member();
    let [a, b] = ["a", "b"].map(|c| c.repeat(64));
    let status = |key: &str, state| Status {
        key: key.into(),
        state,
        step: 1,
        steps: 1,
        log: None,
        same_as: None,
        failed: None,
    };
    let model = || fs::read_to_string(member.path().join("model.safetensors")).unwrap_or_default();
    member.write("model.safetensors", |w| w.write_all(b"first")).unwrap();
    member.set_status(&status(&a, State::Done)).unwrap();
    assert!(!member.settle(&a).unwrap(), "it is that of the key");
    assert!(member.settle(&b).unwrap());
    assert_eq!((model().as_str(), member.status().unwrap()), ("", None));
    member.write("model.safetensors", |w| w.write_all(b"second")).unwrap();
    member.set_status(&status(&b, State::Done)).unwrap();
    // There and back.
    assert!(member.settle(&a).unwrap());
    assert_eq!(model(), "first");
    assert!(member.is_done(&a).unwrap());
    assert!(member.settle(&b).unwrap());
    assert_eq!(model(), "second");
    assert_eq!(names(&run.path().join("kept/train")), [format!("sgtm.3.{}", "a".repeat(16))]);
    // What a checkpoint can go on with is kept, too.
    member.set_status(&status(&b, State::Running)).unwrap();
    member.save_checkpoint(1, b"half").unwrap();
    assert!(member.settle(&a).unwrap());
    assert_eq!(model(), "first");
    assert!(member.settle(&b).unwrap());
    assert_eq!(member.load_checkpoint(1).unwrap().unwrap().payload, b"half");
    // What nothing can go on with is not kept, and does not stay to be shown.
    member.clear_checkpoints().unwrap();
    member.metrics().unwrap().append(&lobe_runs::Metric::new("forget", "loss", 1.0, "nat")).unwrap();
    let c = "c".repeat(64);
    assert!(!member.settle(&c).unwrap());
    assert_eq!((member.status().unwrap(), member.read_metrics().unwrap().len()), (None, 0));
    assert!(!member.settle(&a).unwrap());
    assert_eq!(model(), "first");
    // A status that somebody else wrote leads nowhere.
    member.set_status(&status("../../../x", State::Done)).unwrap();
    assert!(!member.settle(&b).unwrap());
    assert!(!run.path().join("kept").join("x").exists());
}
