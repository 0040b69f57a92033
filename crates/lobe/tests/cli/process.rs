//! The one door: the real program, in a temporary directory.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A place of its own for each test.
pub(crate) struct Place(TempDir);

/// What the program said, and how it ended.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Asserts the exit code, showing everything when it is another.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}:\n{}", self.out))
    }

    /// Asserts that the error is one line and says all of `words`.
    #[track_caller]
    pub(crate) fn refuses(self, words: &[&str]) -> Said {
        let said = self.ends(2);
        assert_eq!(said.err.trim_end().lines().count(), 1, "one line: {}", said.err);
        for w in words {
            assert!(said.err.contains(w), "{w:?} is missing in: {}", said.err);
        }
        said
    }
}

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lobe"));
        command
            .args(args)
            .current_dir(self.0.path())
            .env_remove("COLUMNS")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null());
        command
    }

    /// Runs `lobe` to its end.
    pub(crate) fn lobe(&self, args: &[&str]) -> Said {
        self.lobe_with(args, &[])
    }

    /// The same with some of the environment set.
    pub(crate) fn lobe_with(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = self.command(args);
        let Output { status, stdout, stderr } = command.envs(env.iter().copied()).output().unwrap();
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        Said { code: status.code(), out: text(stdout), err: text(stderr) }
    }

    /// Starts `lobe` and does not wait.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Waits until a file is there, for at most 20 seconds.
    #[track_caller]
    pub(crate) fn wait_for(&self, name: &str) {
        let start = Instant::now();
        while !self.path(name).exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "{name} never came");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `results.csv` and every model of a run, by name: what must not depend on how it came about.
    pub(crate) fn outcome(&self, run: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = vec!["results.csv".to_owned()];
        for stage in ["train", "ablate"] {
            let dir = self.path(run).join("stages").join(stage);
            let mut members: Vec<String> = std::fs::read_dir(dir)
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .map(|m| format!("stages/{stage}/{m}/model.safetensors"))
                .collect();
            members.sort();
            files.extend(members);
        }
        files.into_iter().map(|f| (f.clone(), self.read(&format!("{run}/{f}")))).collect()
    }
}

/// Asserts that two runs came to the same, byte for byte.
#[track_caller]
pub(crate) fn same(a: &[(String, Vec<u8>)], b: &[(String, Vec<u8>)]) {
    let names = |o: &[(String, Vec<u8>)]| o.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
    assert_eq!(names(a), names(b));
    for ((name, x), (_, y)) in a.iter().zip(b) {
        assert!(x == y, "{name} differs");
    }
}
