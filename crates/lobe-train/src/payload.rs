//! The state of a member as bytes.

use lobe_engine::Member;
use lobe_engine::optim::Rule;

/// What stands beside the member in a saved state.
pub(crate) struct State {
    pub step: u64,
    pub targets: u64,
    /// Length of the journal.
    pub written: u64,
    pub sums: Vec<(f64, f64)>,
    /// What the source keeps.
    pub source: Vec<u8>,
}

pub(crate) fn pack(m: &Member, state: &State) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * 3 * m.params.len() + 128);
    let (sums, source) = (state.sums.len() as u64, state.source.len() as u64);
    for n in [state.step, state.targets, state.written, m.state.updates, sums, source] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    for (a, b) in &state.sums {
        out.extend_from_slice(&a.to_le_bytes());
        out.extend_from_slice(&b.to_le_bytes());
    }
    out.extend_from_slice(&state.source);
    for buf in std::iter::once(&m.params).chain(&m.state.slots) {
        out.extend_from_slice(&(buf.len() as u64).to_le_bytes());
        buf.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
    }
    out
}

/// `None` if the bytes are not of this member, which then starts anew.
pub(crate) fn unpack(m: &mut Member, rule: &dyn Rule, bytes: &[u8]) -> Option<State> {
    let mut rest = bytes;
    let mut word = || -> Option<[u8; 8]> {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        rest = tail;
        Some(*head)
    };
    let mut number = || word().map(u64::from_le_bytes);
    let (step, targets, written, updates) = (number()?, number()?, number()?, number()?);
    let (n, source) = (number()?, number()? as usize);
    if n > 1 << 16 {
        return None;
    }
    let mut sums = Vec::new();
    for _ in 0..n {
        sums.push((f64::from_le_bytes(word()?), f64::from_le_bytes(word()?)));
    }
    let source = {
        let (head, tail) = rest.split_at_checked(source)?;
        rest = tail;
        head.to_vec()
    };
    m.state.fit(rule, m.plan.moving().len());
    for buf in std::iter::once(&mut m.params).chain(&mut m.state.slots) {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        let len = u64::from_le_bytes(*head) as usize;
        if len != buf.len() || tail.len() < 4 * len {
            return None;
        }
        for (x, b) in buf.iter_mut().zip(tail.chunks_exact(4)) {
            *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        rest = &tail[4 * len..];
    }
    m.state.updates = updates;
    Some(State { step, targets, written, sums, source })
}
