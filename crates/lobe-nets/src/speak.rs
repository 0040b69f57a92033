//! What a language model expects next.

use lobe_core::UNLABELLED;
use lobe_engine::{EngineError, ShardRows, Tape, Workspace};

use crate::batch::Fed;
use crate::network::Network;

/// Logits `[vocab]` of the token after `ids`, of which at most the last `context` count.
///
/// # Errors
/// If `ids` is empty, or a token is out of range.
pub fn next_logits(
    net: &dyn Network,
    ws: &mut Workspace,
    params: &[f32],
    ids: &[u32],
) -> Result<Vec<f32>, EngineError> {
    let Some((_, head)) = net.language() else {
        return Err(EngineError::Invalid("only a language model says what comes next".into()));
    };
    let window = &ids[ids.len().saturating_sub(net.context())..];
    let plan = net.plain();
    let rows = ShardRows::uniform(window.len(), UNLABELLED);
    let mut tape = Tape::new(ws, net.layout(), params, None, &plan, rows);
    let h = net.hidden(&mut tape, Fed::Tokens { ids: window, seq: window.len() })?;
    // Only the last position speaks.
    let width = tape.shape(h).1;
    let last = tape.value(h)[window.len().saturating_sub(1) * width..].to_vec();
    let last = tape.input(1, width, |buf| buf.copy_from_slice(&last));
    let logits = tape.logits(last, head)?;
    Ok(tape.value(logits).to_vec())
}
