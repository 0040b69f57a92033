//! A site that stands apart from the operation before it, so that others may read the value
//! before the site (an L1 penalty that no route scales, for instance).

use crate::error::EngineError;
use crate::layout::SiteId;
use crate::tape::{Tape, Var};

/// Identity in the forward pass, up to routes and interventions.
#[derive(Debug, Clone, Copy)]
pub struct Site {
    pub(crate) x: Var,
    pub(crate) out: Var,
}

impl Tape<'_> {
    /// The door at `site`: returns `x` as everything downstream sees it.
    ///
    /// # Errors
    /// If an intervention or an addition at the site does not fit `x`.
    pub fn site(&mut self, x: Var, site: SiteId) -> Result<Var, EngineError> {
        let (rows, cols) = self.shape(x);
        let mut value = self.ws.pool.take(rows * cols);
        value.copy_from_slice(self.value(x));
        let needs = self.needs(x);
        let out = self.push("site", rows, cols, value, needs);
        self.leave(out, Some(site), Site { x, out })
    }
}

impl Site {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        if let Some(g) = t.take_grad(self.out) {
            t.move_grad(self.x, g);
        }
    }
}
