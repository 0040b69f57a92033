//! The gate of a SwiGLU block: `silu(gate) ∘ up` from one `[gate | up]` row.

use crate::error::{EngineError, same};
use crate::kernels::{Device, Kernels};
use crate::layout::SiteId;
use crate::tape::{Tape, Var};

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Gated {
    x: Var,
    out: Var,
}

impl Tape<'_> {
    /// `silu(x[:, ..n]) ∘ x[:, n..]` for x `[rows, 2n]`; result `[rows, n]`.
    ///
    /// # Errors
    /// If the number of columns is odd, or what stands at the site does not fit.
    pub fn gated(&mut self, x: Var, site: Option<SiteId>) -> Result<Var, EngineError> {
        let (rows, cols) = self.shape(x);
        let n = cols / 2;
        same("gated", "columns must be even", (rows, cols), (rows, 2 * n))?;
        let mut value = self.ws.pool.take(rows * n);
        Device::gated(&mut value, self.value(x), n);
        let needs = self.needs(x);
        let out = self.push("gated", rows, n, value, needs);
        self.leave(out, site, Gated { x, out })
    }
}

impl Gated {
    /// dgate = dy ∘ up ∘ silu'(gate), dup = dy ∘ silu(gate).
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(dy) = t.take_grad(self.out) else { return };
        let (rows, n) = t.shape(self.out);
        let mut dx = t.ws.pool.take(rows * 2 * n);
        Device::gated_grad(&mut dx, &dy, t.value(self.x), n);
        t.release(dy);
        t.move_grad(self.x, dx);
    }
}
