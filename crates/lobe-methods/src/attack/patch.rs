//! Patch: give the victim the original's activations at one block.
//!
//! Equation: `rows`: x_l ← the original's x_l for every token, after block l. The blocks below no
//! longer matter then, so this is the model whose embedding and blocks ≤ l are the original's and
//! whose rest is the victim's, and is run as such. `mean`: the activation of a site becomes
//! one constant, the original's mean over forget tokens.
//! Papers: Meng et al. 2022 (arXiv 2202.05262) for causal tracing; Hong et al. 2024
//! (arXiv 2410.06606), who patch unlearned models from their originals.
//! Unusual: patched rows need no per-row intervention (above). A tied head shares the embedding, which
//! would patch the head as well: `rows` is left out there unless both models' embeddings agree.
//! Fails: as evidence of what an outsider can do: it needs the original. It says *where* a
//! capability was cut: the lowest block after which the rest of the victim can still use it.

use lobe_engine::{Edit, Layout};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{check, layers, mean, missing, over_sites, refuse, residual, sites, tokens, with_edit};
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Loot, Trial, cases_of, chosen,
    parse,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "patch",
    summary: "replaces the victim's activations at one block with the original's, token by token or by their mean",
    reference: "Meng et al. 2022, arXiv 2202.05262; Hong et al. 2024, arXiv 2410.06606",
    unusual: "token by token, the original's lower blocks run under the victim's upper blocks; the axis is the block",
    fails: "needs the original, so it shows where a capability was cut, not what an outsider can reach",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patch {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Training examples used for each mean.
    pub examples: usize,
    /// Blocks to try. Empty means all.
    pub layers: Vec<usize>,
    /// Whether the residual stream is patched token by token.
    pub rows: bool,
    /// Sites of a block that are set to the original's mean: `resid_post`, `resid_mid`, `mlp.post`, `attn.z`.
    pub sites: Vec<String>,
}

impl Default for Patch {
    fn default() -> Self {
        let sites = vec!["resid_post".into(), "mlp.post".into()];
        Patch { label: "forget".into(), examples: 64, layers: vec![], rows: true, sites }
    }
}

/// The original up to block `layer` under the victim's rest, and how many numbers that is.
fn stitch(layout: &Layout, original: &[f32], victim: &[f32], layer: usize) -> (Vec<f32>, u64) {
    let below = |name: &str| match name.strip_prefix("blocks.").and_then(|n| n.split('.').next()) {
        Some(block) => block.parse().is_ok_and(|b: usize| b <= layer),
        None => name.starts_with("embed."),
    };
    let (mut out, mut count) = (victim.to_vec(), 0);
    for t in layout.tensors().iter().filter(|t| below(&t.name)) {
        out[t.span()].copy_from_slice(&original[t.span()]);
        count += t.span().len() as u64;
    }
    (out, count)
}

impl Patch {
    /// The site that is set to its mean, or `None` for all rows of the residual stream; and the block.
    fn grid(&self, bench: &dyn Bench) -> Grid<(Option<&str>, usize)> {
        let layers = layers(&**bench.net(), &self.layers);
        let rows = |l: &usize| {
            let settings = [("kind", "rows".into()), ("layer", (*l).into())];
            ((None, *l), Case::new(format!("rows,layer={l}"), settings))
        };
        let mut out: Grid<_> = layers.iter().filter(|_| self.rows).map(rows).collect();
        for site in &self.sites {
            out.extend(layers.iter().map(|l| {
                let settings =
                    [("kind", "mean".into()), ("site", site.as_str().into()), ("layer", (*l).into())];
                ((Some(site.as_str()), *l), Case::new(format!("mean,site={site},layer={l}"), settings))
            }));
        }
        out
    }

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        let known = ["resid_post", "resid_mid", "mlp.post", "attn.z"];
        if let Some(i) = self.sites.iter().position(|s| !known.contains(&s.as_str())) {
            let message = format!("is {:?}, must be one of {}", self.sites[i], known.join(", "));
            return refuse(&format!("sites[{i}]"), message);
        }
        if self.sites.is_empty() && !self.rows {
            return refuse("sites", "is empty and rows = false: nothing would be patched");
        }
        check(self.examples, &self.layers)
    }
}

impl Attack for Patch {
    fn label(&self) -> &str {
        &self.label
    }

    fn needs_original(&self) -> bool {
        true
    }

    fn layers(&self) -> &[usize] {
        &self.layers
    }

    fn cases(&self, bench: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid(bench))
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let net = bench.net().clone();
        let victim = bench.victim().to_vec();
        let original = bench.original().map(<[f32]>::to_vec);
        let original = original.ok_or_else(|| missing("there is no model from before the removal".into()))?;
        let plain = net.plain();
        let grid = chosen(self.grid(bench), cases);
        let (stitched, means): (Vec<_>, Vec<_>) = grid.into_iter().partition(|((site, _), _)| site.is_none());
        let mut done = 0;
        let (_, head) = net.language().ok_or_else(|| missing("the network predicts no token".into()))?;
        let read_out = net.layout().get(head.weight).span();
        // A tied head would be patched along with the embedding.
        let apart = !head.tied || original[read_out.clone()] == victim[read_out];
        residual(&*net, &self.layers)?;
        for ((_, layer), case) in stitched.into_iter().filter(|_| apart) {
            bench.progress(done as f64 / cases.len() as f64)?;
            done += 1;
            let (stitched, parameters) = stitch(net.layout(), &original, &victim, layer);
            let losses = bench.losses(&stitched, &plain)?;
            let budget = Budget { parameters, ..Budget::default() };
            bench.keep(Trial::new(case.name, vec![(layer as u64, losses)], budget))?;
        }
        if means.is_empty() {
            return Ok(());
        }
        let batch = bench.examples(Loot::Forget, self.examples)?;
        let took = Budget { tokens: tokens(&batch), examples: batch.len() as u64, ..Budget::default() };
        for ((name, layer), case) in means {
            bench.progress(done as f64 / cases.len() as f64)?;
            done += 1;
            let at = sites(&*net, name.unwrap_or_default(), &[layer])?;
            let mut m = Vec::new();
            over_sites(bench, &original, &batch, &at, &mut |_, rows| {
                m = mean(rows, (rows.len() / batch.targets().max(1)).max(1), 0.0);
                Ok(())
            })?;
            let value = m.iter().map(|x| *x as f32).collect();
            let plan = with_edit(plain.clone(), at[0].1, m.len(), Edit::Set(value))?;
            let losses = bench.losses(&victim, &plan)?;
            let budget = Budget { parameters: m.len() as u64, ..took };
            bench.keep(Trial::new(case.name, vec![(layer as u64, losses)], budget))?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::BLOCK,
    battery: Battery::WithOriginal,
    sweeps: &["layers", "rows", "sites"],
    params: params_of::<Patch>,
    build: |v| {
        let (p, full) = parse::<Patch>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
