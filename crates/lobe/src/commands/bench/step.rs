//! `lobe bench step`: one whole training step.

use std::time::Instant;

use anyhow::Result;
use lobe_core::{Key, LabelId, LabelSet, Selection, UNLABELLED};
use lobe_engine::{MOST_LANES, Member, Plan, Program, Runner};
use lobe_methods::objective::{Minimise, Whole};
use lobe_methods::{Context, LOCALIZE, TrainsOn, UNLEARN};
use serde_json::{Value, json};

use super::models::{Model, Size};
use super::post_hoc::PostHoc;
use super::{peak_memory, quantile, threads};
use crate::failure::{refuse, unknown};
use crate::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe bench step --size S
  lobe bench step --size M --method sgtm --label forget --against-plain
  lobe bench step --size AE --threads 1 --json
  lobe bench step --size S --method npo --against-plain

The data is generated, and every row carries the same label. Routed methods work on
  blocks.*.mlp.post[-64..] + blocks.*.attn.z[-1]     (S, M)
  latent[-16..]                                      (AE)
A step of a post-hoc method takes as many forget sequences, and as many retain sequences, as an
ordinary step takes sequences.")]
pub(crate) struct Args {
    /// Network to train
    #[arg(long, value_enum, ignore_case = true, default_value = "S")]
    size: Size,
    /// Localisation method, or post-hoc method of removal (see `lobe list`)
    #[arg(long, default_value = "none")]
    method: String,
    /// Label of all data [default: unlabelled]
    #[arg(long)]
    label: Option<String>,
    /// Worker threads; 0 means one per core
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Gradient lanes, as in a recipe's `[train]`; at least as many as threads
    #[arg(long)]
    lanes: Option<usize>,
    /// Sequences or images per shard [default: 1 sequence, 256 images]
    #[arg(long)]
    rows_per_shard: Option<usize>,
    /// Timed steps
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    steps: u64,
    /// Steps before the clock starts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=100_000))]
    warmup: u64,
    /// Alternate with ordinary training and print the ratio, which drifts less than either time
    #[arg(long)]
    against_plain: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Routes of the method against the network.
fn plan(model: &Model, args: &Args, label: LabelId) -> Result<Plan> {
    let names = LOCALIZE.iter().map(|e| e.about.name).chain(UNLEARN.iter().map(|e| e.about.name));
    let Some(entry) = LOCALIZE.iter().find(|e| e.about.name == args.method) else {
        return Err(unknown("method", &args.method, names));
    };
    let labels = LabelSet::default();
    let (method, _) = (entry.build)(&json!({}))?;
    let count = method.regions().0;
    let regions: Vec<String> = (0..count).map(|i| format!("region-{i}")).collect();
    let selections: Vec<Selection> = (0..count).map(|_| model.selection()).collect::<Result<_>>()?;
    let table = method.table(&Context { labels: &labels, regions: &regions })?;
    if let TrainsOn::Without(topics) = method.trains_on(&labels)?
        && topics.contains(&label)
    {
        return Err(refuse(format!(
            "{} leaves {} data out: there is no step to time",
            args.method,
            labels.name(label)
        )));
    }
    Ok(Plan::new(model.net.layout(), &labels, &selections, &table)?)
}

/// One way of training, and what it took.
struct Way<'a> {
    member: Member,
    kind: Kind<'a>,
    ms: Vec<f64>,
    losses: Vec<f64>,
}

enum Kind<'a> {
    /// Ordinary data of one label under the member's routes.
    Routed(LabelId),
    PostHoc(Box<PostHoc<'a>>),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let labels = LabelSet::default();
    let names = || labels.names().iter().map(String::as_str);
    let asked = args.label.as_deref().unwrap_or(labels.name(UNLABELLED));
    let label = labels.find(asked).ok_or_else(|| unknown("label", asked, names()))?;
    let threads = threads(args.threads);
    let lanes = args.lanes.unwrap_or(threads.clamp(2, MOST_LANES));
    if !(1..=MOST_LANES).contains(&lanes) {
        return Err(refuse(format!("--lanes {lanes}: expected 1 to {MOST_LANES}")));
    }
    let model = Model::new(args.size)?;
    let rows = args.rows_per_shard.unwrap_or(if args.size == Size::Ae { 256 } else { 1 });
    let runner = Runner::new(threads)?;
    let layout = model.net.layout();
    let optimiser = model.optimiser();
    let reference = layout.init(Key::root(0));
    let routed = |plan, label| -> Result<Way<'_>> {
        let member = Member::new(reference.clone(), plan, lanes)?;
        Ok(Way { member, kind: Kind::Routed(label), ms: Vec::new(), losses: Vec::new() })
    };
    let total = args.warmup + args.steps;
    let first = match UNLEARN.iter().find(|e| e.about.name == args.method) {
        Some(_) if args.label.is_some() || args.rows_per_shard.is_some_and(|r| r != 1) => {
            let what = "takes forget and retain data by the sequence: leave --label and --rows-per-shard out";
            return Err(refuse(format!("{} {what}", args.method)));
        }
        Some(entry) => {
            let p = PostHoc::new(&model, &runner, entry, &reference, total)?;
            let member = p.member(&reference, lanes)?;
            Way { member, kind: Kind::PostHoc(Box::new(p)), ms: Vec::new(), losses: Vec::new() }
        }
        None => routed(plan(&model, args, label)?, label)?,
    };
    // Neighbours see the same data under the same label; only the routes differ.
    let mut ways = vec![first];
    if args.against_plain {
        ways.push(routed(Plan::plain(layout), UNLABELLED)?);
    }
    let (mut batch, terms) = (model.batch(rows), model.terms());
    let mut allocations = 0;
    for step in 0..total {
        for way in &mut ways {
            if let Kind::Routed(label) = way.kind {
                model.fill(&mut batch, step, label);
            }
            let start = Instant::now();
            let objective = match &mut way.kind {
                Kind::PostHoc(p) => p.step(&mut way.member, step)?,
                Kind::Routed(_) => {
                    let whole = Whole::new(&batch, labels.len());
                    let program = Minimise::new(&*model.net, &terms, whole);
                    let mut jobs = [(&mut way.member, &program as &dyn Program, &optimiser)];
                    runner.step(layout, &mut jobs, step)?[0].objective
                }
            };
            if step >= args.warmup {
                way.ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
            way.losses.push(objective);
        }
        if step + 1 == args.warmup.max(1) {
            allocations = runner.allocations();
        }
    }
    let grown = runner.allocations() - allocations;
    let result = report(args, &model, (threads, lanes, rows), &ways, grown);
    if args.json {
        return Ok(out::json(&result)?);
    }
    show(&result, &model)
}

fn report(
    args: &Args,
    model: &Model,
    (threads, lanes, rows): (usize, usize, usize),
    ways: &[Way<'_>],
    grown: usize,
) -> Value {
    let times = &ways[0];
    let at = |q| quantile(&times.ms, q);
    let median = at(0.5);
    let (label, seen, inner) = match &times.kind {
        Kind::Routed(label) => (LabelSet::default().name(*label).to_owned(), model.rows(), None),
        Kind::PostHoc(p) => ("forget, retain".to_owned(), p.targets, p.inner_steps),
    };
    let mut out = json!({
        "bench": "step", "size": format!("{:?}", args.size).to_uppercase(), "method": args.method, "label": label,
        "threads": threads, "lanes": lanes, "rows_per_shard": rows, "batch": model.batch,
        "parameters": model.net.layout().len(), "warmup": args.warmup, "steps": args.steps,
        "median_ms": median, "min_ms": at(0.0), "q25_ms": at(0.25), "q75_ms": at(0.75), "max_ms": at(1.0),
        "per_second": seen as f64 / (median / 1e3), "unit": model.unit(),
        "peak_memory_bytes": peak_memory(), "buffers_after_warmup": grown,
        "first_loss": times.losses.first(), "last_loss": times.losses.last(), "build": crate::build(),
    });
    if let Some(inner) = inner {
        out["inner_steps"] = json!(inner);
    }
    if let Some(plain) = ways.get(1) {
        let ratios: Vec<f64> = times.ms.iter().zip(&plain.ms).map(|(a, b)| a / b).collect();
        out["plain_median_ms"] = json!(quantile(&plain.ms, 0.5));
        out["ratio_to_plain"] = json!(quantile(&ratios, 0.5));
        out["ratio_q25"] = json!(quantile(&ratios, 0.25));
        out["ratio_q75"] = json!(quantile(&ratios, 0.75));
        if let Some(inner) = inner {
            out["ratio_per_inner_step"] = json!(quantile(&ratios, 0.5) / inner as f64);
        }
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
    if r["ratio_per_inner_step"].is_number() {
        text += &format!(
            "{:.3} of an ordinary step for each of {} inner steps, the outer one divided among them\n",
            f("ratio_per_inner_step"),
            r["inner_steps"]
        );
    }
    Ok(out::print(&text)?)
}
