//! A network with its adapters is a network.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use lobe_core::Key;
use lobe_core::registry::{About, ParamError};
use lobe_engine::{Buf, EngineError, Layout, Plan, SiteId, Tape};
use serde_json::Value;

use super::{Adapter, Attached, built};
use crate::network::{Begin, End, Input, Network, Output, Ran};

/// A host with adapters behind it, awake.
pub struct Adapted {
    host: Arc<dyn Network>,
    attached: Attached,
    plain: Plan,
}

impl fmt::Debug for Adapted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapted").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Adapted {
    /// `host` with `adapters`, in their order.
    ///
    /// # Errors
    /// With what the first of them refuses that does not fit.
    pub fn new(host: Arc<dyn Network>, adapters: Vec<Box<dyn Adapter>>) -> Result<Adapted, ParamError> {
        let attached = Attached::new(host.layout(), adapters)?;
        let awake = attached.awake(Plan::plain(attached.layout()));
        let plain = awake.map_err(|e| ParamError { path: String::new(), message: e.to_string() })?;
        Ok(Adapted { host, attached, plain })
    }

    /// The same from specifications: the kind under `kind`, beside the parameters.
    ///
    /// # Errors
    /// With the first that is wrong or does not fit; the error's path begins with its number.
    pub fn of(host: Arc<dyn Network>, specs: &[Value]) -> Result<Adapted, ParamError> {
        let numbered = |(i, spec): (usize, &Value)| built(spec).map_err(|e| e.within(&i.to_string()));
        let adapters = specs.iter().enumerate().map(numbered).collect::<Result<Vec<_>, _>>()?;
        Adapted::new(host, adapters)
    }

    /// Ordinary training of the adapters alone: the host's weights stay, and have no gradient and no moments.
    ///
    /// # Errors
    /// If an adapter does not fit, which was found out before.
    pub fn adapters_alone(&self) -> Result<Plan, EngineError> {
        let own: Vec<_> = self.attached.own().collect();
        self.attached.awake(Plan::plain(self.attached.layout()).train_only(|p| own.contains(&p)))
    }

    /// The host's weights with adapters at their start behind them.
    pub fn started(&self, host: &[f32], key: Key) -> Buf {
        self.attached.started(host, key)
    }

    /// The host's weights with all adapters written into them; `None` if one cannot be.
    pub fn merged(&self, params: &[f32]) -> Option<Buf> {
        self.attached.merged(params)
    }

    /// Number of the adapters' own numbers.
    pub fn own_len(&self) -> usize {
        self.attached.layout().len() - self.attached.host_len()
    }
}

impl Network for Adapted {
    fn about(&self) -> &'static About {
        self.host.about()
    }

    fn layout(&self) -> &Layout {
        self.attached.layout()
    }

    fn plain(&self) -> Plan {
        self.plain.clone()
    }

    fn awake(&self, plan: Plan) -> Result<Plan, EngineError> {
        self.attached.awake(plan)
    }

    fn config(&self) -> Value {
        self.host.config()
    }

    fn adapters(&self) -> Vec<Value> {
        self.attached.specs()
    }

    fn function(&self) -> Value {
        self.host.function()
    }

    fn unit_keys(&self) -> &'static [&'static str] {
        self.host.unit_keys()
    }

    fn shape(&self) -> String {
        format!("{}, {} numbers of adapters", self.host.shape(), self.own_len())
    }

    fn input(&self) -> Input {
        self.host.input()
    }

    fn noise(&self) -> usize {
        self.host.noise()
    }

    fn outputs(&self) -> &[Output] {
        self.host.outputs()
    }

    fn cuts(&self) -> &[SiteId] {
        self.host.cuts()
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        self.host.run(tape, from, to)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
