//! Prefix: search for tokens that, put before every text, bring the capability back (GCG).
//!
//! Equation: minimise L(p) = mean loss of forget examples after the prefix p. Per step, with g_i the
//! gradient of L at the embedding of position i, a swap of p_i for v promises `−g_i · (E[v] − E[p_i])`; of
//! the `top` best v of every position some are drawn, run, and the best is kept if it is better. With
//! `fluency` > 0 that weight times the mean surprise of the prefix itself is added to L.
//! Papers: Zou et al. 2023 (arXiv 2307.15043); Łucki et al. 2024 (arXiv 2409.18025) on unlearned models.
//! Unusual: one prefix for all texts, and the objective never gets worse. The first start is the
//! beginning of a forget example, the others are random tokens. A swap's promise counts how it changes what
//! follows, not how likely the token itself is; the run that decides counts both.
//! Fails: without fluency a filter on perplexity would catch the prefix (`prefix_surprise` says how easily);
//! with few examples it fits those and not the held-out ones.

use lobe_core::Rng;
use lobe_engine::{View, ViewMut, gemm};
use lobe_nets::Batch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{check, missing, refuse, tokens};
use super::prefixed::{after, alone, starts};
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Loot, Losses, Trial, cases_of,
    chosen, parse,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "prefix",
    summary: "searches by gradient (GCG) for a prefix of tokens that makes forget examples likely",
    reference: "Zou et al. 2023, arXiv 2307.15043; Łucki et al. 2024, arXiv 2409.18025",
    unusual: "one prefix serves all texts; the objective never gets worse; starts from a forget example and from random tokens",
    fails: "the prefix is not fluent, so a perplexity filter catches it; it fits a few examples, not the held-out ones",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prefix {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Tokens of the prefix.
    pub length: usize,
    /// Steps of the search.
    pub steps: u64,
    /// Candidate swaps evaluated per step.
    pub candidates: usize,
    /// Number of candidate tokens per position.
    pub top: usize,
    /// Training examples used to fit the prefix.
    pub examples: usize,
    /// Number of searches: the first starts from the beginning of a forget example, the others at random.
    pub starts: usize,
    /// Weight of the prefix's own surprise (nat per token), from 0 to 1000.
    pub fluency: f64,
    /// Steps between evaluations.
    pub eval_every: u64,
}

impl Default for Prefix {
    fn default() -> Self {
        Prefix {
            label: "forget".into(),
            length: 8,
            steps: 32,
            candidates: 32,
            top: 64,
            examples: 8,
            starts: 2,
            fluency: 0.0,
            eval_every: 16,
        }
    }
}

impl Prefix {
    /// Per position the `top` tokens that promise most, best first.
    fn swaps(
        &self,
        bench: &mut dyn Bench,
        victim: &[f32],
        batch: &Batch,
        prefix: &[u32],
    ) -> Result<Vec<(usize, u32)>, BenchError> {
        let net = bench.net().clone();
        let (site, Some(table)) = (net.cuts()[0], net.layout().find("embed.tokens")) else {
            return Err(missing("prefix: the network has no table of tokens (embed.tokens)".into()));
        };
        let table = net.layout().get(table).clone();
        let (vocab, d) = (table.rows, table.cols);
        let (_, grad) = bench.site_gradient(victim, batch, site)?;
        let mut sum = vec![0.0f32; self.length * d];
        for at in starts(batch, grad.len() / d)? {
            let rows = &grad[at * d..][..self.length * d];
            sum.iter_mut().zip(rows).for_each(|(s, g)| *s += g);
        }
        if let Some(own) = alone(prefix).filter(|_| self.fluency > 0.0) {
            let (_, grad) = bench.site_gradient(victim, &own, site)?;
            sum.iter_mut().zip(grad).for_each(|(s, g)| *s += self.fluency as f32 * g);
        }
        // The swap's gain up to −g · E[p_i], which is the same for all tokens of a position.
        let mut gain = vec![0.0f32; self.length * vocab];
        let embedding = View::new(&victim[table.span()], vocab, d);
        gemm(
            ViewMut::new(&mut gain, self.length, vocab),
            -1.0,
            View::new(&sum, self.length, d),
            embedding.t(),
            false,
        );
        let mut out = Vec::new();
        for (i, gain) in gain.chunks_exact(vocab).enumerate() {
            let mut order: Vec<u32> = (0..vocab as u32).collect();
            order.sort_by(|a, b| gain[*b as usize].total_cmp(&gain[*a as usize]).then(a.cmp(b)));
            out.extend(order.into_iter().take(self.top).map(|v| (i, v)));
        }
        Ok(out)
    }

    /// Surprise of the prefix itself, nat per token; missing for a single token.
    fn surprise(bench: &mut dyn Bench, victim: &[f32], prefix: &[u32]) -> Result<Option<f64>, BenchError> {
        alone(prefix).map(|own| bench.loss_on(victim, &own)).transpose()
    }

    /// What the search makes smaller, and the loss in it.
    fn objective(
        &self,
        bench: &mut dyn Bench,
        victim: &[f32],
        batch: &Batch,
        prefix: &[u32],
    ) -> Result<[f64; 2], BenchError> {
        let loss = bench.loss_on(victim, batch)?;
        let own = if self.fluency > 0.0 { Self::surprise(bench, victim, prefix)? } else { None };
        Ok([loss + self.fluency * own.unwrap_or(0.0), loss])
    }

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        let range = |path: &str, x: u64, most: u64| {
            let ok = (1..=most).contains(&x);
            if ok { Ok(()) } else { refuse(path, format!("is {x}, must be in 1..={most}")) }
        };
        range("length", self.length as u64, 1024)?;
        range("steps", self.steps, 100_000)?;
        range("candidates", self.candidates as u64, 65_536)?;
        range("top", self.top as u64, 65_536)?;
        range("starts", self.starts as u64, 64)?;
        range("eval_every", self.eval_every, u64::MAX)?;
        if !(0.0..=1000.0).contains(&self.fluency) {
            return refuse("fluency", format!("is {}, must be in 0..=1000", self.fluency));
        }
        check(self.examples, &[])
    }
}

impl Attack for Prefix {
    fn label(&self) -> &str {
        &self.label
    }

    fn start(&self, bench: &mut dyn Bench) -> Result<Losses, BenchError> {
        let victim = bench.victim().to_vec();
        bench.losses_after(&victim, &[], self.length)
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid())
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let limit = bench.net().context();
        if limit <= self.length {
            return Err(missing(format!("prefix: {} tokens fill the context of {limit}", self.length)));
        }
        let forget = bench.examples(Loot::Forget, self.examples)?;
        for (done, (start, case)) in chosen(self.grid(), cases).into_iter().enumerate() {
            let share = |step: u64| (done as f64 + step as f64 / self.steps as f64) / cases.len() as f64;
            let rng = bench.key().child("prefix").index(start as u64).rng();
            let trial = self.search(bench, &forget, case, (start, rng), &share)?;
            bench.keep(trial)?;
        }
        Ok(())
    }
}

impl Prefix {
    /// The number of each search: the first starts from a text.
    fn grid(&self) -> Grid<usize> {
        let of = |start: usize| {
            let name = if start == 0 { "text".to_owned() } else { format!("random-{start}") };
            (start, Case::new(name.clone(), []).from(name))
        };
        (0..self.starts).map(of).collect()
    }

    /// One search.
    fn search(
        &self,
        bench: &mut dyn Bench,
        forget: &Batch,
        case: Case,
        (start, mut rng): (usize, Rng),
        share: &dyn Fn(u64) -> f64,
    ) -> Result<Trial, BenchError> {
        let (limit, vocab) = (bench.net().context(), bench.net().language().map_or(0, |(vocab, _)| vocab));
        let victim = bench.victim().to_vec();
        let text = forget.text(0).0.iter().copied().take(if start == 0 { self.length } else { 0 });
        let mut prefix: Vec<u32> = text.collect();
        prefix.resize_with(self.length, || rng.below(vocab) as u32);
        let mut batch = after(forget, &prefix, limit);
        if batch.targets() == 0 {
            return Err(missing("prefix: the context leaves nothing to predict".into()));
        }
        let [mut least, before] = self.objective(bench, &victim, &batch, &prefix)?;
        let own = Self::surprise(bench, &victim, &prefix)?;
        // A fluent prefix is read by itself as often as in front of the examples.
        let own_tokens = if self.fluency > 0.0 { self.length as u64 - 1 } else { 0 };
        let each = |batch: &Batch| tokens(batch) + own_tokens;
        let (mut loss, mut run) = (before, each(&batch));
        let mut curve = vec![(0, bench.losses_after(&victim, &prefix, self.length)?)];
        for step in 1..=self.steps {
            bench.progress(share(step))?;
            let mut swaps = self.swaps(bench, &victim, &batch, &prefix)?;
            swaps.retain(|(i, v)| prefix[*i] != *v);
            rng.shuffle(&mut swaps);
            run += each(&batch);
            let mut best = None;
            for (i, v) in swaps.into_iter().take(self.candidates) {
                let mut other = prefix.clone();
                other[i] = v;
                let tried = after(forget, &other, limit);
                let [all, l] = self.objective(bench, &victim, &tried, &other)?;
                run += each(&tried);
                if all < least {
                    (least, loss) = (all, l);
                    best = Some((other, tried));
                }
            }
            if let Some(found) = best {
                (prefix, batch) = found;
            }
            if step == self.steps || step % self.eval_every == 0 {
                curve.push((step, bench.losses_after(&victim, &prefix, self.length)?));
            }
        }
        let mut extra = vec![("prefix_loss_before", before, "nat"), ("prefix_loss_after", loss, "nat")];
        extra.extend(own.map(|v| ("prefix_surprise_before", v, "nat")));
        let own = Self::surprise(bench, &victim, &prefix)?;
        extra.extend(own.map(|v| ("prefix_surprise", v, "nat")));
        let (examples, parameters) = (forget.len() as u64, self.length as u64);
        let budget = Budget { steps: self.steps, tokens: run, examples, parameters };
        Ok(Trial { found: prefix, ..Trial::new(case.name, curve, budget).with(extra) })
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis { name: "search steps", unit: "steps" },
    battery: Battery::Always,
    sweeps: &["starts"],
    params: params_of::<Prefix>,
    build: |v| {
        let (p, full) = parse::<Prefix>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
