//! `lobe bench ops`: every kind of operation of a step by itself, on one thread.

use std::time::Instant;

use anyhow::Result;
use lobe_core::{Key, UNLABELLED};
use lobe_engine::ops::attention::AttentionSpec;
use lobe_engine::ops::head::RowWeights;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{
    EngineError, Layout, Member, ParamId, Plan, Program, Runner, ShardRows, Tape, Var, Workspace,
};
use lobe_methods::objective::{Minimise, Whole};
use lobe_nets::{Gpt, GptConfig, hub};
use serde_json::json;

use super::models::{Model, SEQ, Size};
use super::{gemm, quantile};
use crate::failure::refuse;
use crate::{out, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe bench ops --size S
  lobe bench ops --size M --json

Each operation runs alone on one sequence, forward and backward, again and again on the same
buffers, so its data may be warmer in the cache than within a step; the last lines hold the sum
against a whole step on one thread. The ceiling is the best rate seen, of a plain matrix product or in an operation.
Floating-point operations are those of matrix products, attention counted causally.")]
pub(crate) struct Args {
    /// Network (S or M)
    #[arg(long, value_enum, ignore_case = true, default_value = "S")]
    size: Size,
    /// Repetitions per operation; the median counts
    #[arg(long, default_value_t = 31)]
    repeats: usize,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The parameters of one block, and an input per width that gradients can flow back to.
struct Parts {
    layout: Layout,
    x: ParamId,
    wide: ParamId,
    qkv_in: ParamId,
    gain: ParamId,
    shift: ParamId,
    qkv: (ParamId, ParamId),
    out: (ParamId, ParamId),
    up: (ParamId, ParamId),
    down: (ParamId, ParamId),
}

impl Parts {
    fn new(c: &GptConfig) -> Parts {
        let (d, h) = (c.width, c.mlp);
        let mut l = Layout::default();
        let init = lobe_engine::Init::Normal(0.02);
        let mut add = |name: &str, rows, cols| {
            l.tensor(name, rows, cols).init(init).joint(lobe_core::JointKind::Head).add()
        };
        let mut layer = |name: &str, from, to| {
            (add(&format!("{name}.weight"), from, to), add(&format!("{name}.bias"), 1, to))
        };
        let (qkv, out, up, down) =
            (layer("qkv", d, 3 * d), layer("out", d, d), layer("in", d, h), layer("down", h, d));
        let (gain, shift) = (add("gain", 1, d), add("shift", 1, d));
        let (x, wide, qkv_in) = (add("x", SEQ, d), add("wide", SEQ, h), add("qkv_in", SEQ, 3 * d));
        Parts { x, wide, qkv_in, gain, shift, qkv, out, up, down, layout: l }
    }
}

/// One kind of operation.
struct Op<'a> {
    name: &'static str,
    /// How often per sequence.
    count: usize,
    /// Floating-point operations of one forward and one backward pass.
    flop: (f64, f64),
    layout: &'a Layout,
    /// The variable a gradient must be able to reach; its own cost is taken off.
    input: Option<ParamId>,
    /// Builds the operation; `None` when its gradient is already on its way.
    build: Box<dyn Fn(&mut Tape<'_>, Option<Var>) -> Result<Option<Var>, EngineError> + 'a>,
}

/// Median seconds of a forward and of a backward pass.
fn time(op: &Op<'_>, repeats: usize, bare: bool) -> Result<(f64, f64)> {
    let params = op.layout.init(Key::root(0));
    let mut grads = vec![0.0; params.len()];
    let plan = Plan::plain(op.layout);
    let mut ws = Workspace::default();
    let (mut forward, mut backward) = (Vec::new(), Vec::new());
    for i in 0..repeats.max(1) + 2 {
        let rows = ShardRows::uniform(SEQ, UNLABELLED);
        let mut tape = Tape::new(&mut ws, op.layout, &params, Some(&mut grads), &plan, rows);
        let input = op.input.map(|p| tape.leaf(p));
        let start = Instant::now();
        let out = if bare { input } else { (op.build)(&mut tape, input)? };
        let middle = start.elapsed();
        if let Some(out) = out {
            let (r, c) = tape.shape(out);
            tape.seed_grad(out, &vec![1e-3; r * c])?;
        }
        let start = Instant::now();
        tape.backward(0)?;
        if i >= 2 {
            forward.push(middle.as_secs_f64());
            backward.push(start.elapsed().as_secs_f64());
        }
    }
    Ok((quantile(&forward, 0.5), quantile(&backward, 0.5)))
}

fn operations<'a>(net: &'a Gpt, parts: &'a Parts, ids: &'a [u32]) -> Vec<Op<'a>> {
    let c = &net.config;
    let (d, layers) = (c.width, c.layers);
    let linear = |name, (weight, bias): (ParamId, ParamId), input, act, residual: bool| {
        let t = parts.layout.get(weight);
        let flop = 2.0 * (SEQ * t.rows * t.cols) as f64;
        Op {
            name,
            count: layers,
            flop: (flop, 2.0 * flop),
            layout: &parts.layout,
            input: Some(input),
            build: Box::new(move |tape, x| {
                let Some(x) = x else { return Ok(None) };
                let (rows, cols) = (SEQ, tape.layout().get(weight).cols);
                let residual = residual.then(|| tape.input(rows, cols, |buf| buf.fill(0.1)));
                tape.linear(x, LinearSpec { bias: Some(bias), act, residual, ..LinearSpec::new(weight) })
                    .map(Some)
            }),
        }
    };
    let spec = AttentionSpec {
        seq: SEQ,
        heads: c.heads,
        kv_heads: c.kv_heads,
        head_dim: c.head_dim,
        scale: 1.0 / (c.head_dim as f32).sqrt(),
        window: None,
        rotary: None,
        site: None,
    };
    let pairs = (c.heads * c.head_dim * SEQ * (SEQ + 1)) as f64;
    let head_flop = 6.0 * (SEQ * d * c.vocab) as f64;
    // The whole network's layout for what needs embeddings or the head.
    let embed = (net.layout.find("embed.tokens"), net.layout.find("embed.positions"));
    let hidden = net.layout.find("embed.positions");
    vec![
        linear("linear qkv", parts.qkv, parts.x, Act::Identity, false),
        linear("linear out + residual", parts.out, parts.x, Act::Identity, true),
        linear("linear in + gelu", parts.up, parts.x, Act::Gelu, false),
        linear("linear down + residual", parts.down, parts.wide, Act::Identity, true),
        Op {
            name: "attention",
            count: layers,
            flop: (2.0 * pairs, 5.0 * pairs),
            layout: &parts.layout,
            input: Some(parts.qkv_in),
            build: Box::new(move |tape, x| match x {
                Some(x) => tape.attention(x, spec).map(Some),
                None => Ok(None),
            }),
        },
        Op {
            name: "head + cross-entropy",
            count: 1,
            flop: (head_flop, 0.0),
            layout: &net.layout,
            input: hidden,
            build: Box::new(move |tape, x| {
                let Some(x) = x else { return Ok(None) };
                tape.cross_entropy(x, net.head(), &ids[1..], RowWeights::One(1e-3))?;
                Ok(None)
            }),
        },
        Op {
            name: "layer norm",
            count: 2 * layers + 1,
            flop: (0.0, 0.0),
            layout: &parts.layout,
            input: Some(parts.x),
            build: Box::new(move |tape, x| match x {
                Some(x) => tape.norm(x, parts.gain, Some(parts.shift), false, 1e-5).map(Some),
                None => Ok(None),
            }),
        },
        Op {
            name: "embedding",
            count: 1,
            flop: (0.0, 0.0),
            layout: &net.layout,
            input: None,
            build: Box::new(move |tape, _| match embed.0 {
                Some(tokens) => tape.embedding(&ids[..SEQ], SEQ, tokens, embed.1, None).map(Some),
                None => Ok(None),
            }),
        },
    ]
}

/// A batch that computes nothing: what is left of a step is its optimiser.
struct Idle;

impl Program for Idle {
    fn shards(&self) -> usize {
        1
    }
    fn rows(&self, _: usize) -> ShardRows<'_> {
        ShardRows::uniform(1, UNLABELLED)
    }
    fn forward(&self, _: usize, _: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        Ok(None)
    }
}

/// Median milliseconds of a whole step on one thread, and of its optimiser.
fn whole(model: &Model) -> Result<(f64, f64)> {
    let layout = model.net.layout();
    let runner = Runner::new(1)?;
    let optimiser = model.optimiser();
    let params = layout.init(Key::root(0));
    let mut member = Member::new(params, Plan::plain(layout), 1)?;
    let (mut batch, terms) = (model.batch(1), model.terms());
    let (mut steps, mut updates) = (Vec::new(), Vec::new());
    for step in 0..9 {
        model.fill(&mut batch, step, UNLABELLED);
        let program = Minimise::new(&*model.net, &terms, Whole::new(&batch, 3));
        for (program, times) in [(&program as &dyn Program, &mut steps), (&Idle, &mut updates)] {
            let start = Instant::now();
            runner.step(layout, &mut [(&mut member, program, &optimiser)], step)?;
            if step > 1 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok((quantile(&steps, 0.5), quantile(&updates, 0.5)))
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let model = Model::new(args.size)?;
    let Some(net) = hub::transformer(&*model.net) else {
        return Err(refuse(
            "bench ops knows the transformers S and M; `lobe bench step --size AE` times the autoencoder",
        ));
    };
    let parts = Parts::new(&net.config);
    let ids: Vec<u32> = (0..=SEQ).map(|i| ((i * 37 + 11) % net.config.vocab) as u32).collect();
    let mut ceiling = gemm::ceiling();
    let mut list = Vec::new();
    let (mut sum, mut flops) = (0.0, 0.0);
    for op in operations(net, &parts, &ids) {
        let (forward, mut backward) = time(&op, args.repeats, false)?;
        if op.input.is_some() {
            backward = (backward - time(&op, args.repeats, true)?.1).max(0.0);
        }
        let per_step = (op.count * model.batch) as f64;
        let flop = op.flop.0 + op.flop.1;
        let seconds = forward + backward;
        let rate = (flop > 0.0).then(|| flop / seconds / 1e9);
        // Best seen anywhere: on a shared machine the products may have had a bad moment.
        ceiling = rate.map_or(ceiling, |r: f64| ceiling.max(r));
        sum += per_step * seconds * 1e3;
        flops += per_step * flop;
        list.push((op.name, op.count, per_step * forward * 1e3, per_step * backward * 1e3, rate));
    }
    ceiling = ceiling.max(gemm::ceiling());
    let (step, optimiser) = whole(&model)?;
    sum += optimiser;
    let achieved = flops / (step / 1e3) / 1e9;
    if args.json {
        let ops = list.iter().map(|(name, count, f, b, rate)| {
            json!({ "name": name, "per_sequence": count, "forward_ms": f, "backward_ms": b, "share_of_step": (f + b) / step,
                    "gflops": rate, "share_of_ceiling": rate.map(|r| r / ceiling) })
        });
        return Ok(out::json(&json!({
            "bench": "ops", "size": format!("{:?}", args.size), "threads": 1, "ceiling_gflops": ceiling,
            "ops": ops.collect::<Vec<_>>(), "optimiser_ms": optimiser, "sum_ms": sum, "step_ms": step,
            "step_gflop": flops / 1e9, "step_gflops": achieved, "step_share_of_ceiling": achieved / ceiling,
            "build": crate::build(),
        }))?);
    }
    let percent = |x: f64| format!("{:.0} %", 100.0 * x);
    let mut rows: Vec<Vec<String>> = list
        .iter()
        .map(|(name, count, f, b, rate)| {
            let share = rate.map_or("–".into(), |r| percent(r / ceiling));
            let rate = rate.map_or("–".into(), |r| format!("{r:.0}"));
            let (count, f_ms, b_ms) = (count.to_string(), format!("{f:.2}"), format!("{b:.2}"));
            vec![(*name).into(), count, f_ms, b_ms, percent((f + b) / step), rate, share]
        })
        .collect();
    let blank = || "–".to_owned();
    rows.push(vec![
        "optimiser".into(),
        "–".into(),
        blank(),
        format!("{optimiser:.2}"),
        percent(optimiser / step),
        blank(),
        blank(),
    ]);
    let heading = ["operation", "per seq.", "forward ms", "backward ms", "of step", "GFLOP/s", "of ceiling"];
    out::print(&table::columns(&heading, &rows, 1))?;
    Ok(out::print(&format!(
        "sum {sum:.1} ms, whole step {step:.1} ms on one thread: {:.1} GFLOP at {achieved:.0} GFLOP/s, {} of the ceiling of {ceiling:.0}\n",
        flops / 1e9,
        percent(achieved / ceiling)
    ))?)
}
