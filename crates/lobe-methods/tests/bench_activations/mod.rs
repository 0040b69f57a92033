//! An attacker's bench in memory: a small network, a victim, random sequences of two labels.

use std::sync::Arc;

use lobe_core::{Key, LabelId, Selection};
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::{Plan, Runner, SiteId, Tape, Workspace};
use lobe_methods::{Bench, BenchError, Loot, Losses, Trial, Variant};
use lobe_nets::{Batch, Gpt, GptConfig, Network};

pub(crate) const VOCAB: usize = 24;
pub(crate) const CONTEXT: usize = 12;
const SEQ: usize = 9;

pub(crate) struct Desk {
    pub(crate) net: Arc<dyn Network>,
    pub(crate) victim: Vec<f32>,
    pub(crate) original: Option<Vec<f32>>,
    pub(crate) forget: Batch,
    pub(crate) retain: Batch,
    labels: Vec<String>,
    runner: Runner,
    /// Plans that losses were asked for under, in order.
    pub(crate) plans: Vec<Plan>,
    /// Shares of the attack that were reported.
    pub(crate) progress: Vec<f64>,
    /// Finished variants.
    pub(crate) kept: Vec<Trial>,
}

/// Sequences over `tokens`, some of them shorter, one with a hole.
fn sequences(key: &str, tokens: std::ops::Range<usize>, label: LabelId) -> Batch {
    let mut rng = Key::root(7).child(key).rng();
    let mut out = Batch::tokens(SEQ, 1);
    for i in 0..10 {
        let mut text: Vec<u32> = (0..=SEQ).map(|_| (tokens.start + rng.below(tokens.len())) as u32).collect();
        if i % 3 == 1 {
            text[6..].fill(IGNORE);
        }
        let (inputs, mut targets) = (text[..SEQ].to_vec(), text[1..].to_vec());
        if i == 2 {
            targets[0] = IGNORE;
        }
        out.push_pair(&inputs, &targets, label, None);
    }
    out
}

impl Desk {
    /// The victim differs from the original everywhere; the labels use different halves of the vocabulary.
    #[allow(clippy::needless_pass_by_value, reason = "a literal at every call")]
    pub(crate) fn new(config: GptConfig) -> Desk {
        let config = GptConfig { layers: 3, width: 16, heads: 2, init_std: 0.3, ..config };
        let net: Arc<dyn Network> = Arc::new(Gpt::new(config.resolve(VOCAB, CONTEXT).unwrap()));
        let noisy = |seed: u64| {
            let mut rng = Key::root(seed).rng();
            let fresh = net.layout().init(Key::root(1));
            fresh.iter().map(|x| x + 0.1 * rng.normal() as f32).collect::<Vec<f32>>()
        };
        Desk {
            victim: noisy(2),
            original: Some(noisy(3)),
            net,
            forget: sequences("forget", 0..VOCAB / 2, LabelId(0)),
            retain: sequences("retain", VOCAB / 2..VOCAB, LabelId(1)),
            labels: vec!["forget".into(), "retain".into(), "unlabelled".into()],
            runner: Runner::new(1).unwrap(),
            plans: Vec::new(),
            progress: Vec::new(),
            kept: Vec::new(),
        }
    }

    pub(crate) fn loss(&self, params: &[f32], batch: &Batch, plan: &Plan) -> f64 {
        self.each(batch, |ws, s| self.pass(ws, (params, plan), (batch, s), None, |_| ()).0).iter().sum()
    }

    /// Activations of every row that counts, under `plan`.
    pub(crate) fn rows(&self, params: &[f32], batch: &Batch, plan: &Plan, site: SiteId) -> Vec<f32> {
        let one = |ws: &mut Workspace, s: usize| {
            let read = |tape: &Tape<'_>| {
                let v = tape.at_site(site).unwrap();
                let rows = tape.value(v).chunks_exact(tape.shape(v).1).zip(batch.text(s).1);
                rows.filter(|r| *r.1 != IGNORE).flat_map(|r| r.0.to_vec()).collect::<Vec<f32>>()
            };
            self.pass(ws, (params, plan), (batch, s), None, read).1
        };
        self.each(batch, one).concat()
    }

    fn each<R: Send>(&self, batch: &Batch, f: impl Fn(&mut Workspace, usize) -> R + Sync) -> Vec<R> {
        let shards: Vec<usize> = (0..batch.shards()).collect();
        self.runner.map(&shards, |ws, s| f(ws, *s))
    }

    /// One shard: its share of the mean loss, and what `read` finds on the tape at the end.
    fn pass<R>(
        &self,
        ws: &mut Workspace,
        (params, plan): (&[f32], &Plan),
        (batch, shard): (&Batch, usize),
        gradient: Option<(&mut [f32], Option<SiteId>)>,
        read: impl FnOnce(&Tape<'_>) -> R,
    ) -> (f64, R) {
        let (grads, watch) = gradient.map_or((None, None), |(g, w)| (Some(g), w));
        let training = grads.is_some();
        let mut tape = Tape::new(ws, self.net.layout(), params, grads, plan, batch.rows(shard));
        if let Some(site) = watch {
            tape.watch(site);
        }
        let (net, targets) = (self.net(), batch.text(shard).1);
        let h = net.hidden(&mut tape, batch.fed(shard)).unwrap();
        let weight = 1.0 / batch.targets() as f32;
        let (_, head) = net.language().unwrap();
        tape.cross_entropy(h, head, targets, RowWeights::One(weight)).unwrap();
        if training {
            tape.backward(shard).unwrap();
        }
        (tape.objective(), read(&tape))
    }

    pub(crate) fn plain(&self) -> Plan {
        Plan::plain(self.net.layout())
    }
}

impl Bench for Desk {
    fn net(&self) -> &Arc<dyn Network> {
        &self.net
    }
    fn victim(&self) -> &[f32] {
        &self.victim
    }
    fn original(&self) -> Option<&[f32]> {
        self.original.as_deref()
    }
    fn cut(&self) -> Option<&Selection> {
        None
    }
    fn key(&self) -> Key {
        Key::root(9)
    }
    fn labels(&self) -> &[String] {
        &self.labels
    }
    fn target(&self) -> usize {
        0
    }

    fn examples(&mut self, loot: Loot, n: usize) -> Result<Batch, BenchError> {
        let all = if loot == Loot::Retain { &self.retain } else { &self.forget };
        let mut out = Batch::tokens(SEQ, 1);
        for s in 0..n.min(all.shards()) {
            let (inputs, targets, _) = all.text(s);
            out.push_pair(inputs, targets, all.row_label(s, 0), None);
        }
        Ok(out)
    }

    fn keep(&mut self, trial: Trial) -> Result<(), BenchError> {
        self.kept.push(trial);
        Ok(())
    }

    fn fine_tune(&mut self, _: &[Variant]) -> Result<Vec<Trial>, BenchError> {
        Err(BenchError::Missing("nothing is trained here".into()))
    }

    fn losses(&mut self, params: &[f32], plan: &Plan) -> Result<Losses, BenchError> {
        self.plans.push(plan.clone());
        Ok(vec![
            Some(self.loss(params, &self.forget, plan)),
            Some(self.loss(params, &self.retain, plan)),
            None,
        ])
    }

    fn losses_after(&mut self, params: &[f32], prefix: &[u32], room: usize) -> Result<Losses, BenchError> {
        assert!(prefix.len() <= room, "a prefix has room");
        let after = |batch: &Batch| {
            let mut out = Batch::tokens(CONTEXT, 1);
            for s in 0..batch.shards() {
                let (inputs, targets, _) = batch.text(s);
                let mut x = [prefix, inputs].concat();
                let mut y = [&vec![IGNORE; prefix.len()][..], targets].concat();
                x.resize(CONTEXT, 0);
                y.resize(CONTEXT, IGNORE);
                out.push_pair(&x, &y, batch.row_label(s, 0), None);
            }
            self.loss(params, &out, &self.plain())
        };
        Ok(vec![Some(after(&self.forget)), Some(after(&self.retain)), None])
    }

    fn activations(
        &mut self,
        params: &[f32],
        batch: &Batch,
        sites: &[SiteId],
    ) -> Result<Vec<Vec<f32>>, BenchError> {
        Ok(sites.iter().map(|s| self.rows(params, batch, &self.plain(), *s)).collect())
    }

    fn gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        plan: &Plan,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        let (mut loss, mut moving) = (0.0, vec![0.0; plan.gradients().len()]);
        let mut ws = Workspace::default();
        for s in 0..batch.shards() {
            loss += self.pass(&mut ws, (params, plan), (batch, s), Some((&mut moving, None)), |_| ()).0;
        }
        let mut grads = vec![0.0; params.len()];
        plan.gradients().spread(&mut grads, &moving);
        Ok((loss, grads))
    }

    fn site_gradient(
        &mut self,
        params: &[f32],
        batch: &Batch,
        site: SiteId,
    ) -> Result<(f64, Vec<f32>), BenchError> {
        let (mut loss, mut unused, mut out) = (0.0, vec![0.0; params.len()], Vec::new());
        let (mut ws, plan) = (Workspace::default(), self.plain());
        for s in 0..batch.shards() {
            let grads = Some((&mut unused[..], Some(site)));
            let read = |tape: &Tape<'_>| tape.watched(site).unwrap().to_vec();
            let (l, g) = self.pass(&mut ws, (params, &plan), (batch, s), grads, read);
            loss += l;
            out.extend(g);
        }
        Ok((loss, out))
    }

    fn held_out(&mut self, label: usize, n: usize) -> Result<Batch, BenchError> {
        match label {
            0 => self.examples(Loot::Forget, n),
            1 => self.examples(Loot::Retain, n),
            _ => Err(BenchError::Missing("no such data".into())),
        }
    }

    /// Any number that belongs to these parameters and to the half that is not trained on.
    fn knowledge(&mut self, params: &[f32], loot: Loot) -> Result<Option<f64>, BenchError> {
        Ok((loot == Loot::SecondHalf).then(|| f64::from(params[0])))
    }

    fn progress(&mut self, share: f64) -> Result<(), BenchError> {
        self.progress.push(share);
        Ok(())
    }
}
