//! A linear map with bias, activation or residual, and the site at its output.

use crate::buffer::Buf;
use crate::error::{EngineError, fits, same};
pub use crate::kernels::Act;
use crate::kernels::{Device, Kernels, Slope, View, ViewMut, columns};
use crate::layout::{ParamId, SiteId};
use crate::ops::weight_grad::Seen;
use crate::tape::factors::{Factor, Kind};
use crate::tape::{Tape, Var};

/// What to compute: `act(x W + b)` or `x W + b + residual`.
#[derive(Debug, Clone, Copy)]
pub struct LinearSpec {
    /// `[in, out]`.
    pub weight: ParamId,
    /// `[1, out]`.
    pub bias: Option<ParamId>,
    /// Activation; excludes `residual`.
    pub act: Act,
    /// Added to the result.
    pub residual: Option<Var>,
    /// The site at the output.
    pub site: Option<SiteId>,
    /// Whether something reads the output before the site that its columns belong to (a penalty on
    /// a code, for instance). Then no route makes a column unnecessary.
    pub open: bool,
}

impl LinearSpec {
    /// `x W`, to be refined with struct update syntax.
    pub fn new(weight: ParamId) -> LinearSpec {
        LinearSpec { weight, bias: None, act: Act::Identity, residual: None, site: None, open: false }
    }
}

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Linear {
    x: Var,
    out: Var,
    /// Derivative of the activation, where it is not read off the output.
    slope: Option<Var>,
    /// What guests answered in place of the product.
    answer: Option<Var>,
    spec: LinearSpec,
}

impl Tape<'_> {
    /// `act(x W + b)` or `x W + b + residual`: x `[rows, in]`, result `[rows, out]`.
    ///
    /// # Errors
    /// If a shape does not fit, or activation and residual are both given.
    pub fn linear(&mut self, x: Var, spec: LinearSpec) -> Result<Var, EngineError> {
        let (rows, k) = self.shape(x);
        let w = self.layout.get(spec.weight);
        let n = w.cols;
        fits("linear", "columns of the input and rows of the weight", k == w.rows, (rows, k), (w.rows, n))?;
        if let Some(b) = spec.bias {
            let b = self.layout.get(b);
            same("linear", "bias", (1, n), (b.rows, b.cols))?;
        }
        if let Some(r) = spec.residual {
            same("linear", "residual", (rows, n), self.shape(r))?;
            if spec.act != Act::Identity {
                return Err(EngineError::Invalid(
                    "linear: activation and residual exclude each other".into(),
                ));
            }
        }
        let answer = self.ask(x, &spec)?;
        let mut out = self.ws.pool.take(rows * n);
        match answer {
            Some(a) => self.tail(a, &mut out, spec),
            None => self.multiply(x, &mut out, n, spec),
        }
        let needs = answer.map_or(self.needs(x) || self.param_needs(spec.weight), |a| self.needs(a))
            || spec.residual.is_some_and(|r| self.needs(r))
            || spec.bias.is_some_and(|b| self.param_needs(b));
        let slope = self.activate(&mut out, rows, n, spec);
        let out = self.push("linear", rows, n, out, needs);
        let slope = slope.map(|s| self.push("activation slope", rows, n, s, false));
        self.leave(out, spec.site, Linear { x, out, slope, answer, spec })
    }

    /// `out = x W`, plus bias or residual where no activation comes between.
    fn multiply(&mut self, x: Var, out: &mut [f32], n: usize, spec: LinearSpec) {
        let (rows, k) = self.shape(x);
        let absent = if self.reads_rewritten(x, spec.weight) { &[][..] } else { &[Kind::Forward] };
        let ins = self.runs(self.plan.rows(spec.weight), k, None, absent);
        let closed = if spec.open { &[][..] } else { &[Kind::Forward] };
        let outs = self.runs(self.plan.cols(spec.weight), n, None, closed);
        let preset =
            self.preset(out, spec, ins.is_empty() || outs.iter().map(|o| o.end - o.start).sum::<usize>() < n);
        {
            let (xv, wv) = (View::new(self.value(x), rows, k), View::new(self.param(spec.weight), k, n));
            for o in &outs {
                for (j, i) in ins.iter().enumerate() {
                    let c = ViewMut::new(out, rows, n).block(0..rows, o.start..o.end);
                    let b = wv.rows(i.start..i.end).cols(o.start..o.end);
                    Device::gemm(c, 1.0, xv.cols(i.start..i.end), b, preset || j > 0);
                }
            }
        }
        self.done(ins);
        self.done(outs);
    }

    /// The same with what guests answered in place of the product.
    fn tail(&self, answer: Var, out: &mut [f32], spec: LinearSpec) {
        if self.preset(out, spec, false) {
            Device::add(out, self.value(answer));
        } else {
            out.copy_from_slice(self.value(answer));
        }
    }

    /// Writes what the products are added to; returns whether there is such a thing.
    fn preset(&self, out: &mut [f32], spec: LinearSpec, partial: bool) -> bool {
        let bias = spec.bias.filter(|_| spec.act == Act::Identity).map(|b| self.param(b));
        match (spec.residual.map(|r| self.value(r)), bias) {
            (Some(r), None) => out.copy_from_slice(r),
            (r, Some(b)) => Device::add_row(out, r, b),
            (None, None) if partial => out.fill(0.0),
            (None, None) => return false,
        }
        true
    }

    /// Applies the activation in place; returns its derivative where the backward pass needs it.
    fn activate(&mut self, out: &mut Buf, rows: usize, n: usize, spec: LinearSpec) -> Option<Buf> {
        if spec.act == Act::Identity {
            return None;
        }
        let bias = spec.bias.map(|b| self.param(b));
        // The sign of a ReLU's output is its derivative, unless something else is written over it.
        let rewritten = spec.site.is_some_and(|s| self.rewritten(s));
        if spec.act == Act::Relu && !rewritten {
            Device::activate(out, None, bias, n, spec.act);
            return None;
        }
        let mut slope = self.ws.pool.take(rows * n);
        Device::activate(out, Some(&mut slope), bias, n, spec.act);
        Some(slope)
    }
}

impl Linear {
    /// du = dy ∘ act' ∘ flow; dW = xᵀ du, db = Σ du, dx = du Wᵀ, dresidual = du.
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let spec = self.spec;
        let du = if spec.act == Act::Identity { t.take_grad(self.out) } else { self.through_activation(t) };
        let Some(du) = du else { return };
        if let Some(b) = spec.bias {
            t.bias_grad(b, &du, spec.open);
        }
        match self.answer {
            Some(answer) => t.add_grad(answer, &du),
            None => self.through_product(t, &du),
        }
        match spec.residual {
            Some(r) => t.move_grad(r, du),
            None => t.release(du),
        }
    }

    /// dW = xᵀ du, dx = du Wᵀ.
    fn through_product(self, t: &mut Tape<'_>, du: &[f32]) {
        let spec = self.spec;
        let (rows, k) = t.shape(self.x);
        let n = t.layout.get(spec.weight).cols;
        let filled = t.reads_rewritten(self.x, spec.weight);
        let x = std::mem::take(&mut t.ws.vars[self.x.0].value);
        t.weight_grad(spec.weight, &x, du, Seen { filled, open: spec.open });
        t.ws.vars[self.x.0].value = x;
        if t.needs(self.x) {
            let (mut dx, sum) = t.grad_slot(self.x);
            let closed = if filled { &[][..] } else { &[Kind::Flow] };
            let ins = t.runs(t.plan.rows(spec.weight), k, None, closed);
            let shut = if spec.open { &[][..] } else { &[Kind::Flow] };
            let outs = t.runs(t.plan.cols(spec.weight), n, None, shut);
            let covered: usize = ins.iter().map(|i| i.end - i.start).sum();
            if !sum && (covered < k || outs.is_empty()) {
                dx.fill(0.0);
            }
            let (dv, wv) = (View::new(du, rows, n), View::new(t.param(spec.weight), k, n));
            for i in &ins {
                for (j, o) in outs.iter().enumerate() {
                    let c = ViewMut::new(&mut dx, rows, k).block(0..rows, i.start..i.end);
                    let b = wv.rows(i.start..i.end).cols(o.start..o.end).t();
                    Device::gemm(c, 1.0, dv.cols(o.start..o.end), b, sum || j > 0);
                }
            }
            t.done(ins);
            t.done(outs);
            t.put_grad(self.x, dx);
        }
    }

    /// The gradient before the activation, with the site's backward scale folded in.
    fn through_activation(self, t: &mut Tape<'_>) -> Option<Buf> {
        let mut dy = t.take_raw_grad(self.out)?;
        let (rows, n) = t.shape(self.out);
        let value = &t.ws.vars[self.out.0].value;
        if let Some(site) = self.spec.site {
            t.plan.edit_grad(site, &mut dy, value, &t.ws.vars[self.out.0].before, n);
        }
        let segments = self.spec.site.map_or(&[][..], |s| t.plan.site(s));
        let whole = [crate::tape::plan::Segment { range: 0..n, class: crate::tape::plan::PLAIN }];
        let slope = self.slope.map(|s| &t.ws.vars[s.0].value);
        let segments = if segments.is_empty() { &whole[..] } else { segments };
        // Columns per unit of the site.
        let width = segments.last().map_or(1, |last| n / last.range.end);
        for seg in segments {
            let range = seg.range.start * width..seg.range.end * width;
            let by = t.factor(Kind::Flow, seg.class).scales();
            let slope = match slope {
                Some(s) => Slope::Kept(View::new(s, rows, n).cols(range.clone())),
                None => Slope::Sign(View::new(value, rows, n).cols(range.clone())),
            };
            Device::activate_grad(columns(&mut dy, n, range), slope, by);
        }
        debug_assert!(!matches!(t.factor(Kind::Flow, 0), Factor::Unset));
        Some(dy)
    }
}
