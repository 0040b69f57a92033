//! The toy model of superposition: more numbers than dimensions, squeezed through one matrix and back.

use std::any::Any;
use std::f32::consts::TAU;
use std::sync::Arc;

use lobe_core::registry::{About, params_of, read};
use lobe_core::{JointKind, Key};
use lobe_engine::ops::linear::LinearSpec;
use lobe_engine::ops::unary::Function;
use lobe_engine::{Buf, EngineError, Init, Layout, Owner, ParamId, SiteId, Tape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::batch::WANTED;
use crate::network::{
    Begin, End, Input, NetError, Network, NetworkEntry, Output, Ran, Read, saved, settings,
};

const ABOUT: About = About {
    name: "superposition",
    summary: "the toy model of superposition: ReLU(x W Wᵀ + b), more numbers than dimensions",
    reference: "Elhage et al. 2022, Toy Models of Superposition",
    unusual: "one matrix writes and reads: its gradient is the sum over both",
    fails: "training ends in one of several arrangements; which one depends on the seed",
};

pub(crate) const ENTRY: NetworkEntry = NetworkEntry {
    about: &ABOUT,
    params: params_of::<SuperpositionConfig>,
    read: |v| read::<SuperpositionConfig>(v).map(|(_, full)| full),
    build: |v, data| {
        let config: SuperpositionConfig = settings(v)?;
        let width = match data {
            Some(Input::Rows { width }) => width,
            _ => config.features,
        };
        Ok(Arc::new(Superposition::new(config.resolve(width)?)))
    },
    reads_text: false,
};

/// Shape of a toy model of superposition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SuperpositionConfig {
    /// Numbers per row; 0 takes it from the data.
    pub features: usize,
    /// Dimensions that they share.
    pub hidden: usize,
    /// Standard deviation of the initial weights; 0 is √(2 / (features + hidden)).
    pub init_std: f32,
}

impl Default for SuperpositionConfig {
    fn default() -> Self {
        SuperpositionConfig { features: 0, hidden: 2, init_std: 0.0 }
    }
}

impl SuperpositionConfig {
    /// Fills in what was left at 0.
    ///
    /// # Errors
    /// If a size is zero or absurd, or the data has another width.
    pub fn resolve(mut self, features: usize) -> Result<SuperpositionConfig, NetError> {
        let refuse = |key: &'static str, what: String| Err(NetError::Config { key, what });
        if self.features == 0 {
            self.features = features;
        }
        if self.features != features {
            return refuse("features", format!("is {}, the data has {features}", self.features));
        }
        for (key, n) in [("features", self.features), ("hidden", self.hidden)] {
            if n == 0 || n > 1 << 20 {
                return refuse(key, format!("is {n}; it must be in 1..=1048576"));
            }
        }
        if !(0.0..=100.0).contains(&self.init_std) {
            return refuse("init_std", format!("is {}; it must be in 0..=100", self.init_std));
        }
        if self.init_std == 0.0 {
            self.init_std = (2.0 / (self.features + self.hidden) as f32).sqrt();
        }
        Ok(self)
    }
}

/// The toy model.
#[derive(Debug, Clone)]
pub struct Superposition {
    /// The resolved shape.
    pub config: SuperpositionConfig,
    /// Tensors and sites.
    pub layout: Layout,
    weight: ParamId,
    bias: ParamId,
    cuts: Vec<SiteId>,
    outputs: Vec<Output>,
}

impl Superposition {
    /// Builds the layout of a resolved shape.
    pub fn new(config: SuperpositionConfig) -> Superposition {
        let c = config;
        let mut l = Layout::default();
        let hidden = l.site("hidden", c.hidden);
        let weight = l
            .tensor("weight", c.features, c.hidden)
            .init(Init::Normal(c.init_std))
            .cols_owned(Owner::units(hidden, c.hidden))
            .add();
        let bias = l.tensor("bias", 1, c.features).joint(JointKind::Head).add();
        let read = Read::Numbers { width: c.features };
        let outputs = vec![Output { name: "output".into(), target: WANTED, read }];
        Superposition { config: c, layout: l, weight, bias, cuts: vec![hidden], outputs }
    }
}

impl Network for Superposition {
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
        &["hidden"]
    }

    fn shape(&self) -> String {
        format!("{} numbers in {} dimensions", self.config.features, self.config.hidden)
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

    fn penalised(&self) -> Option<SiteId> {
        self.cuts.first().copied()
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        let mut ran = Ran::default();
        let hidden = match from {
            Begin::Input(fed) => {
                let none = || EngineError::Invalid("a superposition is fed with rows of numbers".into());
                let rows = fed.rows(tape).ok_or_else(none)?;
                // The code is read before its site as well, by penalties: no column is left out.
                let code = tape.linear(rows, LinearSpec { open: true, ..LinearSpec::new(self.weight) })?;
                ran.unrouted.push((self.cuts[0], code));
                tape.site(code, self.cuts[0])?
            }
            Begin::Cut { x, .. } => x,
        };
        if to == End::Outputs {
            let sum = tape.transposed(hidden, self.weight, Some(self.bias))?;
            ran.ends.push(tape.map(sum, Function::Relu));
        }
        Ok(ran)
    }

    /// * `pentagon`: five numbers in two dimensions, their directions evenly around a circle of radius 1, no bias
    fn written(&self, name: &str, _key: Key) -> Option<Buf> {
        if name != "pentagon" || (self.config.features, self.config.hidden) != (5, 2) {
            return None;
        }
        let mut out = Buf::zeros(self.layout.len());
        for (i, row) in out[self.layout.get(self.weight).span()].chunks_exact_mut(2).enumerate() {
            let angle = TAU * i as f32 / 5.0;
            row.copy_from_slice(&[angle.cos(), angle.sin()]);
        }
        Some(out)
    }

    fn written_names(&self) -> &'static [&'static str] {
        &["pentagon"]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
