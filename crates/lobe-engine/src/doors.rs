//! What happens at a site: routes and interventions on the way forward, values from outside, and
//! gradients that somebody waits for.

use crate::buffer::Buf;
use crate::error::{EngineError, filled};
use crate::factors::Kind;
use crate::layout::{ParamId, SiteId};
use crate::simd;
use crate::tape::{Tape, Var};

impl Tape<'_> {
    /// Marks a variable as standing at a site, applying the forward side of its routes in place.
    /// Only for a variable nobody has read yet; operations with a `site` argument call it.
    ///
    /// # Errors
    /// If an intervention reaches beyond the variable, or what is added has another size.
    pub(crate) fn mark_site(&mut self, v: Var, site: SiteId) -> Result<(), EngineError> {
        let (rows, cols) = self.shape(v);
        self.plan.check_edits(site, (rows, cols))?;
        for (_, delta) in self.ws.injected.iter().filter(|(s, _)| *s == site) {
            filled("inject", "what is added and the site", (rows, cols), delta.len())?;
        }
        self.ws.vars[v.0].site = Some(site);
        // A watched gradient has to arrive, also where nothing upstream can be trained.
        self.ws.vars[v.0].needs |= self.training() && self.ws.watched.iter().any(|(s, _)| *s == site);
        let mut value = std::mem::take(&mut self.ws.vars[v.0].value);
        self.scale_site(&mut value, cols, site, Kind::Forward);
        if self.needs(v) && self.plan.needs_before(site, self.injects(site)) {
            let mut before = self.ws.pool.take(value.len());
            before.copy_from_slice(&value);
            self.ws.vars[v.0].before = before;
        }
        self.plan.edit_value(site, &mut value, cols);
        for (_, delta) in self.ws.injected.iter().filter(|(s, _)| *s == site) {
            simd::add(&mut value, delta);
        }
        self.ws.vars[v.0].value = value;
        Ok(())
    }

    fn injects(&self, site: SiteId) -> bool {
        self.ws.injected.iter().any(|(s, _)| *s == site)
    }

    /// Whether an intervention of the plan or an addition of this pass writes over what the routes
    /// leave of a value at `site`.
    pub(crate) fn rewritten(&self, site: SiteId) -> bool {
        self.plan.has_edits(site) || self.injects(site)
    }

    /// Whether what `p` reads is rewritten, so that units which a route makes absent may hold values
    /// all the same, and units without a gradient may pass one to others.
    pub(crate) fn reads_rewritten(&self, p: ParamId) -> bool {
        self.plan.reads(p).is_some_and(|s| self.rewritten(s))
    }

    /// Adds `delta` (row-major, the shape of the site's activation) to what leaves `site` in this
    /// pass, after routes and interventions. Call it before the network writes itself onto the tape;
    /// the operation at the site refuses a `delta` of another size.
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

    /// The gradient of the objective with respect to what left `site`, row-major, after
    /// [`Tape::backward`]; `None` if the site was not watched or nothing arrived.
    pub fn watched(&self, site: SiteId) -> Option<&[f32]> {
        let (_, kept) = self.ws.watched.iter().find(|(s, _)| *s == site)?;
        // Where nothing upstream can be trained, no operation may have taken the gradient.
        if kept.is_empty() { self.at_site(site).and_then(|v| self.grad(v)) } else { Some(kept) }
    }
}
