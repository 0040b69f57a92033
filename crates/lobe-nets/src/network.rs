//! What every network can be asked for.
//!
//! A network declares tensors, sites and owners in a [`Layout`], writes itself onto a
//! [`Tape`] from one of its *cuts* to another, and says what can be read off it: its *outputs*. Nothing
//! outside a network's own folder asks which network it is.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use lobe_core::Key;
use lobe_core::registry::{About, Listed, ParamDoc, ParamError};
use lobe_engine::ops::head::HeadSpec;
use lobe_engine::{Buf, EngineError, Layout, Plan, SiteId, Tape, Var};
use serde_json::Value;
use thiserror::Error;

use crate::batch::Fed;

/// Why a network or its weights are refused.
#[derive(Debug, Error)]
pub enum NetError {
    /// A configuration value makes no sense.
    #[error("model.{key}: {what}")]
    Config {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A weight file is foreign, damaged or does not fit.
    #[error("{file}: {what}")]
    Weights {
        /// The file as given.
        file: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What a network is fed with, and what data offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Sequences of token ids.
    Tokens {
        /// Number of different ids.
        vocab: usize,
        /// Longest sequence.
        context: usize,
    },
    /// Rows of numbers: images, features, activations.
    Rows {
        /// Numbers per row.
        width: usize,
    },
}

impl Input {
    /// What it is, in a word.
    pub fn name(self) -> &'static str {
        match self {
            Input::Tokens { .. } => "text",
            Input::Rows { .. } => "rows of numbers",
        }
    }

    /// Whether both are of one kind, whatever their sizes.
    pub fn is_like(self, other: Input) -> bool {
        matches!(self, Input::Tokens { .. }) == matches!(other, Input::Tokens { .. })
    }
}

/// How the end of an output is turned into what is compared with a target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Read {
    /// One of so many classes per row; the end is the hidden state before the read-out.
    Classes {
        /// Number of classes.
        classes: usize,
        /// The read-out.
        head: HeadSpec,
    },
    /// So many numbers per row; the end is the numbers.
    Numbers {
        /// Numbers per row.
        width: usize,
    },
}

impl Read {
    /// The two numbers that are taken of every row, as (metric, unit): of classes the loss and whether the
    /// likeliest is the target, of numbers the squared and the absolute distance per number.
    pub fn metrics(self) -> [(&'static str, &'static str); 2] {
        match self {
            Read::Classes { .. } => [("loss", "nat"), ("accuracy", "fraction")],
            Read::Numbers { .. } => [("mse", "mse"), ("mae", "mae")],
        }
    }

    /// Which of the two is logged as the training loss.
    pub fn logged(self) -> usize {
        usize::from(matches!(self, Read::Numbers { .. }))
    }
}

/// Something that can be read off a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name: `next`, `decoder`, …
    pub name: String,
    /// The column of the batch that it predicts.
    pub target: &'static str,
    /// How it is read.
    pub read: Read,
}

/// Where a pass begins.
#[derive(Debug, Clone, Copy)]
pub enum Begin<'a> {
    /// With an input.
    Input(Fed<'a>),
    /// Behind a cut, with what stands there: `[rows, width]`, `seq` rows per sequence.
    Cut {
        /// Index into [`Network::cuts`].
        cut: usize,
        /// What stands there.
        x: Var,
        /// Rows per sequence.
        seq: usize,
    },
}

/// Where a pass ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// With the outputs.
    Outputs,
    /// At a cut (index into [`Network::cuts`]); nothing behind it is computed.
    Cut(usize),
}

/// What a pass left on the tape.
#[derive(Debug, Clone, Default)]
pub struct Ran {
    /// The end of every output, in order; empty for a pass that ends at a cut.
    pub ends: Vec<Var>,
    /// What entered a site whose value before any route can be read, too. The penalties `l1` and
    /// `correlation` of `[model.objective]` read what entered the first cut here.
    pub unrouted: Vec<(SiteId, Var)>,
}

impl Ran {
    /// The end of output `i`.
    ///
    /// # Errors
    /// If the pass did not reach it.
    pub fn end(&self, i: usize) -> Result<Var, EngineError> {
        let none = || EngineError::Invalid(format!("the pass did not reach output {i}"));
        self.ends.get(i).copied().ok_or_else(none)
    }
}

/// A network.
pub trait Network: Debug + Send + Sync {
    /// What it is; its name is the `kind` in recipes and files.
    fn about(&self) -> &'static About;
    /// Tensors and sites.
    fn layout(&self) -> &Layout;
    /// Ordinary training of everything, and how it runs where nothing else is said: its adapters awake.
    fn plain(&self) -> Plan {
        Plan::plain(self.layout())
    }
    /// `plan` (of its layout) with its adapters awake.
    ///
    /// # Errors
    /// If the plan belongs to another layout.
    fn awake(&self, plan: Plan) -> Result<Plan, EngineError> {
        Ok(plan)
    }
    /// Its settings, complete, as stored beside the weights.
    fn config(&self) -> Value;

    /// The adapters at its doors as [`crate::adapter::Adapted::of`] reads them; [`Network::config`] is that of
    /// the network they stand at.
    fn adapters(&self) -> Vec<Value> {
        Vec::new()
    }
    /// The settings that decide its function beside the weights. Two networks that say the same and have the
    /// same weights are one function.
    fn function(&self) -> Value {
        let mut config = self.config();
        if let Value::Object(map) = &mut config {
            map.retain(|key, _| !self.at_start().contains(&key.as_str()));
        }
        config
    }
    /// Settings that matter when its weights are drawn, and never again.
    fn at_start(&self) -> &'static [&'static str] {
        &[]
    }
    /// Settings that count units: a network without some units differs from the whole one in these alone.
    fn unit_keys(&self) -> &'static [&'static str] {
        &[]
    }
    /// Its shape in a few words.
    fn shape(&self) -> String;
    /// What it is fed with.
    fn input(&self) -> Input;
    /// How many numbers of a standard normal it takes beside each row while it is trained; without them it runs at
    /// their mean, 0.
    fn noise(&self) -> usize {
        0
    }
    /// What can be read off it; at least one.
    fn outputs(&self) -> &[Output];
    /// The sites that everything passes through, in order: where a pass can begin or end.
    fn cuts(&self) -> &[SiteId];
    /// The site whose values, before any route, the penalties of a recipe's objective read: [`Ran::unrouted`] has
    /// them. A network without one is asked for no such penalty.
    fn penalised(&self) -> Option<SiteId> {
        None
    }
    /// Writes a pass over one shard onto the tape.
    ///
    /// # Errors
    /// If the input does not fit.
    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError>;
    /// Weights set by hand, by name; `None` where there are none of that name.
    fn written(&self, _name: &str, _key: Key) -> Option<Buf> {
        None
    }
    /// The names that [`Network::written`] knows.
    fn written_names(&self) -> &'static [&'static str] {
        &[]
    }
    /// For the network's own folder and the files of other tools.
    fn as_any(&self) -> &dyn Any;

    // What follows from the above, for every network alike.

    /// Its `kind`.
    fn kind(&self) -> &'static str {
        self.about().name
    }

    /// Number of blocks: of cuts behind the first one.
    fn blocks(&self) -> usize {
        self.cuts().len().saturating_sub(1)
    }

    /// The site of the residual stream after block `i`.
    fn after_block(&self, i: usize) -> Option<SiteId> {
        self.cuts().get(i + 1).copied()
    }

    /// Numbers per row at a cut.
    fn width_at(&self, cut: usize) -> usize {
        self.cuts().get(cut).map_or(0, |s| self.layout().sites()[s.0].units as usize)
    }

    /// Whether it predicts the next token of a text, and how: number of tokens and read-out.
    fn language(&self) -> Option<(usize, HeadSpec)> {
        match (self.input(), self.outputs().first()?.read) {
            (Input::Tokens { .. }, Read::Classes { classes, head }) => Some((classes, head)),
            _ => None,
        }
    }

    /// Longest sequence; 0 without sequences.
    fn context(&self) -> usize {
        match self.input() {
            Input::Tokens { context, .. } => context,
            Input::Rows { .. } => 0,
        }
    }

    /// Numbers per row at the widest site that owns weights, or at a cut.
    fn widest(&self) -> usize {
        let owned = self.layout().tensors().iter().filter(|t| t.row_owner.is_some()).map(|t| t.rows);
        owned.chain((0..self.cuts().len()).map(|c| self.width_at(c))).max().unwrap_or(0)
    }

    /// The final hidden states `[rows, width]` of a language model over a shard.
    ///
    /// # Errors
    /// If a token is out of range or a sequence is too long.
    fn hidden(&self, tape: &mut Tape<'_>, fed: Fed<'_>) -> Result<Var, EngineError> {
        self.run(tape, Begin::Input(fed), End::Outputs)?.end(0)
    }
}

/// A kind of network.
pub struct NetworkEntry {
    /// What it is.
    pub about: &'static About,
    /// Its settings.
    pub params: fn() -> Vec<ParamDoc>,
    /// Reads a recipe's settings and returns them with every default.
    pub read: fn(&Value) -> Result<Value, ParamError>,
    /// Builds it for data of a shape; what is 0 in the settings is taken from the data. Without data the
    /// settings are complete.
    pub build: fn(&Value, Option<Input>) -> Result<Arc<dyn Network>, NetError>,
    /// Whether it is fed with text, else with rows of numbers.
    pub reads_text: bool,
}

impl Listed for NetworkEntry {
    fn name(&self) -> &'static str {
        self.about.name
    }
}

/// Settings of a network as its type has them.
///
/// # Errors
/// If they are no `C`.
pub fn settings<C: serde::de::DeserializeOwned>(value: &Value) -> Result<C, NetError> {
    serde_json::from_value(value.clone()).map_err(|e| NetError::Config { key: "kind", what: e.to_string() })
}

/// Settings of a network as they are saved.
pub fn saved<C: serde::Serialize>(config: &C) -> Value {
    // A table of numbers and names can always be written.
    lobe_core::registry::full(config).unwrap_or_default()
}
