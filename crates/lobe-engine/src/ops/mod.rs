//! The operations. Each file holds one: its shapes, its forward and its hand-derived backward.
//! To add one, write the file, its `mod` line, and its name in the list below.

pub mod attention;
pub mod binary;
pub mod columns;
pub mod concat;
pub mod distance;
pub mod embedding;
pub mod gated;
pub mod head;
pub mod kl;
pub mod leaf;
pub mod linear;
pub mod matmul;
pub mod norm;
pub mod penalty;
pub mod reduce;
mod row_weights;
pub mod site;
pub mod transposed;
pub mod unary;
mod weight_grad;

use crate::tape::Tape;

macro_rules! operations {
    ($($file:ident :: $name:ident),* $(,)?) => {
        /// A recorded operation.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Op { $($name($file::$name)),* }
        impl Op {
            pub(crate) fn backward(self, tape: &mut Tape<'_>) {
                match self { $(Op::$name(op) => op.backward(tape)),* }
            }
        }
        $(impl From<$file::$name> for Op {
            fn from(op: $file::$name) -> Op { Op::$name(op) }
        })*
    };
}

operations! {
    embedding::Embedding,
    norm::Norm,
    linear::Linear,
    transposed::Transposed,
    attention::Attention,
    gated::Gated,
    head::TokenNll,
    site::Site,
    leaf::Leaf,
    unary::Unary,
    binary::Binary,
    reduce::Reduce,
    columns::Columns,
    concat::Concat,
    matmul::MatMul,
}
