//! What the examples share: a program that is `lobe` with one thing more, and a run of a small recipe.
//!
//! ```sh
//! cargo run -p lobe-examples --example own_attack                         runs the example's recipe
//! cargo run -p lobe-examples --example own_attack -- explain own-attack   is lobe with the attack in it
//! ```

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use lobe_lab::graph::{Options, Silent};
use lobe_lab::recipe::Written;
use lobe_lab::schedule;
use lobe_runs::{ResultRow, read_results};

/// The program `lobe` with whatever was added before. Without arguments it runs `recipe` and shows the answer.
///
/// # Errors
/// If there is no place for the run.
pub fn lobe_or(recipe: &str) -> Result<ExitCode, Box<dyn Error>> {
    if std::env::args_os().len() > 1 {
        return Ok(lobe::main());
    }
    let place = tempfile::tempdir()?;
    let file = place.path().join("recipe.toml");
    std::fs::write(&file, recipe)?;
    let out = place.path().join("run");
    Ok(lobe::run(["lobe".as_ref(), "run".as_ref(), file.as_os_str(), "--out".as_ref(), out.as_os_str()]))
}

/// Runs a recipe into the folder `out` and returns the rows of its `results.csv`.
///
/// # Errors
/// If the recipe is wrong or a stage fails.
pub fn run(recipe: &str, out: &Path) -> Result<Vec<ResultRow>, Box<dyn Error>> {
    let written = Written::from_str("example.toml", recipe)?;
    let (recipe, derived) = schedule::resolve(&written)?;
    let (stop, command, build) = (AtomicBool::new(false), String::new(), String::new());
    let options = Options { threads: 0, stop: &stop, progress: &Silent, command, build };
    schedule::run(&written, &recipe, &derived, out, &options)?;
    let mut rows = Vec::new();
    read_results(&std::fs::read_to_string(out.join("results.csv"))?, |_, row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// The number of (stage, arm, label, metric) that belongs to no step.
pub fn number(rows: &[ResultRow], [stage, arm, label, metric]: [&str; 4]) -> Option<f64> {
    let is = |r: &&ResultRow| {
        r.stage == stage && r.arm == arm && r.label == label && r.metric == metric && r.step.is_none()
    };
    rows.iter().find(is).map(|r| r.value)
}
