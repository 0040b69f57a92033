//! `lobe bench gemm`: matrix products of the shapes that training has.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum as _;
use lobe_core::Key;
use lobe_engine::{View, ViewMut, gemm};
use serde_json::json;

use super::threads;
use crate::{out, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe bench gemm
  lobe bench gemm --threads 8 --json

The engine's products run on one thread each, because shards are what it runs in parallel; with N
threads this measures N such products side by side, each on its own matrices. The ceiling is the
best rate seen over all shapes.")]
pub(crate) struct Args {
    /// Threads of the second column; 0 is one per core
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Repetitions per shape; the fastest counts
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which operands are transposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub(super) enum Form {
    /// Neither.
    Nn,
    /// The second.
    Nt,
    /// The first.
    Tn,
}

/// (what, m, n, k, form)
type Shape = (&'static str, usize, usize, usize, Form);

const SHAPES: [Shape; 12] = [
    ("S fc1", 4096, 512, 128, Form::Nt),
    ("S fc2", 4096, 128, 512, Form::Nt),
    ("S dW", 512, 128, 4096, Form::Tn),
    ("S head", 4096, 2048, 128, Form::Nt),
    ("S head dW", 2048, 128, 4096, Form::Tn),
    ("S attention", 256, 256, 32, Form::Nt),
    ("M fc1", 2048, 1536, 384, Form::Nt),
    ("M dW", 1536, 384, 2048, Form::Tn),
    ("M head", 2048, 8192, 384, Form::Nt),
    ("AE", 2048, 2048, 784, Form::Nt),
    ("square", 2048, 2048, 2048, Form::Nn),
    ("square, in cache", 256, 256, 256, Form::Nn),
];

struct Operands {
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
    shape: Shape,
}

impl Operands {
    fn new(shape: Shape) -> Operands {
        let (_, m, n, k, _) = shape;
        let mut rng = Key::root(0).child("gemm").rng();
        let mut random = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.uniform() as f32 - 0.5).collect() };
        Operands { a: random(m * k), b: random(k * n), c: vec![0.0; m * n], shape }
    }

    fn multiply(&mut self) {
        let (_, m, n, k, form) = self.shape;
        let a = if form == Form::Tn { View::new(&self.a, k, m).t() } else { View::new(&self.a, m, k) };
        let b = if form == Form::Nt { View::new(&self.b, n, k).t() } else { View::new(&self.b, k, n) };
        gemm(ViewMut::new(&mut self.c, m, n), 1.0, a, b, false);
    }
}

/// Best rate in GFLOP/s of `threads` products side by side.
fn rate(shape: Shape, threads: usize, repeats: usize) -> f64 {
    let (_, m, n, k, _) = shape;
    let flop = 2.0 * m as f64 * n as f64 * k as f64;
    // Long enough for the clock, short enough for a dozen shapes.
    let times = (4e9 / flop).ceil().max(1.0) as usize;
    let barrier = Barrier::new(threads);
    let work = || {
        let mut x = Operands::new(shape);
        x.multiply();
        let mut best = Duration::MAX;
        for _ in 0..repeats.max(1) {
            barrier.wait();
            let start = Instant::now();
            (0..times).for_each(|_| x.multiply());
            // Until the slowest is done: the rate is that of all together.
            barrier.wait();
            best = best.min(start.elapsed());
        }
        best.as_secs_f64()
    };
    let seconds = std::thread::scope(|s| {
        let others: Vec<_> = (1..threads).map(|_| s.spawn(work)).collect();
        let first = work();
        others.into_iter().filter_map(|t| t.join().ok()).fold(first, f64::max)
    });
    flop * (times * threads) as f64 / seconds / 1e9
}

/// The best rate one thread reaches on a few shapes that suit it.
pub(super) fn ceiling() -> f64 {
    let pick = |name: &str| SHAPES.into_iter().find(|s| s.0 == name);
    let shapes = ["square", "AE", "S head", "M fc1", "square, in cache"];
    shapes.into_iter().filter_map(pick).map(|s| rate(s, 1, 5)).fold(0.0, f64::max)
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let threads = threads(args.threads);
    let mut measured = Vec::new();
    for shape in SHAPES {
        measured.push((shape, rate(shape, 1, args.repeats), rate(shape, threads, args.repeats)));
    }
    let best = |f: fn(&(Shape, f64, f64)) -> f64| measured.iter().map(f).fold(0.0, f64::max);
    let (one, many) = (best(|m| m.1), best(|m| m.2));
    let form = |f: Form| f.to_possible_value().map_or(String::new(), |v| v.get_name().to_owned());
    if args.json {
        let shapes = measured.iter().map(|((name, m, n, k, f), a, b)| {
            json!({ "name": name, "m": m, "n": n, "k": k, "form": form(*f), "gflops_1": a, "gflops_n": b,
                    "share_1": a / one, "share_n": b / many })
        });
        return Ok(out::json(&json!({
            "bench": "gemm", "unit": "GFLOP/s", "threads": threads, "ceiling_1": one, "ceiling_n": many,
            "shapes": shapes.collect::<Vec<_>>(), "build": crate::build(),
        }))?);
    }
    let rows: Vec<Vec<String>> = measured
        .iter()
        .map(|((name, m, n, k, f), a, b)| {
            let share = |x: f64, of: f64| format!("{:.0} %", 100.0 * x / of);
            let shape = format!("{m} {n} {k} {}", form(*f));
            vec![(*name).into(), shape, format!("{a:.0}"), share(*a, one), format!("{b:.0}"), share(*b, many)]
        })
        .collect();
    let many_threads = format!("{threads} threads");
    out::print(&table::columns(&["what", "m n k", "1 thread", "share", &many_threads, "share"], &rows, 2))?;
    Ok(out::print(&format!(
        "GFLOP/s. Ceiling (best seen): {one:.0} on one thread, {many:.0} on {threads}.\n"
    ))?)
}
