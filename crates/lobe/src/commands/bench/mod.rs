//! `lobe bench`: how fast the engine is on this machine.

mod gemm;
mod models;
mod ops;
mod post_hoc;
mod step;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// One whole training step, with or without routing
    Step(step::Args),
    /// Matrix products alone: the ceiling for everything else
    Gemm(gemm::Args),
    /// Every operation of a step on its own, compared with the ceiling
    Ops(ops::Args),
}

/// Measures.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Step(args) => step::run(args),
        Bench::Gemm(args) => gemm::run(args),
        Bench::Ops(args) => ops::run(args),
    }
}

/// The value at fraction `q` of some times; 0 without any.
fn quantile(times: &[f64], q: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    lobe_report::stats::quantile(&sorted, q).unwrap_or(0.0)
}

/// Largest memory this process ever had, in bytes, where the system says so.
fn peak_memory() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok());
    json!(kib.map(|k| k * 1024))
}

/// Threads a benchmark asked for; 0 is one per core.
fn threads(asked: u16) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { cores() } else { usize::from(asked) }
}
