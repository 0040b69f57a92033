//! Layer norm and RMS norm over the columns of each row.

use crate::error::{EngineError, same};
use crate::kernels::{Affine, Device, Kernels, NormGrads, NormSaved, View};
use crate::layout::ParamId;
use crate::tape::factors::Kind;
use crate::tape::{Tape, Var};

/// `y = (x - mean) / sqrt(var + eps) * gain + shift`; RMS norm has no mean and usually no shift.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    x: Var,
    out: Var,
    /// `[rows, 2]`: mean and reciprocal deviation.
    stats: Var,
    rms: bool,
    gain: ParamId,
    shift: Option<ParamId>,
}

impl Tape<'_> {
    /// Layer norm; with `rms`, no mean is subtracted.
    ///
    /// # Errors
    /// If gain or shift have another width than `x`.
    pub fn norm(
        &mut self,
        x: Var,
        gain: ParamId,
        shift: Option<ParamId>,
        rms: bool,
        eps: f32,
    ) -> Result<Var, EngineError> {
        let (rows, d) = self.shape(x);
        for p in [Some(gain), shift].into_iter().flatten() {
            let t = self.layout.get(p);
            same("norm", "width of gain or shift", (1, d), (t.rows, t.cols))?;
        }
        let mut out = self.ws.pool.take(rows * d);
        let mut stats = self.ws.pool.take(rows * 2);
        let how = Affine { gain: self.param(gain), shift: shift.map(|p| self.param(p)), rms, eps };
        Device::norm(&mut out, &mut stats, self.value(x), &how);
        let needs = self.needs(x) || self.param_needs(gain) || shift.is_some_and(|s| self.param_needs(s));
        let out = self.push("norm", rows, d, out, needs);
        let stats = self.push("norm stats", rows, 2, stats, false);
        self.record_op(out, Norm { x, out, stats, rms, gain, shift });
        Ok(out)
    }
}

impl Norm {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(dy) = t.take_grad(self.out) else { return };
        let (rows, d) = t.shape(self.x);
        let wanted = t.param_needs(self.gain) || self.shift.is_some_and(|s| t.param_needs(s));
        let mut dg = t.ws.pool.take_zeroed(d);
        let mut db = t.ws.pool.take_zeroed(d);
        let needs = t.needs(self.x);
        let (mut dx, sum) = if needs { t.grad_slot(self.x) } else { (t.ws.pool.take(0), false) };
        {
            let factor_of = |p| t.ws.factors[t.plan.whole(p)][Kind::Update as usize].scales();
            let (gains, shifts) = (factor_of(self.gain), factor_of(self.shift.unwrap_or(self.gain)));
            let x = View::new(t.value(self.x), rows, d);
            let saved = NormSaved { x, stats: t.value(self.stats), gain: t.param(self.gain), rms: self.rms };
            let dx = needs.then_some((&mut dx[..], sum));
            let sums = wanted.then_some([(&mut dg[..], gains), (&mut db[..], shifts)]);
            Device::norm_grad(NormGrads { dx, sums }, &dy, &saved);
        }
        if needs {
            t.put_grad(self.x, dx);
        }
        for (p, sums) in [(Some(self.gain), &dg), (self.shift, &db)] {
            let Some(p) = p.filter(|p| t.param_needs(*p)) else { continue };
            t.touch(p);
            if let Some(grads) = t.grads.as_mut().and_then(|g| g.of(p)) {
                Device::add(grads, sums);
            }
            t.keep_movable(p);
        }
        t.release(dg);
        t.release(db);
        t.release(dy);
    }
}
