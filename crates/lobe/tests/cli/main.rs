//! The command line as its users meet it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod attacks;
mod exports;
mod figures;
mod interrupts;
mod outside;
mod process;
mod recipes;
mod records;
mod runs;
mod samples;
mod words;

/// A recipe of a second or so: one block, three arms.
pub(crate) const TINY: &str = r#"
name  = "tiny"
seeds = 1

[data]
kind = "bilingual"
stories = 60
test_stories = 8
seq = 48
people = 4
towns = 4
probes = 8
batches = "one-class"
forget = { language = "es", recall = 0.9 }
retain = { language = "en", recall = 0.5 }

[model]
kind = "gpt"
layers = 1
width = 32
heads = 2
mlp = 64

[regions]
spanish = "blocks.*.mlp.post[-16..] + blocks.*.attn.z[-1]"

[train]
steps = 24
batch = 4
lr = 3e-3

[arms.baseline]
method = "none"
[arms.sgtm]
method = "sgtm"
region = "spanish"
[arms.oracle]
method = "none"
data = "retain only"

[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "relearn"
lrs = [1e-3]
steps = 6
batch = 4
warmup = 1
eval_every = 3
[[stage]]
do = "measure"

[presets.less]
train = { steps = 4 }
"#;
