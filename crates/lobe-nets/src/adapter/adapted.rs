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
    /// Adapters that the network had before, and its number of tensors and of parameters then.
    before: (usize, usize, usize),
    plain: Plan,
}

impl fmt::Debug for Adapted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapted").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Adapted {
    /// `host` with `adapters`, in their order, behind those that it has.
    ///
    /// # Errors
    /// With what the first of them refuses that does not fit.
    pub fn new(host: Arc<dyn Network>, adapters: Vec<Box<dyn Adapter>>) -> Result<Adapted, ParamError> {
        let (tensors, numbers) = (host.layout().tensors().len(), host.layout().len());
        // No adapter stands at another one's doors: all of them see the network that they began with.
        let (host, mut all) = match host.as_any().downcast_ref::<Adapted>() {
            Some(inner) => {
                let again = inner.attached.specs().iter().map(built).collect::<Result<Vec<_>, _>>()?;
                (inner.host.clone(), again)
            }
            None => (host, Vec::new()),
        };
        let before = (all.len(), tensors, numbers);
        all.extend(adapters);
        let attached = Attached::new(host.layout(), all)?;
        let awake = attached.awake(Plan::plain(attached.layout()));
        let plain = awake.map_err(|e| ParamError { path: String::new(), message: e.to_string() })?;
        Ok(Adapted { host, attached, before, plain })
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

    /// Ordinary training of the new adapters alone: the host's weights stay, and have no gradient and no moments.
    ///
    /// # Errors
    /// If an adapter does not fit, which was found out before.
    pub fn adapters_alone(&self) -> Result<Plan, EngineError> {
        let (_, first, _) = self.before;
        self.attached.awake(Plan::plain(self.attached.layout()).train_only(|p| p.0 >= first))
    }

    /// The host's weights with the new adapters at their start behind them.
    ///
    /// # Panics
    /// If `host` are not weights of the host.
    pub fn started(&self, host: &[f32], key: Key) -> Buf {
        let (known, _, numbers) = self.before;
        let mut params = Buf::zeros(self.attached.layout().len());
        params[..numbers].copy_from_slice(&host[..numbers]);
        self.attached.start(known, &mut params, key);
        params
    }

    /// The host's weights with all adapters written into them; `None` if one cannot be.
    pub fn merged(&self, params: &[f32]) -> Option<Buf> {
        self.attached.merged(params)
    }

    /// Number of the new adapters' own numbers.
    pub fn own_len(&self) -> usize {
        self.attached.layout().len() - self.before.2
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

    fn penalised(&self) -> Option<SiteId> {
        self.host.penalised()
    }

    fn run(&self, tape: &mut Tape<'_>, from: Begin<'_>, to: End) -> Result<Ran, EngineError> {
        self.host.run(tape, from, to)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
