//! An MLP autoencoder with any number of decoders, each reading a part of the latent.

use std::any::Any;
use std::sync::Arc;

use lobe_core::JointKind;
use lobe_core::registry::{About, params_of, read};
use lobe_engine::ops::binary::Pair;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::unary::Function;
use lobe_engine::{EngineError, Init, Layout, Owner, OwnerPart, ParamId, SiteId, Tape, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use serde_json::Value;

use crate::batch::{Fed, INPUT};
use crate::network::{
    Begin, End, Input, NetError, Network, NetworkEntry, Output, Ran, Read, saved, settings,
};

const ABOUT: About = About {
    name: "autoencoder",
    summary: "an MLP autoencoder with any number of decoders, each of a part of the latent",
    reference: "Cloud et al. 2024, arXiv 2410.04332, appendix B",
    unusual: "a decoder may be detached: a certificate of what its part of the latent holds",
    fails: "decoders of a part do not belong to the latents that they read",
};

pub(crate) const ENTRY: NetworkEntry = NetworkEntry {
    about: &ABOUT,
    params: params_of::<AutoencoderConfig>,
    read: |v| read::<AutoencoderConfig>(v).map(|(_, full)| full),
    build: |v, data| {
        let config: AutoencoderConfig = settings(v)?;
        let width = match data {
            Some(Input::Rows { width }) => width,
            _ => config.input,
        };
        Ok(Arc::new(Autoencoder::new(config.resolve(width)?)))
    },
    reads_text: false,
};

/// One decoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecoderConfig {
    /// Its name; its sites are `name.0.post`, ….
    pub name: String,
    /// First latent it reads. Only a decoder of all latents that is not detached belongs to them: the
    /// weights with which any other reads a latent are in no region, so neither a start at zero nor a
    /// new draw of a region changes them.
    #[serde(default)]
    pub from: usize,
    /// One past the last latent it reads; 0 is all.
    #[serde(default)]
    pub to: usize,
    /// Whether its gradient stops at the latent: a certificate of what the latent holds.
    #[serde(default)]
    pub detach: bool,
}

/// Shape of an autoencoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AutoencoderConfig {
    /// Input width; 0 takes it from the data.
    pub input: usize,
    /// Hidden widths of the encoder; decoders mirror them.
    pub hidden: Vec<usize>,
    /// Width of the latent.
    pub latent: usize,
    /// The decoders; at least one.
    pub decoders: Vec<DecoderConfig>,
    /// Whether the last encoder layer has a bias.
    pub latent_bias: bool,
    /// Whether the latent is drawn in training: two linear maps of the last encoder layer give a mean and a scale
    /// for each latent, side by side at the site `heads`, and the latent is mean + scale · noise. Measured, it is
    /// the mean.
    pub variational: bool,
    /// What the latent goes through before its site.
    pub latent_activation: LatentActivation,
    /// What the outputs of all decoders go through.
    pub output_activation: OutputActivation,
}

/// What a latent goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LatentActivation {
    /// Nothing.
    Identity,
    /// max(x, 0)
    Relu,
}

/// What an output goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputActivation {
    /// Nothing.
    Identity,
    /// 1 / (1 + e⁻ˣ)
    Sigmoid,
}

impl Default for AutoencoderConfig {
    fn default() -> Self {
        let main = DecoderConfig { name: "decoder".into(), from: 0, to: 0, detach: false };
        AutoencoderConfig {
            input: 0,
            hidden: vec![2048, 512],
            latent: 32,
            decoders: vec![main],
            latent_bias: false,
            variational: false,
            latent_activation: LatentActivation::Identity,
            output_activation: OutputActivation::Identity,
        }
    }
}

impl AutoencoderConfig {
    /// Fills in what was left at 0.
    ///
    /// # Errors
    /// If a size is zero or absurd, a decoder reads outside of the latent, or names repeat.
    pub fn resolve(mut self, input: usize) -> Result<AutoencoderConfig, NetError> {
        if self.input == 0 {
            self.input = input;
        }
        if self.input != input {
            return Err(NetError::Config {
                key: "input",
                what: format!("is {}, the data has {input}", self.input),
            });
        }
        let absurd = |n: &usize| *n == 0 || *n > 1 << 20;
        if self.hidden.len() > 64 || self.hidden.iter().chain([&self.latent, &self.input]).any(absurd) {
            return Err(NetError::Config {
                key: "hidden",
                what: "every width must be in 1..=1048576".into(),
            });
        }
        if self.decoders.is_empty() || self.decoders.len() > 64 {
            return Err(NetError::Config { key: "decoders", what: "needs 1 to 64 decoders".into() });
        }
        for i in 0..self.decoders.len() {
            let (before, rest) = self.decoders.split_at_mut(i);
            let d = &mut rest[0];
            if d.to == 0 {
                d.to = self.latent;
            }
            if d.from >= d.to || d.to > self.latent {
                let what = format!("{:?} reads {}..{} of {} latents", d.name, d.from, d.to, self.latent);
                return Err(NetError::Config { key: "decoders", what });
            }
            if before.iter().any(|b| b.name == d.name) || d.name == "encoder" {
                let what = format!("name {:?} is reserved or used twice", d.name);
                return Err(NetError::Config { key: "decoders", what });
            }
            // The name becomes part of the names of tensors, sites and measurements.
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if d.name.is_empty() || d.name.len() > 64 || !d.name.chars().all(plain) {
                let what = format!("name {:?} is not 1 to 64 letters, digits, \"_\" or \"-\"", d.name);
                return Err(NetError::Config { key: "decoders", what });
            }
        }
        Ok(self)
    }
}

#[derive(Debug, Clone)]
struct Layer {
    weight: ParamId,
    bias: Option<ParamId>,
    act: Act,
    site: Option<SiteId>,
}

/// The autoencoder.
#[derive(Debug, Clone)]
pub struct Autoencoder {
    /// The resolved shape.
    pub config: AutoencoderConfig,
    /// Tensors and sites.
    pub layout: Layout,
    encoder: Vec<Layer>,
    /// Means and scales of the latents, side by side.
    heads: Option<Layer>,
    decoders: Vec<Vec<Layer>>,
    cuts: Vec<SiteId>,
    outputs: Vec<Output>,
}

/// A stack of layers `widths[0] → … → widths.last()`, ReLU inside, affine at the end. `first`
/// owns the rows of the first weight.
fn stack(
    l: &mut Layout,
    name: &str,
    widths: &[usize],
    first: Option<Owner>,
    last_bias: bool,
    owned: Option<SiteId>,
) -> Vec<Layer> {
    let mut out = Vec::new();
    let mut rows_owner = first;
    for (i, pair) in widths.windows(2).enumerate() {
        let (from, to) = (pair[0], pair[1]);
        let last = i + 2 == widths.len();
        let bound = Init::Uniform(1.0 / (from as f32).sqrt());
        let site = (!last).then(|| l.site(format!("{name}.{i}.post"), to));
        let cols_owner = if last { owned } else { site }.map(|s| Owner::units(s, to));
        let mut weight = l.tensor(format!("{name}.{i}.weight"), from, to).init(bound);
        if let Some(o) = rows_owner.take() {
            weight = weight.rows_owned(o);
        }
        if let Some(o) = &cols_owner {
            weight = weight.cols_owned(o.clone());
        }
        let weight = weight.add();
        let bias = (!last || last_bias).then(|| {
            let b = l.tensor(format!("{name}.{i}.bias"), 1, to).init(bound);
            match &cols_owner {
                Some(o) => b.cols_owned(o.clone()).add(),
                // Of a code that is no output.
                None if name == "encoder" => b.add(),
                None => b.joint(JointKind::Head).add(),
            }
        });
        rows_owner = site.map(|s| Owner::units(s, to));
        let act = if last { Act::Identity } else { Act::Relu };
        out.push(Layer { weight, bias, act, site });
    }
    out
}

/// The maps from a code to the mean and the scale of each latent; both belong to the latent.
fn heads(l: &mut Layout, latent: SiteId, units: usize) -> Layer {
    let site = l.site("heads", 2 * units);
    let part = |start| OwnerPart { start, blocks: units, width: 1, units_per_block: 1 };
    let owner = Owner { site: latent, parts: vec![part(0), part(units)] };
    let bound = Init::Uniform(1.0 / (units as f32).sqrt());
    let weight = l.tensor("heads.weight", units, 2 * units).init(bound).side_by_side(&[units, units]);
    let weight = weight.cols_owned(owner.clone()).add();
    let bias = Some(l.tensor("heads.bias", 1, 2 * units).init(bound).cols_owned(owner).add());
    Layer { weight, bias, act: Act::Identity, site: Some(site) }
}

impl Autoencoder {
    /// Builds the layout of a resolved shape.
    pub fn new(config: AutoencoderConfig) -> Autoencoder {
        let c = config;
        let mut l = Layout::default();
        let latent = l.site("latent", c.latent);
        let widths: Vec<usize> = [c.input].into_iter().chain(c.hidden.clone()).chain([c.latent]).collect();
        // What is mapped to means and scales belongs to all of them.
        let owned = (!c.variational).then_some(latent);
        let encoder = stack(&mut l, "encoder", &widths, None, c.latent_bias, owned);
        let heads = c.variational.then(|| heads(&mut l, latent, c.latent));
        let decoders = c.decoders.iter().map(|d| {
            let widths: Vec<usize> =
                [d.to - d.from].into_iter().chain(c.hidden.iter().rev().copied()).chain([c.input]).collect();
            // A certificate reads what the latent holds without belonging to it. A decoder of a part
            // could, but owners count from unit 0.
            let whole = d.from == 0 && d.to == c.latent && !d.detach;
            stack(&mut l, &d.name, &widths, whole.then(|| Owner::units(latent, c.latent)), true, None)
        });
        let decoders = decoders.collect();
        let output = |d: &DecoderConfig| Output {
            name: d.name.clone(),
            target: INPUT,
            read: Read::Numbers { width: c.input },
        };
        let outputs = c.decoders.iter().map(output).collect();
        Autoencoder { config: c, layout: l, encoder, heads, decoders, cuts: vec![latent], outputs }
    }

    fn layers(tape: &mut Tape<'_>, layers: &[Layer], mut x: Var) -> Result<Var, EngineError> {
        for layer in layers {
            let Layer { weight, bias, act, site } = *layer;
            x =
                tape.linear(x, LinearSpec { weight, bias, act, residual: None, site, open: site.is_none() })?;
        }
        Ok(x)
    }

    /// What enters the site of the latent.
    fn code(&self, tape: &mut Tape<'_>, fed: Fed<'_>) -> Result<Var, EngineError> {
        let none = || EngineError::Invalid("an autoencoder is fed with rows of numbers".into());
        let x = fed.rows(tape).ok_or_else(none)?;
        let mut code = Self::layers(tape, &self.encoder, x)?;
        let latent = self.config.latent;
        if let Some(Layer { weight, bias, act, site }) = self.heads {
            let both =
                tape.linear(code, LinearSpec { weight, bias, act, residual: None, site, open: true })?;
            code = tape.columns(both, 0..latent)?;
            if let Some(noise) = fed.noise(tape, latent)? {
                let scale = tape.columns(both, latent..2 * latent)?;
                let drawn = tape.pair(scale, Pair::Mul, noise)?;
                code = tape.pair(code, Pair::Add, drawn)?;
            }
        }
        Ok(match self.config.latent_activation {
            LatentActivation::Identity => code,
            LatentActivation::Relu => tape.map(code, Function::Relu),
        })
    }
}

impl Network for Autoencoder {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn config(&self) -> Value {
        saved(&self.config)
    }

    fn shape(&self) -> String {
        let c = &self.config;
        let widths = [c.input].into_iter().chain(c.hidden.iter().copied()).chain([c.latent]);
        let widths: Vec<String> = widths.map(|w| w.to_string()).collect();
        let plural = if c.decoders.len() == 1 { "" } else { "s" };
        format!("{}, {} decoder{plural}", widths.join("–"), c.decoders.len())
    }

    fn input(&self) -> Input {
        Input::Rows { width: self.config.input }
    }

    fn noise(&self) -> usize {
        if self.config.variational { self.config.latent } else { 0 }
    }

    fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    fn cuts(&self) -> &[SiteId] {
        &self.cuts
    }

    fn penalised(&self) -> Option<SiteId> {
        self.cuts.first().copied()
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        let mut ran = Ran::default();
        let latent = self.cuts[0];
        let z = match from {
            Begin::Input(fed) => {
                let code = self.code(tape, fed)?;
                ran.unrouted.push((latent, code));
                tape.site(code, latent)?
            }
            Begin::Cut { x, .. } => x,
        };
        if to != End::Outputs {
            return Ok(ran);
        }
        for (layers, d) in self.decoders.iter().zip(&self.config.decoders) {
            let whole = d.from == 0 && d.to == self.config.latent;
            let mut part = if whole { z } else { tape.columns(z, d.from..d.to)? };
            if d.detach {
                part = tape.detach(part);
            }
            let end = Self::layers(tape, layers, part)?;
            ran.ends.push(match self.config.output_activation {
                OutputActivation::Identity => end,
                OutputActivation::Sigmoid => tape.map(end, Function::Sigmoid),
            });
        }
        Ok(ran)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
