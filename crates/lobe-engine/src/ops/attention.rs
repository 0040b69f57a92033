//! Causal multi-head attention over packed sequences: grouped queries, rotary positions, local
//! windows. Probabilities are recomputed in the backward pass from the stored log-sum-exp, in
//! blocks of queries that only touch the keys they can see.

use crate::error::{EngineError, same};
pub use crate::kernels::Rotary;
use crate::kernels::{Attended, Device, Heads, Kernels};
use crate::layout::SiteId;
use crate::tape::factors::Kind;
use crate::tape::plan::PLAIN;
use crate::tape::{Tape, Var};

/// Shape and options. The input row is `[q heads | k heads | v heads]`, each `head_dim` wide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionSpec {
    /// Sequence length; rows must be a multiple of it.
    pub seq: usize,
    /// Query heads.
    pub heads: usize,
    /// Key/value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Scale on the logits.
    pub scale: f32,
    /// How many positions back a query sees, itself included; `None` is all.
    pub window: Option<usize>,
    /// Rotation of queries and keys; `None` for none.
    pub rotary: Option<Rotary>,
    /// The site at the context vectors; its units are heads.
    pub site: Option<SiteId>,
}

/// The recorded operation.
#[derive(Debug, Clone, Copy)]
pub struct Attention {
    qkv: Var,
    out: Var,
    /// `[rows, heads]` log-sum-exp of the logits.
    lse: Var,
    spec: AttentionSpec,
}

impl AttentionSpec {
    fn shape(&self) -> Heads {
        let AttentionSpec { seq, heads, kv_heads, head_dim, scale, window, .. } = *self;
        Heads { seq, heads, kv_heads, head_dim, scale, window }
    }
}

impl Tape<'_> {
    /// Attention over `qkv` `[rows, (heads + 2 kv_heads) head_dim]`; result `[rows, heads head_dim]`.
    /// With `rotary`, queries and keys in `qkv` are rotated in place.
    ///
    /// # Errors
    /// If the width does not fit, rows are no multiple of `seq`, heads do not divide, or what stands
    /// at the site does not fit.
    pub fn attention(&mut self, qkv: Var, spec: AttentionSpec) -> Result<Var, EngineError> {
        let (rows, width) = self.shape(qkv);
        same("attention", "width of qkv", (rows, width), (rows, spec.shape().width()))?;
        if spec.kv_heads == 0 || !spec.heads.is_multiple_of(spec.kv_heads) || spec.window == Some(0) {
            return Err(EngineError::Invalid(format!(
                "attention: {} heads over {} key/value heads, window {:?}",
                spec.heads, spec.kv_heads, spec.window
            )));
        }
        if spec.seq == 0 || !rows.is_multiple_of(spec.seq) {
            return Err(EngineError::Shape {
                op: "attention",
                what: "rows must be a multiple of the sequence length",
                left: (rows, width),
                right: (spec.seq, width),
            });
        }
        let of = spec.shape();
        if let Some(rotary) = spec.rotary {
            let mut v = std::mem::take(&mut self.ws.vars[qkv.0].value);
            Device::rotate(&mut v, &of, rotary, false);
            self.ws.vars[qkv.0].value = v;
        }
        let n = spec.heads * spec.head_dim;
        let mut out = self.ws.pool.take(rows * n);
        let mut lse = self.ws.pool.take(rows * spec.heads);
        let mut room = self.ws.pool.take(Device::attention_room(&of));
        let present = |h| !self.head_factor(&spec, h, Kind::Forward);
        Device::attention((&mut out, &mut lse), &mut room, self.value(qkv), &of, present);
        self.release(room);
        let needs = self.needs(qkv);
        let out = self.push("attention", rows, n, out, needs);
        let lse = self.push("attention lse", rows, spec.heads, lse, false);
        let op = Attention { qkv, out, lse, spec };
        match spec.site {
            // The backward pass reads the context vectors, so nothing may rewrite them in place.
            Some(site) if self.rewrites(site) => {
                self.record_op(out, op);
                self.site(out, site)
            }
            site => self.leave(out, site, op),
        }
    }

    /// Whether a route, an intervention or an addition changes values at `site` other than by dropping
    /// heads.
    fn rewrites(&self, site: SiteId) -> bool {
        let keeps = |c| self.factor(Kind::Forward, c).is(1.0) || self.factor(Kind::Forward, c).is(0.0);
        self.rewritten(site) || !self.plan.site(site).iter().all(|s| keeps(s.class))
    }

    /// Whether the factor of head `h` is zero for the whole shard.
    fn head_factor(&self, spec: &AttentionSpec, h: usize, kind: Kind) -> bool {
        let segments = spec.site.map_or(&[][..], |s| self.plan.site(s));
        let class = segments.iter().find(|s| s.range.contains(&h)).map_or(PLAIN, |s| s.class);
        self.factor(kind, class).is(0.0)
    }
}

impl Attention {
    pub(crate) fn backward(self, t: &mut Tape<'_>) {
        let Some(dout) = t.take_grad(self.out) else { return };
        let (rows, width) = t.shape(self.qkv);
        let (spec, of) = (self.spec, self.spec.shape());
        let mut d = t.ws.pool.take_zeroed(rows * width);
        let len = Device::attention_room(&of);
        let (mut p, mut dp) = (t.ws.pool.take(len), t.ws.pool.take(len));
        let saved = Attended { qkv: t.value(self.qkv), context: t.value(self.out), lse: t.value(self.lse) };
        let takes_part = |h| !t.head_factor(&spec, h, Kind::Flow);
        Device::attention_grad(&mut d, [&mut p, &mut dp], &dout, &saved, &of, takes_part);
        if let Some(rotary) = spec.rotary {
            Device::rotate(&mut d, &of, rotary, true);
        }
        t.release(p);
        t.release(dp);
        t.release(dout);
        t.move_grad(self.qkv, d);
    }
}
