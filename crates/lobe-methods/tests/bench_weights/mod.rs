//! A bench with a cut model that can be trained, for attacks on weights.

use std::sync::Arc;

use lobe_core::{Key, Region, Selection};
use lobe_engine::{Plan, SiteId};
use lobe_methods::remove::ablate;
use lobe_methods::{ATTACKS, Bench, BenchError, Budget, Loot, Losses, Start, Trial, Variant};
use lobe_nets::{Activation, Batch, GptConfig, Network, NormKind, Positions};
use serde_json::Value;

use crate::bench_activations::Desk;

/// The desk with a cut, with training, and with a memory of what was asked for.
pub(crate) struct Rig {
    pub(crate) desk: Desk,
    pub(crate) cut: Option<Selection>,
    pub(crate) asked: Vec<Variant>,
    /// Parameters whose held-out losses were asked for, in order.
    pub(crate) seen: Vec<Vec<f32>>,
}

pub(crate) fn gpt2() -> GptConfig {
    GptConfig::default()
}

pub(crate) fn llama() -> GptConfig {
    GptConfig {
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        mlp: 24,
        tied: true,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        ..GptConfig::default()
    }
}

impl Rig {
    pub(crate) fn new(config: GptConfig) -> Rig {
        let mut desk = Desk::new(config);
        let region: Region = "blocks.*.mlp.post[-6..] + blocks.*.attn.z[-1]".parse().unwrap();
        let cut = region.resolve(desk.net.layout().sites()).unwrap();
        ablate::zero(desk.net.layout(), &mut desk.victim, &cut);
        Rig { desk, cut: Some(cut), asked: Vec::new(), seen: Vec::new() }
    }

    #[allow(clippy::needless_pass_by_value, reason = "tests write the parameters in place")]
    pub(crate) fn run(&mut self, name: &str, params: Value) -> Vec<Trial> {
        let entry = ATTACKS.iter().find(|e| e.about.name == name).unwrap();
        let attack = (entry.build)(&params).unwrap().0;
        let cases = attack.cases(self);
        attack.run(self, &cases).unwrap();
        std::mem::take(&mut self.desk.kept)
    }

    pub(crate) fn owned(&self) -> Vec<bool> {
        let mut out = vec![false; self.desk.victim.len()];
        self.desk.net.layout().for_owned(self.cut.as_ref().unwrap(), |_, range| out[range].fill(true));
        out
    }

    /// Places where `params` differ from the victim.
    pub(crate) fn moved(&self, params: &[f32]) -> Vec<usize> {
        let differs = |i: &usize| params[*i].to_bits() != self.desk.victim[*i].to_bits();
        (0..params.len()).filter(differs).collect()
    }

    fn train(&mut self, v: &Variant) -> Trial {
        let mut params = self.desk.victim.clone();
        if let (Start::Reinit, Some(cut)) = (v.start, &self.cut) {
            ablate::reinit(self.desk.net.layout(), &mut params, cut, Key::root(5));
        }
        let plan = self.desk.plain();
        let batch = self.examples(v.loot, v.examples.unwrap_or(usize::MAX).min(v.batch)).unwrap();
        let mut curve = vec![(0, self.losses(&params, &plan).unwrap())];
        for step in 1..=v.steps {
            let (_, g) = self.gradient(&params, &batch, &plan).unwrap();
            params.iter_mut().zip(&g).for_each(|(p, g)| *p -= v.lr as f32 * g);
            if step % v.eval_every == 0 {
                curve.push((step, self.losses(&params, &plan).unwrap()));
            }
        }
        let budget = Budget { steps: v.steps, parameters: params.len() as u64, ..Budget::default() };
        Trial::new(&v.name, curve, budget)
    }
}

impl Bench for Rig {
    fn net(&self) -> &Arc<dyn Network> {
        self.desk.net()
    }
    fn victim(&self) -> &[f32] {
        self.desk.victim()
    }
    fn original(&self) -> Option<&[f32]> {
        self.desk.original()
    }
    fn cut(&self) -> Option<&Selection> {
        self.cut.as_ref()
    }
    fn key(&self) -> Key {
        self.desk.key()
    }
    fn labels(&self) -> &[String] {
        self.desk.labels()
    }
    fn target(&self) -> usize {
        0
    }
    fn examples(&mut self, loot: Loot, n: usize) -> Result<Batch, BenchError> {
        let all = self.desk.examples(loot, usize::MAX)?;
        let half = all.shards() / 2;
        let shards = match loot {
            Loot::FirstHalf => 0..half,
            Loot::SecondHalf => half..all.shards(),
            _ => 0..all.shards(),
        };
        let mut out = Batch::tokens(all.text(0).1.len(), 1);
        for s in shards.take(n) {
            let (inputs, targets, _) = all.text(s);
            out.push_pair(inputs, targets, all.row_label(s, 0), None);
        }
        Ok(out)
    }
    fn keep(&mut self, trial: Trial) -> Result<(), BenchError> {
        self.desk.keep(trial)
    }
    fn fine_tune(&mut self, variants: &[Variant]) -> Result<Vec<Trial>, BenchError> {
        self.asked.extend_from_slice(variants);
        Ok(variants.iter().map(|v| self.train(v)).collect())
    }
    fn losses(&mut self, params: &[f32], plan: &Plan) -> Result<Losses, BenchError> {
        self.seen.push(params.to_vec());
        self.desk.losses(params, plan)
    }
    fn losses_after(&mut self, params: &[f32], prefix: &[u32], room: usize) -> Result<Losses, BenchError> {
        self.desk.losses_after(params, prefix, room)
    }
    fn activations(
        &mut self,
        params: &[f32],
        batch: &Batch,
        sites: &[SiteId],
    ) -> Result<Vec<Vec<f32>>, BenchError> {
        self.desk.activations(params, batch, sites)
    }
    fn gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        plan: &Plan,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        self.desk.gradient(params, batch, plan)
    }
    fn site_gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        site: SiteId,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        self.desk.site_gradient(params, batch, site)
    }
    fn held_out(&mut self, label: usize, n: usize) -> Result<Batch, BenchError> {
        self.desk.held_out(label, n)
    }
    fn knowledge(&mut self, params: &[f32], loot: Loot) -> Result<Option<f64>, BenchError> {
        self.desk.knowledge(params, loot)
    }
    fn progress(&mut self, share: f64) -> Result<(), BenchError> {
        self.desk.progress(share)
    }
}
