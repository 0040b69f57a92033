//! The operations. Each file holds one: its shapes, its forward and its hand-derived backward.
//! To add one, write the file and add its name to the list below.

use crate::tape::Tape;

macro_rules! operations {
    ($($file:ident :: $name:ident),* $(,)?) => {
        $(pub mod $file;)*
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
pub mod distance;
pub mod kl;
pub mod penalty;
mod weight_grad;
