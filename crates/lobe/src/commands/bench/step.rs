//! `lobe bench step`: one whole training step.

use std::time::Instant;

use anyhow::Result;
use lobe_core::{Key, LabelSet, Selection, UNLABELLED};
use lobe_engine::{Member, OptimiserState, Plan, Runner};
use lobe_methods::{Context, LOCALIZE, TrainsOn};
use serde_json::{Value, json};

use super::models::{Batch, Model, Plain, Size};
use super::{peak_memory, quantile, threads};
use crate::failure::{refuse, unknown};
use crate::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe bench step --size S
  lobe bench step --size M --method sgtm --label forget --against-plain
  lobe bench step --size AE --threads 1 --json

Data are made on the spot and every row carries the one label. Routed methods work on
  blocks.*.mlp.post[-64..] + blocks.*.attn.z[-1]     (S, M)
  latent[-16..]                                      (AE)")]
pub(crate) struct Args {
    /// Network to train
    #[arg(long, value_enum, ignore_case = true, default_value = "S")]
    size: Size,
    /// Localisation method (see `lobe list`)
    #[arg(long, default_value = "none")]
    method: String,
    /// Label of all data
    #[arg(long, default_value = "unlabelled")]
    label: String,
    /// Worker threads; 0 is one per core
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Gradient lanes, as in a recipe's `[train]`; at least as many as threads
    #[arg(long)]
    lanes: Option<usize>,
    /// Sequences or images that a worker takes at once [default: 1 sequence, 256 images]
    #[arg(long)]
    rows_per_shard: Option<usize>,
    /// Timed steps
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    steps: u64,
    /// Steps before the clock starts
    #[arg(long, default_value_t = 3)]
    warmup: u64,
    /// Alternate with ordinary training and give the ratio: a shared machine drifts, neighbours do not
    #[arg(long)]
    against_plain: bool,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
}

/// Routes of the method against the network.
fn plan(model: &Model, args: &Args) -> Result<Plan> {
    let names = LOCALIZE.iter().map(|e| e.about.name);
    let Some(entry) = LOCALIZE.iter().find(|e| e.about.name == args.method) else {
        return Err(unknown("method", &args.method, names));
    };
    let labels = LabelSet::default();
    let (method, _) = (entry.build)(&json!({}))?;
    let count = method.regions().0;
    let regions: Vec<String> = (0..count).map(|i| format!("region-{i}")).collect();
    let selections: Vec<Selection> = (0..count).map(|_| model.selection()).collect::<Result<_>>()?;
    let table = method.table(&Context { labels: &labels, regions: &regions })?;
    if let TrainsOn::Without(l) = method.trains_on()
        && labels.name(l) == args.label
    {
        return Err(refuse(format!(
            "{} leaves {} data out: there is no step to time",
            args.method, args.label
        )));
    }
    Ok(Plan::new(model.net.layout(), &labels, &selections, &table)?)
}

/// What one way of training took.
#[derive(Default)]
struct Times {
    ms: Vec<f64>,
    losses: Vec<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let labels = LabelSet::default();
    let names = || labels.names().iter().map(String::as_str);
    let label = labels.find(&args.label).ok_or_else(|| unknown("label", &args.label, names()))?;
    let model = Model::new(args.size)?;
    let threads = threads(args.threads);
    let lanes = args.lanes.unwrap_or(threads.max(2));
    let rows = args.rows_per_shard.unwrap_or(if args.size == Size::Ae { 256 } else { 1 });
    let runner = Runner::new(threads)?;
    let layout = model.net.layout();
    let optimiser = model.optimiser();
    let member = |plan| {
        let params = layout.init(Key::root(0));
        let state = OptimiserState::new(params.len(), optimiser.kind);
        Member::new(params, plan, state, lanes)
    };
    // Neighbours see the same data under the same label; only the routes differ.
    let mut members = vec![(member(plan(&model, args)?)?, label, Times::default())];
    if args.against_plain {
        members.push((member(Plan::plain(layout))?, UNLABELLED, Times::default()));
    }
    let (mut batch, plain) = (Batch::new(&model, rows), Plain::default());
    let mut allocations = 0;
    for step in 0..args.warmup + args.steps {
        for (member, label, times) in &mut members {
            batch.fill(&model, step, *label);
            let Some(program) = batch.program(&model, &plain) else { continue };
            let start = Instant::now();
            let report = runner.step(layout, &mut [(member, &*program, &optimiser)], step)?;
            if step >= args.warmup {
                times.ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
            times.losses.push(report[0].objective);
        }
        if step + 1 == args.warmup.max(1) {
            allocations = runner.allocations();
        }
    }
    let grown = runner.allocations() - allocations;
    let result = report(args, &model, threads, lanes, rows, &members, grown);
    if args.json {
        return Ok(out::json(&result)?);
    }
    show(&result, &model)
}

fn report(
    args: &Args,
    model: &Model,
    threads: usize,
    lanes: usize,
    rows: usize,
    members: &[(Member, lobe_core::LabelId, Times)],
    grown: usize,
) -> Value {
    let times = &members[0].2;
    let at = |q| quantile(&times.ms, q);
    let median = at(0.5);
    let mut out = json!({
        "bench": "step", "size": format!("{:?}", args.size).to_uppercase(), "method": args.method, "label": args.label,
        "threads": threads, "lanes": lanes, "rows_per_shard": rows, "batch": model.batch,
        "parameters": model.net.layout().len(), "warmup": args.warmup, "steps": args.steps,
        "median_ms": median, "min_ms": at(0.0), "q25_ms": at(0.25), "q75_ms": at(0.75), "max_ms": at(1.0),
        "per_second": model.rows() as f64 / (median / 1e3), "unit": model.unit(),
        "peak_memory_bytes": peak_memory(), "buffers_after_warmup": grown,
        "first_loss": times.losses.first(), "last_loss": times.losses.last(), "build": crate::build(),
    });
    if let Some((_, _, plain)) = members.get(1) {
        let ratios: Vec<f64> = times.ms.iter().zip(&plain.ms).map(|(a, b)| a / b).collect();
        out["plain_median_ms"] = json!(quantile(&plain.ms, 0.5));
        out["ratio_to_plain"] = json!(quantile(&ratios, 0.5));
        out["ratio_q25"] = json!(quantile(&ratios, 0.25));
        out["ratio_q75"] = json!(quantile(&ratios, 0.75));
    }
    out
}

fn show(r: &Value, model: &Model) -> Result<()> {
    let f = |k: &str| r[k].as_f64().unwrap_or(0.0);
    let mut text = format!(
        "{} ({} parameters), {} on {} data, {} threads, {} steps\n",
        r["size"].as_str().unwrap_or_default(),
        model.net.layout().len(),
        r["method"].as_str().unwrap_or_default(),
        r["label"].as_str().unwrap_or_default(),
        r["threads"],
        r["steps"]
    );
    text += &format!(
        "median {:.1} ms   quartiles {:.1} to {:.1}   fastest {:.1}\n",
        f("median_ms"),
        f("q25_ms"),
        f("q75_ms"),
        f("min_ms")
    );
    text += &format!(
        "{:.0} {}   loss {:.3} → {:.3}",
        f("per_second"),
        model.unit(),
        f("first_loss"),
        f("last_loss")
    );
    if let Some(bytes) = r["peak_memory_bytes"].as_f64() {
        text += &format!("   peak memory {:.0} MiB", bytes / f64::from(1 << 20));
    }
    text.push('\n');
    if r["ratio_to_plain"].is_number() {
        text += &format!(
            "{:.3} of an ordinary step [{:.3}, {:.3}], which took {:.1} ms\n",
            f("ratio_to_plain"),
            f("ratio_q25"),
            f("ratio_q75"),
            f("plain_median_ms")
        );
    }
    Ok(out::print(&text)?)
}
