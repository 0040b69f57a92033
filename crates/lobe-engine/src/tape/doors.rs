//! Doors: where somebody may stand in a network. A site is a door, and so is a weight.
//!
//! On the way forward a value passes a site in this order: routes, fixed interventions ([`crate::Edit`]),
//! additions of this pass ([`Tape::inject`]), guests. The first three rewrite it in place; a guest answers
//! with another variable. What a route makes absent is zero until then, and products that read it are
//! narrower; [`Tape::reads_rewritten`] is the one place that says where they may not be.

use std::fmt;
use std::sync::Arc;

use crate::buffer::Buf;
use crate::error::{EngineError, filled, same};
use crate::kernels::{Device, Kernels};
use crate::layout::{ParamId, SiteId};
use crate::ops::Op;
use crate::ops::linear::LinearSpec;
use crate::ops::site::Site;
use crate::tape::factors::Kind;
use crate::tape::plan::Plan;
use crate::tape::{Tape, Var};

/// Where a guest may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Door {
    /// What leaves a site: routes, interventions and additions are done.
    Site(SiteId),
    /// The product with a matrix, before bias, activation and residual.
    Weight(ParamId),
}

/// Who stands at a door.
pub trait Guest: Send + Sync {
    /// At a site `x` is the activation, and the answer (of the same shape) is what everything downstream
    /// sees. At a weight `x` is what would be multiplied, and the answer stands for `x W`;
    /// [`Tape::product`] gives the product as the network has it. Several guests at a door are asked in
    /// their order: a later one sees what the earlier ones answered.
    ///
    /// # Errors
    /// If shapes do not fit.
    fn pass(&self, tape: &mut Tape<'_>, door: Door, x: Var) -> Result<Var, EngineError>;
}

/// The guests of a plan, in the order in which they came. Two lists are equal when the same guests
/// (and not only guests that do the same) stand at the same doors.
#[derive(Clone, Default)]
pub(crate) struct Guests(Vec<(Door, Arc<dyn Guest>)>);

impl PartialEq for Guests {
    fn eq(&self, other: &Guests) -> bool {
        let same = |((a, x), (b, y)): (&(Door, Arc<dyn Guest>), &(Door, Arc<dyn Guest>))| {
            a == b && Arc::ptr_eq(x, y)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl fmt::Debug for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(door, _)| door)).finish()
    }
}

impl Guests {
    pub(crate) fn add(&mut self, door: Door, guest: Arc<dyn Guest>) {
        self.0.push((door, guest));
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn stand_at(&self, door: Door) -> bool {
        self.0.iter().any(|(d, _)| *d == door)
    }

    /// The last guest at `door` among the first `n`, and its place.
    fn last(&self, door: Door, n: usize) -> Option<(usize, &dyn Guest)> {
        let n = n.min(self.0.len());
        let at = self.0[..n].iter().rposition(|(d, _)| *d == door)?;
        Some((at, &*self.0[at].1))
    }
}

/// The weight whose guests are being asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    weight: ParamId,
    /// Guests in front of this place have not been asked.
    before: usize,
    /// Whether the network reads the product before its site.
    open: bool,
}

impl Plan {
    /// Lets `guest` stand at `door`, behind those who stand there. That its answer fits is checked when a
    /// pass comes to the door.
    ///
    /// # Errors
    /// If there is no such door: a site or tensor that is not there, or a vector.
    pub fn with_guest(mut self, door: Door, guest: Arc<dyn Guest>) -> Result<Plan, EngineError> {
        self.check_door(door)?;
        self.guests.add(door, guest);
        Ok(self)
    }

    /// Nobody at any door: the network as it is.
    pub fn without_guests(mut self) -> Plan {
        self.guests = Guests::default();
        self
    }
}

impl Tape<'_> {
    /// Marks a variable as standing at a site, applying the forward side of its routes in place.
    /// Only for a variable nobody has read yet; [`Tape::leave`] calls it.
    ///
    /// # Errors
    /// If an intervention reaches beyond the variable, or what is added has another size.
    fn mark_site(&mut self, v: Var, site: SiteId) -> Result<(), EngineError> {
        let (rows, cols) = self.shape(v);
        self.plan.check_edits(site, (rows, cols))?;
        for (_, delta) in self.ws.injected.iter().filter(|(s, _)| *s == site) {
            filled("inject", "what is added and the site", (rows, cols), delta.len())?;
        }
        self.ws.vars[v.0].site = Some(site);
        self.set_leaving(v, site);
        let mut value = std::mem::take(&mut self.ws.vars[v.0].value);
        self.scale_site(&mut value, cols, site, Kind::Forward);
        if self.needs(v) && self.plan.needs_before(site, self.injects(site)) {
            let mut before = self.ws.pool.take(value.len());
            before.copy_from_slice(&value);
            self.ws.vars[v.0].before = before;
        }
        self.plan.edit_value(site, &mut value, cols);
        for (_, delta) in self.ws.injected.iter().filter(|(s, _)| *s == site) {
            Device::add(&mut value, delta);
        }
        self.ws.vars[v.0].value = value;
        Ok(())
    }

    /// Ends an operation whose output `out` may stand at a site: records it, and returns what
    /// everything downstream sees, which a guest may have answered.
    ///
    /// # Errors
    /// If an intervention, an addition or a guest's answer does not fit.
    pub(crate) fn leave(
        &mut self,
        out: Var,
        site: Option<SiteId>,
        op: impl Into<Op>,
    ) -> Result<Var, EngineError> {
        let Some(site) = site else {
            self.record_op(out, op);
            return Ok(out);
        };
        self.mark_site(out, site)?;
        self.record_op(out, op);
        if self.plan.guests().is_empty() { Ok(out) } else { self.admit(out, site) }
    }

    /// What the guests at `site` make of `x`.
    fn admit(&mut self, x: Var, site: SiteId) -> Result<Var, EngineError> {
        let (plan, door) = (self.plan, Door::Site(site));
        let mut answer = x;
        for (_, guest) in plan.guests().0.iter().filter(|(d, _)| *d == door) {
            let shape = self.shape(answer);
            let held = self.asked.take();
            let result = guest.pass(self, door, answer);
            self.asked = held;
            answer = result?;
            same("guest", "its answer and the site", self.shape(answer), shape)?;
        }
        if answer == x {
            return Ok(x);
        }
        // A variable leaves one site; the answer may be what left a site of the guest's own.
        if self.ws.vars[answer.0].leaves.is_some() {
            answer = self.same_as(answer);
        }
        self.ws.vars[x.0].leaves = None;
        self.set_leaving(answer, site);
        Ok(answer)
    }

    fn set_leaving(&mut self, v: Var, site: SiteId) {
        self.ws.vars[v.0].leaves = Some(site);
        // A watched gradient has to arrive, also where nothing upstream can be trained.
        let watched = self.training() && self.ws.watched.iter().any(|(s, _)| *s == site);
        self.ws.vars[v.0].needs |= watched;
    }

    /// A copy that passes its gradient on.
    fn same_as(&mut self, x: Var) -> Var {
        let (rows, cols) = self.shape(x);
        let mut value = self.ws.pool.take(rows * cols);
        value.copy_from_slice(self.value(x));
        let out = self.push("guest", rows, cols, value, self.needs(x));
        self.record_op(out, Site { x, out });
        out
    }

    /// What the guests at the weight of `spec` answer for the product with `x`; `None` if nobody stands there.
    pub(crate) fn ask(&mut self, x: Var, spec: &LinearSpec) -> Result<Option<Var>, EngineError> {
        let plan = self.plan;
        if plan.guests().is_empty() {
            return Ok(None);
        }
        let (weight, door) = (spec.weight, Door::Weight(spec.weight));
        let before = self.asked.filter(|a| a.weight == weight).map_or(usize::MAX, |a| a.before);
        let Some((at, guest)) = plan.guests().last(door, before) else { return Ok(None) };
        let held = self.asked.replace(Asked { weight, before: at, open: spec.open });
        let answer = guest.pass(self, door, x);
        self.asked = held;
        let (answer, cols) = (answer?, self.layout.get(weight).cols);
        same("guest", "its answer and the product", self.shape(answer), (self.shape(x).0, cols))?;
        Ok(Some(answer))
    }

    /// `x W` as the network has it, for guests that add to it: with the answers of the guests who stood at
    /// the weight before. `x` may be another variable than the guest was given.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn product(&mut self, x: Var, weight: ParamId) -> Result<Var, EngineError> {
        let open = self.asked.filter(|a| a.weight == weight).is_none_or(|a| a.open);
        self.linear(x, LinearSpec { open, ..LinearSpec::new(weight) })
    }

    /// Refuses a guest at a weight that `op` reads without a product that one could answer for.
    pub(crate) fn no_guest(&self, op: &str, weight: ParamId) -> Result<(), EngineError> {
        let guests = self.plan.guests();
        if guests.is_empty() || !guests.stand_at(Door::Weight(weight)) {
            return Ok(());
        }
        let name = &self.layout.get(weight).name;
        Err(EngineError::Invalid(format!("{op}: no guest can stand at {name:?}")))
    }

    fn injects(&self, site: SiteId) -> bool {
        self.ws.injected.iter().any(|(s, _)| *s == site)
    }

    /// Whether an intervention of the plan or an addition of this pass writes over what the routes
    /// leave of a value at `site`, in place.
    pub(crate) fn rewritten(&self, site: SiteId) -> bool {
        self.plan.has_edits(site) || self.injects(site)
    }

    /// Whether `p` reads something else in `x` than what the routes left at the site whose units own its
    /// rows: units which a route makes absent may hold values all the same, and units without a gradient
    /// may pass one to others. So it is behind an intervention or an addition, and for every variable that
    /// a guest made.
    pub(crate) fn reads_rewritten(&self, x: Var, p: ParamId) -> bool {
        self.plan.reads(p).is_some_and(|s| self.ws.vars[x.0].site != Some(s) || self.rewritten(s))
    }

    /// Adds `delta` (row-major, the shape of the site's activation) to what leaves `site` in this
    /// pass, after routes and interventions and before guests. Call it before the network writes itself
    /// onto the tape; the operation at the site refuses a `delta` of another size.
    pub fn inject(&mut self, site: SiteId, delta: &[f32]) {
        let mut buf = self.ws.pool.take(delta.len());
        buf.copy_from_slice(delta);
        self.ws.injected.push((site, buf));
    }

    /// Keeps the gradient that arrives at `site` in the backward pass, for [`Tape::watched`]. Call it
    /// before the network writes itself onto the tape. Under a plan that trains nothing the backward
    /// pass ends at the lowest watched site and no weight gradient is computed.
    pub fn watch(&mut self, site: SiteId) {
        self.ws.watched.push((site, Buf::default()));
    }

    /// The gradient of the objective with respect to what left `site` (a guest's answer, if one stands
    /// there), row-major, after [`Tape::backward`]; `None` if the site was not watched or nothing arrived.
    pub fn watched(&self, site: SiteId) -> Option<&[f32]> {
        let (_, kept) = self.ws.watched.iter().find(|(s, _)| *s == site)?;
        // Where nothing upstream can be trained, no operation may have taken the gradient.
        if kept.is_empty() { self.at_site(site).and_then(|v| self.grad(v)) } else { Some(kept) }
    }
}
