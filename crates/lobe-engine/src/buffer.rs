//! Aligned buffers and the pool that recycles them, so that no step after the first allocates.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

/// One cache line; a buffer is a vector of these, which aligns it for 512-bit loads.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A 64-byte aligned `[f32]`.
#[derive(Clone, Default)]
pub struct Buf {
    lines: Vec<Line>,
    len: usize,
}

impl Buf {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Buf {
        Buf { lines: vec![Line::zeroed(); len.div_ceil(16)], len }
    }

    /// A copy of `values`.
    pub fn from_slice(values: &[f32]) -> Buf {
        let mut out = Buf::zeros(values.len());
        out.copy_from_slice(values);
        out
    }
}

impl Deref for Buf {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

impl std::fmt::Debug for Buf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buf({})", self.len)
    }
}

/// Free buffers by exact length. One per worker.
#[derive(Debug, Default)]
pub struct Pool {
    free: BTreeMap<usize, Vec<Buf>>,
    allocations: usize,
}

impl Pool {
    /// A buffer of `len` floats with unspecified content.
    pub fn take(&mut self, len: usize) -> Buf {
        if let Some(buf) = self.free.get_mut(&len).and_then(Vec::pop) {
            return buf;
        }
        self.allocations += 1;
        Buf::zeros(len)
    }

    /// A buffer of `len` zeros.
    pub fn take_zeroed(&mut self, len: usize) -> Buf {
        let mut buf = self.take(len);
        buf.fill(0.0);
        buf
    }

    /// Returns a buffer.
    pub fn give(&mut self, buf: Buf) {
        if buf.len > 0 {
            self.free.entry(buf.len).or_default().push(buf);
        }
    }

    /// How many buffers were ever allocated: constant once a step has been seen.
    pub fn allocations(&self) -> usize {
        self.allocations
    }
}
