//! Puts the commit into the build, so that a run can say what made it.

use std::path::Path;
use std::process::Command;

fn git(args: &[&str]) -> Option<String> {
    let out = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(out.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn main() {
    // A packager without the repository may say it.
    let given = std::env::var("LOBE_COMMIT").ok().filter(|c| !c.is_empty());
    let commit =
        given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"])).unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=LOBE_BUILD_COMMIT={commit}");
    println!("cargo::rerun-if-env-changed=LOBE_COMMIT");
    println!("cargo::rerun-if-changed=build.rs");
    // HEAD names a branch, the branch's file or packed-refs names the commit.
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in [Some("HEAD".into()), branch, Some("packed-refs".into())].into_iter().flatten() {
        let file = git(&["rev-parse", "--git-path", &name]).filter(|f| Path::new(f).exists());
        if let Some(file) = file {
            println!("cargo::rerun-if-changed={file}");
        }
    }
}
