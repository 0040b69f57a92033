//! A residual stream with MLP blocks over rows of numbers, between an embedding that never trains and its
//! transpose: the network of compressed computation.

mod written;

use std::any::Any;
use std::sync::Arc;

use lobe_core::registry::{About, params_of, read};
use lobe_core::{JointKind, Key};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{Buf, EngineError, Init, Layout, Owner, ParamId, SiteId, Tape, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::WANTED;
use crate::network::{
    Begin, End, Input, NetError, Network, NetworkEntry, Output, Ran, Read, saved, settings,
};

const ABOUT: About = About {
    name: "residual-mlp",
    summary: "MLP blocks on a residual stream of numbers, between a fixed embedding and its transpose",
    reference: "Braun et al. 2025, arXiv 2501.14926; Bhagat et al. 2026, arXiv 2606.14673",
    unusual: "the embedding never trains; without one the stream has a dimension for each number",
    fails: "with an embedding, numbers disturb each other: the blocks see and add to all of them a little",
};

pub(crate) const ENTRY: NetworkEntry = NetworkEntry {
    about: &ABOUT,
    params: params_of::<ResidualMlpConfig>,
    read: |v| read::<ResidualMlpConfig>(v).map(|(_, full)| full),
    build: |v, data| {
        let config: ResidualMlpConfig = settings(v)?;
        let width = match data {
            Some(Input::Rows { width }) => width,
            _ => config.features,
        };
        Ok(Arc::new(ResidualMlp::new(config.resolve(width)?)))
    },
    reads_text: false,
};

/// What a neuron does with its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Neuron {
    /// max(u, 0)
    #[default]
    Relu,
    /// u: the blocks are linear maps, of the rank of their number of neurons.
    Identity,
}

/// Shape of a residual MLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResidualMlpConfig {
    /// Numbers per row; 0 takes it from the data.
    pub features: usize,
    /// Width of the residual stream behind a random embedding with rows of length 1 that never trains; 0 is
    /// no embedding: the stream is the row.
    pub embedding: usize,
    /// Neurons of each block.
    pub neurons: Vec<usize>,
    /// What a neuron does.
    pub activation: Neuron,
    /// Standard deviation of the initial weights; 0 draws them evenly from ±1/√(numbers that a column reads).
    pub init_std: f32,
}

impl Default for ResidualMlpConfig {
    fn default() -> Self {
        ResidualMlpConfig {
            features: 0,
            embedding: 0,
            neurons: vec![50],
            activation: Neuron::Relu,
            init_std: 0.01,
        }
    }
}

impl ResidualMlpConfig {
    /// Fills in what was left at 0.
    ///
    /// # Errors
    /// If a size is zero or absurd, or the data has another width.
    pub fn resolve(mut self, features: usize) -> Result<ResidualMlpConfig, NetError> {
        let refuse = |key: &'static str, what: String| Err(NetError::Config { key, what });
        if self.features == 0 {
            self.features = features;
        }
        if self.features != features {
            return refuse("features", format!("is {}, the data has {features}", self.features));
        }
        let absurd = |n: &usize| *n == 0 || *n > 1 << 20;
        if absurd(&self.features) || self.embedding > 1 << 20 {
            let key = if absurd(&self.features) { "features" } else { "embedding" };
            return refuse(key, "must be at most 1048576 and the row not empty".into());
        }
        if self.neurons.is_empty() || self.neurons.len() > 64 || self.neurons.iter().any(absurd) {
            return refuse("neurons", "needs 1 to 64 blocks of 1 to 1048576 neurons".into());
        }
        if !(0.0..=100.0).contains(&self.init_std) {
            return refuse("init_std", format!("is {}; it must be in 0..=100", self.init_std));
        }
        Ok(self)
    }

    /// Width of the residual stream.
    pub fn width(&self) -> usize {
        if self.embedding == 0 { self.features } else { self.embedding }
    }
}

#[derive(Debug, Clone, Copy)]
struct Block {
    read: ParamId,
    write: ParamId,
    post: SiteId,
    resid_post: SiteId,
}

/// The residual MLP.
#[derive(Debug, Clone)]
pub struct ResidualMlp {
    /// The resolved shape.
    pub config: ResidualMlpConfig,
    /// Tensors and sites.
    pub layout: Layout,
    embedding: Option<ParamId>,
    blocks: Vec<Block>,
    cuts: Vec<SiteId>,
    outputs: Vec<Output>,
}

fn block(l: &mut Layout, i: usize, neurons: usize, c: &ResidualMlpConfig) -> Block {
    let name = |s: &str| format!("blocks.{i}.{s}");
    let width = c.width();
    let init = |reads: usize| match c.init_std {
        0.0 => Init::Uniform(1.0 / (reads as f32).sqrt()),
        std => Init::Normal(std),
    };
    let post = l.site(name("mlp.post"), neurons);
    let resid_post = l.site(name("resid_post"), width);
    let owner = || Owner::units(post, neurons);
    let read = l.tensor(name("mlp.in.weight"), width, neurons).init(init(width)).cols_owned(owner()).add();
    let write = l.tensor(name("mlp.out.weight"), neurons, width).init(init(neurons)).rows_owned(owner());
    Block { read, write: write.add(), post, resid_post }
}

impl ResidualMlp {
    /// Builds the layout of a resolved shape.
    pub fn new(config: ResidualMlpConfig) -> ResidualMlp {
        let c = config;
        let mut l = Layout::default();
        let embed = l.site("embed", c.width());
        let embedding = (c.embedding > 0).then(|| {
            let t = l.tensor("embed.weight", c.features, c.embedding).init(Init::UnitRows);
            t.joint(JointKind::Embedding).frozen().add()
        });
        let blocks: Vec<Block> =
            c.neurons.iter().enumerate().map(|(i, n)| block(&mut l, i, *n, &c)).collect();
        let cuts = [embed].into_iter().chain(blocks.iter().map(|b| b.resid_post)).collect();
        let read = Read::Numbers { width: c.features };
        let outputs = vec![Output { name: "output".into(), target: WANTED, read }];
        ResidualMlp { config: c, layout: l, embedding, blocks, cuts, outputs }
    }

    fn run_block(&self, tape: &mut Tape<'_>, b: &Block, x: Var) -> Result<Var, EngineError> {
        let act = match self.config.activation {
            Neuron::Relu => Act::Relu,
            Neuron::Identity => Act::Identity,
        };
        let u = tape.linear(x, LinearSpec { act, site: Some(b.post), ..LinearSpec::new(b.read) })?;
        let site = Some(b.resid_post);
        tape.linear(u, LinearSpec { residual: Some(x), site, ..LinearSpec::new(b.write) })
    }

    /// The residual stream as it comes in.
    fn embedded(&self, tape: &mut Tape<'_>, rows: Var) -> Result<Var, EngineError> {
        let site = self.cuts[0];
        match self.embedding {
            Some(weight) => tape.linear(rows, LinearSpec { site: Some(site), ..LinearSpec::new(weight) }),
            None => tape.site(rows, site),
        }
    }
}

impl Network for ResidualMlp {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn config(&self) -> Value {
        saved(&self.config)
    }

    fn at_start(&self) -> &'static [&'static str] {
        &["init_std"]
    }

    fn unit_keys(&self) -> &'static [&'static str] {
        &["neurons"]
    }

    fn shape(&self) -> String {
        let c = &self.config;
        let neurons: Vec<String> = c.neurons.iter().map(usize::to_string).collect();
        let embedded =
            if c.embedding > 0 { format!(" in {} dimensions", c.embedding) } else { String::new() };
        let linear = if c.activation == Neuron::Identity { "linear " } else { "" };
        format!("{} numbers{embedded}, {} {linear}neurons", c.features, neurons.join(" + "))
    }

    fn input(&self) -> Input {
        Input::Rows { width: self.config.features }
    }

    fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    fn cuts(&self) -> &[SiteId] {
        &self.cuts
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        let (mut x, first) = match from {
            Begin::Input(fed) => {
                let none = || EngineError::Invalid("a residual-mlp is fed with rows of numbers".into());
                let rows = fed.rows(tape).ok_or_else(none)?;
                (self.embedded(tape, rows)?, 0)
            }
            Begin::Cut { cut, x, .. } => (x, cut),
        };
        let last = match to {
            End::Outputs => self.blocks.len(),
            End::Cut(cut) => cut.min(self.blocks.len()),
        };
        for block in self.blocks.get(first..last).unwrap_or_default() {
            x = self.run_block(tape, block, x)?;
        }
        let ends = match (to, self.embedding) {
            (End::Outputs, Some(weight)) => vec![tape.transposed(x, weight, None)?],
            (End::Outputs, None) => vec![x],
            (End::Cut(_), _) => Vec::new(),
        };
        Ok(Ran { ends, unrouted: Vec::new() })
    }

    fn written(&self, name: &str, key: Key) -> Option<Buf> {
        self.by_hand(name, key)
    }

    fn written_names(&self) -> &'static [&'static str] {
        &written::NAMES
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
