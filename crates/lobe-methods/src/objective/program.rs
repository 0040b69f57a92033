//! Joins a network, examples and terms into a step of the engine.

use lobe_engine::ops::head::{HeadSpec, IGNORE, RowWeights};
use lobe_engine::{Coupling, EngineError, Program, RowLabels, ShardRows, SiteId, Tape, Var, rows};
use lobe_nets::{Begin, Column, End, Network, Ran};

use super::examples::{Examples, Part};
use super::{Reads, Side, Term, View};

/// A step that follows the sum of some terms. Where the examples know their labels, it records per output and
/// label the summed loss and the rows that counted: slot `output · labels + label`.
pub struct Minimise<'a, E: Examples> {
    net: &'a dyn Network,
    terms: &'a [Term],
    /// The examples.
    pub examples: E,
    /// Rows that are added at a site, by shard (an adversary's perturbation); shards beyond have none.
    pub added: Option<(SiteId, Vec<Vec<f32>>)>,
    coupling: Option<Box<Coupling<'a>>>,
}

impl<'a, E: Examples> Minimise<'a, E> {
    /// The step of `terms` on `examples`.
    pub fn new(net: &'a dyn Network, terms: &'a [Term], examples: E) -> Minimise<'a, E> {
        let coupled = terms.iter().find(|t| t.objective.couples());
        let coupling = coupled.map(|t| {
            let (counts, progress) = (examples.counts(t.side), examples.progress());
            let (rows, sequences) = (counts.rows, counts.sequences);
            let couple = move |values: &[f32], cols: usize, grad: &mut [f32]| {
                let labels = RowLabels::One(lobe_core::UNLABELLED);
                let (reference, targets, by_label) = (&[][..], &[][..], &[][..]);
                let view = View {
                    values,
                    reference,
                    cols,
                    targets,
                    labels,
                    seq: 1,
                    rows,
                    by_label,
                    sequences,
                    progress,
                };
                let value = t.objective.value(&view, grad);
                if t.weight != 1.0 {
                    for g in grad.iter_mut() {
                        *g *= t.weight;
                    }
                }
                Ok(f64::from(t.weight) * value)
            };
            Box::new(couple) as Box<Coupling<'a>>
        });
        Minimise { net, terms, examples, added: None, coupling }
    }

    /// The network.
    pub fn net(&self) -> &'a dyn Network {
        self.net
    }

    /// The terms.
    pub fn terms(&self) -> &'a [Term] {
        self.terms
    }

    /// How far up the network the terms of a side read.
    fn end(&self, side: Side) -> End {
        let mut last = 0;
        for t in self.terms.iter().filter(|t| t.side == side || t.side == Side::All) {
            match t.objective.reads() {
                Reads::Hidden { layer } => last = last.max(layer + 1),
                _ => return End::Outputs,
            }
        }
        if last > self.net.blocks() { End::Outputs } else { End::Cut(last) }
    }

    /// What an objective sees of a shard.
    fn view<'v>(&'v self, part: Part<'v>, values: &'v [f32], reference: &'v [f32], cols: usize) -> View<'v> {
        let counts = self.examples.counts(part.side);
        View {
            values,
            reference,
            cols,
            targets: part.batch.text(part.shard).1,
            labels: part.batch.rows(part.shard).labels,
            seq: part.batch.seq(part.shard),
            rows: counts.rows,
            by_label: counts.by_label,
            sequences: counts.sequences,
            progress: self.examples.progress(),
        }
    }

    /// Weights of a linear objective's rows.
    fn row_weights(&self, t: &Term, part: Part<'_>, rows: usize, out: &mut [f32], zeros: &mut [f32]) {
        zeros[..rows].fill(0.0);
        out[..rows].fill(0.0);
        let reference = part.recalled.map_or(&[][..], |r| &r.nll);
        t.objective.value(&self.view(part, &zeros[..rows], reference, 1), &mut out[..rows]);
        if t.weight != 1.0 {
            out[..rows].iter_mut().for_each(|g| *g *= t.weight);
        }
    }

    /// Records column `k` of the `[rows, 2]` that a loss left, divided by `divisor`.
    fn record(
        &self,
        tape: &mut Tape<'_>,
        part: Part<'_>,
        stats: Var,
        (output, k, divisor): (usize, usize, f64),
    ) {
        let labels = self.examples.counts(part.side).by_label.len();
        if labels == 0 {
            return;
        }
        for row in part.batch.counted(part.shard) {
            let label = part.batch.row_label(part.shard, row).index();
            let value = f64::from(tape.value(stats)[2 * row + k]) / divisor;
            tape.record(output * labels + label, value, 1.0);
        }
    }

    fn language(&self) -> Result<HeadSpec, EngineError> {
        let none = || EngineError::Invalid("the network predicts no token".into());
        self.net.language().map(|(_, head)| head).ok_or_else(none)
    }

    /// Adds one term; returns the variable whose rows a coupled one needs.
    fn term(
        &self,
        tape: &mut Tape<'_>,
        ran: &Ran,
        t: &Term,
        part: Part<'_>,
    ) -> Result<Option<Var>, EngineError> {
        let o = &*t.objective;
        let (_, targets, _) = part.batch.text(part.shard);
        match o.reads() {
            Reads::MeanLoss => {
                let (mut zeros, mut g) = (tape.scratch(targets.len()), tape.scratch(targets.len()));
                self.row_weights(t, part, targets.len(), &mut g, &mut zeros);
                let stats =
                    tape.cross_entropy(ran.end(0)?, self.language()?, targets, RowWeights::Each(&g))?;
                tape.give_back(zeros);
                tape.give_back(g);
                self.record(tape, part, stats, (0, 0, 1.0));
            }
            Reads::Distance { output, kind } => {
                let y = ran.end(output)?;
                let target = self.net.outputs().get(output).map_or("", |o| o.target);
                let Some(Column::Numbers { width, values }) = part.batch.target(part.shard, target) else {
                    return Err(EngineError::Invalid(format!("the batch has no numbers called {target:?}")));
                };
                let rows = values.len() / width.max(1);
                let (mut zeros, mut g) = (tape.scratch(rows), tape.scratch(rows));
                self.row_weights(t, part, rows, &mut g, &mut zeros);
                let stats = tape.distance(y, values, kind, RowWeights::Each(&g))?;
                tape.give_back(zeros);
                tape.give_back(g);
                self.record(tape, part, stats, (output, 1, width as f64));
            }
            Reads::TokenNll => {
                let v = tape.token_nll(ran.end(0)?, self.language()?, targets)?;
                let reference = part.recalled.map_or(&[][..], |r| &r.nll);
                seed(tape, v, t, &|values, g| o.value(&self.view(part, values, reference, 1), g))?;
            }
            Reads::Hidden { layer } => {
                let site = self.net.after_block(layer).and_then(|s| tape.at_site(s));
                let Some(v) = site else {
                    return Err(EngineError::Invalid(format!("no residual stream after block {layer}")));
                };
                let reference = part.recalled.and_then(|r| r.hidden.get(&layer)).map_or(&[][..], |h| h);
                let cols = tape.shape(v).1;
                seed(tape, v, t, &|values, g| o.value(&self.view(part, values, reference, cols), g))?;
            }
            Reads::Site { site, columns, unrouted } => {
                let there = ran.unrouted.iter().find(|(s, _)| unrouted && *s == site).map(|(_, v)| *v);
                let there = if unrouted { there } else { tape.at_site(site) };
                let Some(v) = there else {
                    let name = self.net.layout().sites().get(site.0).map_or("", |s| s.name.as_str());
                    let what = if unrouted { "before the routes of" } else { "at" };
                    return Err(EngineError::Invalid(format!("nothing can be read {what} site {name:?}")));
                };
                if o.couples() {
                    return Ok(Some(v));
                }
                let whole = columns == (0..tape.shape(v).1);
                let v = if whole { v } else { tape.columns(v, columns)? };
                let cols = tape.shape(v).1;
                seed(tape, v, t, &|values, g| o.value(&self.view(part, values, &[], cols), g))?;
            }
            Reads::Logits => self.logits(tape, ran.end(0)?, t, part)?,
        }
        Ok(None)
    }

    /// A term on logits, a few rows at a time.
    fn logits(&self, tape: &mut Tape<'_>, h: Var, t: &Term, part: Part<'_>) -> Result<(), EngineError> {
        let o = &*t.objective;
        let (_, targets, _) = part.batch.text(part.shard);
        let (head, vocab) = (self.language()?, self.net.language().map_or(0, |(n, _)| n));
        let active = |r: usize| targets[r] != IGNORE;
        SPARE.with_borrow_mut(|spare| {
            let Spare { gradient, reference, hidden, of } = spare;
            tape.logit_objective(h, head, &active, &mut |rows, z| {
                reference.clear();
                if o.needs_reference() {
                    reference.resize(z.len(), 0.0);
                    part.recalled.iter().for_each(|r| r.logits(rows, reference, hidden));
                }
                of.clear();
                of.extend(rows.iter().map(|r| targets[*r as usize]));
                gradient.clear();
                gradient.resize(z.len(), 0.0);
                let view = View { targets: of, seq: 1, ..self.view(part, z, reference, vocab) };
                let value = o.value(&view, gradient);
                rows::scaled(z, gradient, t.weight);
                f64::from(t.weight) * value
            })
        })
    }
}

/// Buffers of a worker for terms on logits.
#[derive(Default)]
struct Spare {
    gradient: Vec<f32>,
    reference: Vec<f32>,
    hidden: Vec<f32>,
    of: Vec<u32>,
}

thread_local! {
    static SPARE: std::cell::RefCell<Spare> = std::cell::RefCell::default();
}

/// Adds an objective on a variable: its value, and its derivative as the variable's gradient.
fn seed(
    tape: &mut Tape<'_>,
    v: Var,
    term: &Term,
    f: &dyn Fn(&[f32], &mut [f32]) -> f64,
) -> Result<(), EngineError> {
    let mut g = tape.scratch(tape.value(v).len());
    g.fill(0.0);
    let value = f(tape.value(v), &mut g);
    if term.weight != 1.0 {
        g.iter_mut().for_each(|g| *g *= term.weight);
    }
    tape.add_objective(f64::from(term.weight) * value);
    let seeded = tape.seed_grad(v, &g);
    tape.give_back(g);
    seeded
}

impl<E: Examples> Program for Minimise<'_, E> {
    fn shards(&self) -> usize {
        self.examples.shards()
    }

    fn rows(&self, shard: usize) -> ShardRows<'_> {
        let part = self.examples.part(shard);
        part.batch.rows(part.shard)
    }

    fn coupling(&self) -> Option<&Coupling<'_>> {
        self.coupling.as_deref()
    }

    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        if let Some((site, rows)) = &self.added
            && let Some(delta) = rows.get(shard)
        {
            tape.inject(*site, delta);
        }
        let part = self.examples.part(shard);
        let ran = self.net.run(tape, Begin::Input(part.batch.fed(part.shard)), self.end(part.side))?;
        let mut coupled = None;
        for t in self.terms.iter().filter(|t| t.side == part.side || t.side == Side::All) {
            let rows = self.term(tape, &ran, t, part)?;
            if coupled.is_some() && rows.is_some() {
                return Err(EngineError::Invalid("a step couples its batch by one objective at most".into()));
            }
            coupled = coupled.or(rows);
        }
        Ok(coupled)
    }
}
