//! Adapters: guests with tensors, sites and units of their own, which stand at the doors of a network.
//!
//! Their tensors lie behind the host's in one layout, so the host's weights are a prefix of the whole and
//! its ids stay what they are. A network with its adapters is a network: regions, routes, cuts and activity
//! work on the units that an adapter brings. An adapter that is not among a plan's guests is asleep, and the
//! host then is what it was, bit for bit.

mod adapted;
mod add;
mod low_rank;

use std::sync::Arc;

use lobe_core::registry::{Entry, List, ParamError, full};
use lobe_core::{Key, did_you_mean};
use lobe_engine::{Buf, Door, EngineError, Guest, Layout, ParamId, Plan};
use serde::Serialize;
use serde_json::{Map, Value};

pub use adapted::Adapted;

/// Guests and the doors at which they stand.
pub type Standing = Vec<(Door, Arc<dyn Guest>)>;

/// Something that stands at doors of a network and can be trained.
pub trait Adapter: Send + Sync {
    /// Its kind under `kind`, and every parameter: what [`Adapted::of`] makes it again from.
    fn spec(&self) -> Value;

    /// Declares tensors, sites and owners for the network `host` at the end of `into`, which begins with the
    /// host's own, and says who stands where. Names are made from the host's and the adapter's.
    ///
    /// # Errors
    /// If what a parameter names is not there, or a name is taken.
    fn declare(&self, host: &Layout, into: &mut Layout) -> Result<Standing, ParamError>;

    /// Fills its tensors in `params` (of the whole `layout`) with what it starts from: the identity, where
    /// its kind has one.
    fn start(&self, layout: &Layout, params: &mut [f32], key: Key);

    /// `params` with the adapter written into the host's weights and its own at the identity: the same
    /// function, with the adapter awake or asleep. `None` where weights of the host cannot say it.
    fn merged(&self, layout: &Layout, params: &[f32]) -> Option<Buf>;
}

/// Every kind of adapter, in the order in which they are listed.
pub static ADAPTERS: List<Entry<dyn Adapter>> = List::new(&[low_rank::ENTRY, add::ENTRY]);

/// The kind called `name`.
pub fn adapter(name: &str) -> Option<&'static Entry<dyn Adapter>> {
    ADAPTERS.find(name)
}

/// The specification of an adapter with these parameters.
fn spec(kind: &str, params: &impl Serialize) -> Value {
    let mut out = Map::from_iter([("kind".to_owned(), Value::from(kind))]);
    if let Ok(Value::Object(own)) = full(params) {
        out.extend(own);
    }
    Value::Object(out)
}

/// Builds an adapter from its specification: its kind under `kind`, beside its parameters.
///
/// # Errors
/// With the key that is wrong; for an unknown kind the nearest one is named.
pub fn built(spec: &Value) -> Result<Box<dyn Adapter>, ParamError> {
    let refuse = |message: String| ParamError { path: "kind".into(), message };
    let mut params = spec.clone();
    let kind = params.as_object_mut().and_then(|p| p.remove("kind"));
    let Some(kind) = kind.as_ref().and_then(Value::as_str) else {
        return Err(refuse("says which kind of adapter it is".into()));
    };
    let Some(entry) = adapter(kind) else {
        return Err(refuse(format!("{kind:?} is no adapter{}", did_you_mean(kind, ADAPTERS.names()))));
    };
    (entry.build)(&params).map(|(adapter, _)| adapter)
}

/// A network's layout with adapters behind it.
pub struct Attached {
    layout: Layout,
    host: usize,
    adapters: Vec<Box<dyn Adapter>>,
    standing: Standing,
}

impl Attached {
    /// Puts `adapters` behind `host`, in their order. At a door that several stand at, the later ones see
    /// what the earlier ones answer.
    ///
    /// # Errors
    /// With what the first of them refuses that does not fit.
    pub fn new(host: &Layout, adapters: Vec<Box<dyn Adapter>>) -> Result<Attached, ParamError> {
        let mut layout = host.clone();
        let mut standing = Vec::new();
        for adapter in &adapters {
            standing.extend(adapter.declare(host, &mut layout)?);
        }
        layout.check().map_err(|e| ParamError { path: String::new(), message: e.to_string() })?;
        Ok(Attached { layout, host: host.tensors().len(), adapters, standing })
    }

    /// Tensors and sites, the host's first.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the adapters are made again from, in their order.
    pub fn specs(&self) -> Vec<Value> {
        self.adapters.iter().map(|a| a.spec()).collect()
    }

    /// The tensors that the adapters brought.
    pub fn own(&self) -> impl Iterator<Item = ParamId> {
        (self.host..self.layout.tensors().len()).map(ParamId)
    }

    /// Numbers of the host: its weights are so many first ones.
    pub fn host_len(&self) -> usize {
        self.layout.tensors().get(self.host).map_or(self.layout.len(), |t| t.offset)
    }

    /// `plan` (of [`Attached::layout`]) with the adapters awake.
    ///
    /// # Errors
    /// If the plan belongs to another layout.
    pub fn awake(&self, plan: Plan) -> Result<Plan, EngineError> {
        let mut all = self.standing.iter();
        all.try_fold(plan, |plan, (door, guest)| plan.with_guest(*door, Arc::clone(guest)))
    }

    /// The host's weights with adapters at their start behind them.
    ///
    /// # Panics
    /// If `host` are not weights of the host.
    pub fn started(&self, host: &[f32], key: Key) -> Buf {
        let mut params = Buf::zeros(self.layout.len());
        params[..self.host_len()].copy_from_slice(host);
        self.start(0, &mut params, key);
        params
    }

    /// Fills the tensors of all adapters from number `first` on with what they start from.
    pub(crate) fn start(&self, first: usize, params: &mut [f32], key: Key) {
        self.adapters[first..].iter().for_each(|a| a.start(&self.layout, params, key));
    }

    /// The host's weights with all adapters written into them; `None` if one cannot be.
    pub fn merged(&self, params: &[f32]) -> Option<Buf> {
        let mut all = Buf::from_slice(params);
        for adapter in &self.adapters {
            all = adapter.merged(&self.layout, &all)?;
        }
        Some(Buf::from_slice(&all[..self.host_len()]))
    }
}

/// `Ok` if `name` can be a part of the names of tensors and sites.
fn check_name(name: &str) -> Result<(), ParamError> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if first && name.len() <= 64 && name.chars().all(word) {
        return Ok(());
    }
    let message = format!("{name:?} is not 1 to 64 letters, digits or \"_\", beginning with a letter");
    Err(ParamError { path: "name".into(), message })
}

/// `Ok` if nothing in `layout` is called so.
fn check_free(layout: &Layout, name: &str) -> Result<(), ParamError> {
    let below = |n: &str| n == name || n.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
    let taken = layout.tensors().iter().map(|t| &t.name).chain(layout.sites().iter().map(|s| &s.name));
    if !taken.into_iter().any(|n| below(n)) {
        return Ok(());
    }
    let message = format!("{name:?} is there already; give the adapter another name");
    Err(ParamError { path: "name".into(), message })
}
