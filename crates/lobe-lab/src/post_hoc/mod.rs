//! One step of a post-hoc removal method on a language model: its examples with what the reference
//! says about them ([`Pool`]), a step's objective over them ([`Terms`]), and how its gradients become
//! an update ([`Driver`]). Knows no recipe, so that a step can also be timed by itself.

mod drive;
mod pool;
mod program;
pub(crate) mod recover;

use lobe_engine::{Layout, ParamId, Plan};
use lobe_methods::Unlearn;
use lobe_methods::unlearn::{Moves, Reads, Shape, Term};
use lobe_nets::Gpt;

pub use drive::Driver;
pub use pool::Pool;
pub use program::Terms;

/// What a method may know about a network.
pub fn shape(net: &Gpt) -> Shape {
    Shape { layers: net.config.layers, width: net.config.width, vocab: net.config.vocab }
}

/// What may move: the method's choice, and nothing that no term reaches.
pub fn plan(net: &Gpt, method: &dyn Unlearn, terms: &[Term]) -> Plan {
    let (layout, shape) = (&net.layout, shape(net));
    let deepest = terms.iter().map(|t| depth(&t.objective.reads(), shape.layers)).max().unwrap_or(0);
    let moves = method.moves(shape);
    Plan::plain(layout).train_only(|p| match &moves {
        Moves::All => reached(layout, p, deepest, shape.layers),
        Moves::MlpOut(blocks) => {
            blocks.clone().filter_map(|b| net.mlp_out(b)).any(|(w, b)| w == p || b == Some(p))
        }
    })
}

/// How many blocks a term needs; one more than there are for the read-out.
fn depth(reads: &Reads, layers: usize) -> usize {
    match reads {
        Reads::Hidden { layer } => layer + 1,
        _ => layers + 1,
    }
}

/// Whether a gradient from `deepest` blocks up reaches a tensor.
fn reached(layout: &Layout, p: ParamId, deepest: usize, layers: usize) -> bool {
    let name = &layout.get(p).name;
    let block = name.strip_prefix("blocks.").and_then(|n| n.split('.').next()?.parse::<usize>().ok());
    match block {
        Some(b) => b < deepest,
        None => name.starts_with("embed") || deepest > layers,
    }
}
