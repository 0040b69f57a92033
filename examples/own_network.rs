//! A network: the next token from the last one alone, through one hidden layer.
//!
//! Equation: p = softmax(relu(E[token] W + b) U). A bigram model of low rank.
//! Unusual: a language model without attention, which removals and attacks treat like any other.
//! Fails: knows nothing of what stands before the last token.

use std::any::Any;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;

use lobe_core::JointKind;
use lobe_core::registry::{About, Taken, params_of, read};
use lobe_engine::ops::head::HeadSpec;
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{EngineError, Init, Layout, Owner, ParamId, SiteId, Tape};
use lobe_nets::{
    Begin, End, Fed, Input, NETWORKS, NEXT, NetError, Network, NetworkEntry, Output, Ran, Read, saved,
    settings,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct BigramConfig {
    /// Number of tokens; 0 takes it from the data.
    vocab: usize,
    /// Longest sequence; 0 takes it from the data.
    context: usize,
    /// Width of the embedding.
    width: usize,
    /// Hidden units.
    hidden: usize,
}

impl Default for BigramConfig {
    fn default() -> Self {
        BigramConfig { vocab: 0, context: 0, width: 16, hidden: 64 }
    }
}

/// The network.
#[derive(Debug)]
struct Bigram {
    config: BigramConfig,
    layout: Layout,
    embed: ParamId,
    weight: ParamId,
    bias: ParamId,
    /// `embed`, then `hidden`.
    cuts: [SiteId; 2],
    outputs: [Output; 1],
}

impl Bigram {
    /// Declares its tensors, its sites, and what a hidden unit owns: a column of W and b, a row of U.
    fn new(config: BigramConfig) -> Result<Bigram, NetError> {
        let BigramConfig { vocab, width, hidden, .. } = config;
        for (key, n) in [("vocab", vocab), ("width", width), ("hidden", hidden)] {
            if n == 0 || n > 1 << 20 {
                return Err(NetError::Config { key, what: format!("is {n}, must be in 1..=1048576") });
            }
        }
        let mut l = Layout::default();
        let cuts = [l.site("embed", width), l.site("hidden", hidden)];
        let owner = Owner::units(cuts[1], hidden);
        let embed =
            l.tensor("embed.tokens", vocab, width).init(Init::Normal(0.5)).joint(JointKind::Embedding).add();
        let spread = Init::Normal(1.0 / (width as f32).sqrt());
        let weight = l.tensor("hidden.weight", width, hidden).init(spread).cols_owned(owner.clone()).add();
        let bias = l.tensor("hidden.bias", 1, hidden).cols_owned(owner.clone()).add();
        let spread = Init::Normal(1.0 / (hidden as f32).sqrt());
        let out = l.tensor("head.weight", hidden, vocab).init(spread).rows_owned(owner).add();
        let head = HeadSpec { weight: out, tied: false, bias: None, scale: 1.0 };
        let read = Read::Classes { classes: vocab, head };
        let outputs = [Output { name: NEXT.into(), target: NEXT, read }];
        Ok(Bigram { config, layout: l, embed, weight, bias, cuts, outputs })
    }
}

impl Network for Bigram {
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
        format!("{} hidden units", self.config.hidden)
    }
    fn input(&self) -> Input {
        Input::Tokens { vocab: self.config.vocab, context: self.config.context }
    }
    fn outputs(&self) -> &[Output] {
        &self.outputs
    }
    fn cuts(&self) -> &[SiteId] {
        &self.cuts
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        let last = match to {
            End::Outputs => 1,
            End::Cut(cut) => cut,
        };
        let (mut x, at) = match from {
            Begin::Input(Fed::Tokens { ids, seq }) => {
                (tape.embedding(ids, seq, self.embed, None, Some(self.cuts[0]))?, 0)
            }
            Begin::Input(_) => return Err(EngineError::Invalid("a bigram model is fed with tokens".into())),
            Begin::Cut { cut, x, .. } => (x, cut),
        };
        if at < last {
            let (bias, site) = (Some(self.bias), Some(self.cuts[1]));
            x = tape.linear(x, LinearSpec { bias, act: Act::Relu, site, ..LinearSpec::new(self.weight) })?;
        }
        let ends = if to == End::Outputs { vec![x] } else { Vec::new() };
        Ok(Ran { ends, unrouted: Vec::new() })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

static ABOUT: About = About {
    name: "bigram",
    summary: "the next token from the last one, through a hidden layer",
    reference: "an example",
    unusual: "no attention",
    fails: "knows nothing of what stands before the last token",
};

/// The registered network.
static OWN: NetworkEntry = NetworkEntry {
    about: &ABOUT,
    params: params_of::<BigramConfig>,
    read: |v| read::<BigramConfig>(v).map(|(_, full)| full),
    build: |v, data| {
        let mut config: BigramConfig = settings(v)?;
        if let Some(Input::Tokens { vocab, context }) = data {
            (config.vocab, config.context) = (vocab, context);
        }
        Ok(Arc::new(Bigram::new(config)?))
    },
    reads_text: true,
};

/// It is trained, cut, relearned and measured like any other.
pub(crate) const RECIPE: &str = r#"
name = "own-network"

[data]
kind = "bilingual"
stories = 160
test_stories = 8
probes = 0
seq = 48
packing = "pack"
forget = { language = "es" }
retain = { language = "en" }

[model]
kind = "bigram"
hidden = 48

[regions]
module = "hidden[-16..]"

[train]
steps = 40
batch = 8
lr = 0.01

[arms]
baseline = { method = "none" }
routing = { method = "gradient-routing", region = "module" }

[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "relearn"
steps = 10
lrs = [0.01]
[[stage]]
do = "measure"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    NETWORKS.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
