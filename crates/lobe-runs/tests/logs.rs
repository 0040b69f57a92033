//! Logs and checkpoints of a member: cut back to each other, damage noticed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::Write as _;

use lobe_runs::{MemberDir, Metric, MetricsLog, RunDir};
use tempfile::TempDir;

fn member() -> (TempDir, RunDir, MemberDir) {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::create_or_open(&dir.path().join("run")).unwrap();
    let member = run.member("train", "sgtm", 3).unwrap();
    (dir, run, member)
}

fn metric(step: u64, value: f64) -> Metric {
    let [label, metric, unit] = ["forget", "loss", "nat"].map(String::from);
    Metric { step: Some(step), label, metric, value, unit }
}

#[test]
fn metrics_are_appended_and_cut_back_to_a_checkpoint() {
    let (_dir, _run, member) = member();
    let mut log = member.metrics().unwrap();
    assert!(log.is_empty());
    log.append(&metric(10, 3.25)).unwrap();
    let mark = log.len();
    log.append(&metric(20, 0.1)).unwrap();
    log.append(&Metric { step: None, ..metric(0, 7.0) }).unwrap();
    log.sync().unwrap();
    let path = member.path().join("metrics.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text.lines().next(),
        Some("{\"step\":10,\"label\":\"forget\",\"metric\":\"loss\",\"value\":3.25,\"unit\":\"nat\"}")
    );
    assert_eq!((text.len() as u64, member.read_metrics().unwrap().len()), (log.len(), 3));
    drop(log);
    // A process that was killed in the middle of a line.
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"step\":30,\"lab").unwrap();
    assert_eq!(member.read_metrics().unwrap().len(), 3);
    let mut log = member.metrics().unwrap();
    assert_eq!(log.len(), text.len() as u64);
    log.truncate_to(mark).unwrap();
    log.append(&metric(20, 0.2)).unwrap();
    drop(log);
    assert_eq!(member.read_metrics().unwrap(), [metric(10, 3.25), metric(20, 0.2)]);
}

#[test]
fn a_log_that_does_not_fit_its_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let mut log = MetricsLog::open(&path).unwrap();
    log.append(&metric(1, 1.0)).unwrap();
    let len = log.len();
    let error = |e: Result<(), lobe_runs::StoreError>| e.unwrap_err().to_string();
    assert!(
        error(log.truncate_to(len + 1))
            .starts_with(&format!("has {len} bytes, but the checkpoint was made at"))
    );
    assert!(error(log.truncate_to(len - 1)).starts_with("no line ends at byte"));
    assert!(
        error(log.append(&metric(2, f64::NAN))).starts_with("loss of forget is NaN: not a finite number")
    );
    log.truncate_to(len).unwrap();
    log.truncate_to(0).unwrap();
    drop(log);
    assert_eq!(MetricsLog::read(&path).unwrap(), []);
    fs::write(&path, "{\"step\":1}\n").unwrap();
    assert!(MetricsLog::read(&path).unwrap_err().to_string().starts_with("line 1: missing field"));
}

#[test]
fn long_logs_are_cut_at_the_right_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    let mut log = MetricsLog::open(&path).unwrap();
    let marks: Vec<u64> = (0..500)
        .map(|i| {
            log.append(&metric(i, i as f64 / 7.0)).unwrap();
            log.len()
        })
        .collect();
    drop(log);
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[b'x'; 9000]).unwrap();
    let mut log = MetricsLog::open(&path).unwrap();
    assert_eq!(log.len(), marks[499]);
    log.truncate_to(marks[250]).unwrap();
    drop(log);
    let read = MetricsLog::read(&path).unwrap();
    assert_eq!((read.len(), read[250].value), (251, 250.0 / 7.0));
}

#[test]
fn a_damaged_checkpoint_is_noticed_and_the_previous_one_used() {
    let (_dir, _run, member) = member();
    assert_eq!(member.load_checkpoint(1).unwrap(), None);
    let payload = |n: u8| vec![n; 1000];
    let newest = member.path().join("checkpoint.bin");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(Damage, &str); 5] = [
        (|b| b.truncate(700), "torn: its length is not what its header says"),
        (|b| b.truncate(20), "shorter than its header"),
        (|b| b[500] ^= 1, "its checksum does not match"),
        (|b| b[30] ^= 1, "its checksum does not match"),
        (|b| b[0] = 0, "not a checkpoint"),
    ];
    for (damage, why) in damages {
        for n in 1..=3 {
            member.save_checkpoint(1, &payload(n)).unwrap();
        }
        assert_eq!(member.load_checkpoint(1).unwrap().unwrap().payload, payload(3));
        let mut bytes = fs::read(&newest).unwrap();
        damage(&mut bytes);
        fs::write(&newest, bytes).unwrap();
        let found = member.load_checkpoint(1).unwrap().unwrap();
        assert_eq!((found.payload, found.warning), (payload(2), Some(format!("checkpoint.bin: {why}"))));
        // The damaged one is gone: the next one does not push it over the good one.
        member.save_checkpoint(1, &payload(4)).unwrap();
        fs::write(&newest, "").unwrap();
        assert_eq!(member.load_checkpoint(1).unwrap().unwrap().payload, payload(2));
    }
    let error = member.load_checkpoint(2).unwrap_err().to_string();
    assert!(error.starts_with("a checkpoint of another version of Lobe: "), "{error}");
    member.save_checkpoint(1, b"").unwrap();
    assert_eq!(member.load_checkpoint(1).unwrap().unwrap().payload, b"");
    member.clear_checkpoints().unwrap();
    assert_eq!((member.load_checkpoint(1).unwrap(), fs::read_dir(member.path()).unwrap().count()), (None, 0));
}
