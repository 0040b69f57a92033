//! Chores of the workspace.
//!
//! ```text
//! cargo run -p xtask -- tidy           what no compiler checks: layers, sizes, dead paths, spelling
//! cargo run -p xtask -- gen            writes docs/generated/ from the lists in the code
//! cargo run -p xtask -- gen --check    fails if docs/generated/ is not what the code says
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to its user")]

mod files;
mod r#gen;
mod house;
mod markdown;
mod spelling;
mod tidy;
mod words;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match chore(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn chore(args: &[&str]) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    match args {
        ["tidy"] => {
            let report = tidy::run(root)?;
            for line in &report.warnings {
                println!("warning: {line}");
            }
            for line in &report.errors {
                println!("error: {line}");
            }
            println!("{}", report.summary);
            if !report.errors.is_empty() {
                bail!("{} findings", report.errors.len());
            }
        }
        ["gen"] => println!("{} files in {}", r#gen::write(root)?, r#gen::DIR),
        ["gen", "--check"] => {
            let drift = r#gen::drift(root)?;
            for d in &drift {
                println!("error: {d}");
            }
            if !drift.is_empty() {
                bail!("{} is out of date: cargo run -p xtask -- gen", r#gen::DIR);
            }
            println!("{} is what the code says", r#gen::DIR);
        }
        _ => bail!("usage: cargo run -p xtask -- tidy | gen [--check]"),
    }
    Ok(())
}
