//! A network with cut units physically gone: narrower matrices, the same outputs as with the units
//! set to zero.
//!
//! A configuration has one MLP width, one number of heads and one number of key/value groups for all
//! blocks. Every block therefore comes down to the size of the one that keeps most; where it keeps
//! fewer, some of its cut units stay, as zeros. Heads go only as far as the tool opens the file that
//! it is written for: `transformers` wants heads × head width to be the width in GPT-2 and GPT-Neo
//! files, where all heads stay, and a number of heads that divides the width in Llama files. The
//! rest stay as zeros. Lobe's own files can lose any. A network keeps at least one neuron and one
//! head a block.

use std::ops::Range;

use lobe_core::Selection;
use lobe_engine::Buf;

use super::Format;
use crate::gpt::Gpt;
use crate::gpt::{Activation, GptConfig};
use crate::network::NetError;

/// What [`narrow`] made.
#[derive(Debug, Clone)]
pub struct Narrowed {
    /// The smaller network.
    pub net: Gpt,
    /// Its parameters.
    pub params: Buf,
    /// Neurons and heads that are gone, over all blocks.
    pub removed: usize,
    /// Neurons and heads that are still there, as zeros.
    pub zeroed: usize,
    /// The blocks that hold them, ascending.
    pub zeroed_in: Vec<usize>,
    /// Heads of each block that could go but for the format.
    pub held_by_format: usize,
}

/// What is left of one block.
struct Kept {
    neurons: Vec<usize>,
    heads: Vec<usize>,
    groups: Vec<usize>,
}

/// Removes the units of `cut`; `format` is where the result will be written (`None`: a file of
/// Lobe's own).
///
/// # Errors
/// If the selection has units that own no parameters, such as residual dimensions.
pub fn narrow(
    net: &Gpt,
    params: &[f32],
    cut: &Selection,
    format: Option<Format>,
) -> Result<Narrowed, NetError> {
    let (c, sites) = (&net.config, net.layout.sites());
    let site = |i: usize, name: &str| {
        net.layout.find_site(&format!("blocks.{i}.{name}")).map_or(usize::MAX, |s| s.0)
    };
    for (s, _) in cut.sites().filter(|(_, r)| !r.is_empty()) {
        let name = &sites[s].name;
        if !(name.ends_with(".mlp.post") || name.ends_with(".attn.z")) {
            let what = format!("{name:?} cannot be removed: its units own no parameters");
            return Err(NetError::Config { key: "region", what });
        }
    }
    let left = |s: usize, units: usize| -> Vec<usize> {
        (0..units).filter(|u| !cut.contains_all(s, &(*u as u32..*u as u32 + 1))).collect()
    };
    let mut kept: Vec<Kept> = (0..c.layers)
        .map(|i| Kept {
            neurons: left(site(i, "mlp.post"), c.mlp),
            heads: left(site(i, "attn.z"), c.heads),
            groups: Vec::new(),
        })
        .collect();
    let cut_in: Vec<usize> = kept.iter().map(|k| c.mlp - k.neurons.len() + c.heads - k.heads.len()).collect();
    let mlp = kept.iter().map(|k| k.neurons.len()).max().unwrap_or(c.mlp).max(1);
    for k in &mut kept {
        k.neurons = filled(&k.neurons, 0..c.mlp, mlp);
    }
    let least = groups(c, &kept);
    let (heads, kv_heads) = match format {
        None => least,
        Some(Format::Llama) => dividing(c, least),
        Some(_) => (c.heads, c.kv_heads),
    };
    for k in &mut kept {
        fill_groups(c, k, kv_heads, heads / kv_heads);
    }
    let small = Gpt::new(GptConfig { heads, kv_heads, mlp, ..c.clone() });
    let mut whole = Buf::from_slice(params);
    net.layout.for_owned(cut, |_, range| whole[range].fill(0.0));
    let mut out = Buf::zeros(small.layout.len());
    for t in small.layout.tensors() {
        let Some(old) = net.layout.find(&t.name).map(|id| net.layout.get(id)) else { continue };
        let (rows, cols) = indices(c, &t.name, &kept).unwrap_or((None, None));
        let rows = rows.unwrap_or_else(|| (0..old.rows).collect());
        let cols = cols.unwrap_or_else(|| (0..old.cols).collect());
        let from = rows.iter().flat_map(|r| cols.iter().map(move |c| old.offset + r * old.cols + c));
        out[t.span()].iter_mut().zip(from).for_each(|(x, at)| *x = whole[at]);
    }
    let each = c.mlp - mlp + c.heads - heads;
    let zeroed_in = (0..c.layers).filter(|i| cut_in[*i] > each).collect();
    let removed = c.layers * each;
    let zeroed = cut.count().saturating_sub(removed);
    let held_by_format = heads - least.0;
    Ok(Narrowed { net: small, params: out, removed, zeroed, zeroed_in, held_by_format })
}

/// `kept` and the first others of `all`, `n` in total, ascending.
fn filled(kept: &[usize], all: Range<usize>, n: usize) -> Vec<usize> {
    let spare = all.filter(|u| kept.binary_search(u).is_err()).take(n - kept.len());
    let mut out: Vec<usize> = kept.iter().copied().chain(spare).collect();
    out.sort_unstable();
    out
}

/// The heads of one group, among those kept.
fn of_group(c: &GptConfig, k: &Kept, g: usize) -> Vec<usize> {
    let size = c.heads / c.kv_heads;
    k.heads.iter().copied().filter(|h| h / size == g).collect()
}

/// Heads and groups that every block can come down to: as many groups as the block with most of
/// them, each with as many heads as the fullest.
fn groups(c: &GptConfig, kept: &[Kept]) -> (usize, usize) {
    let sizes = |k: &Kept| -> Vec<usize> { (0..c.kv_heads).map(|g| of_group(c, k, g).len()).collect() };
    let sizes: Vec<Vec<usize>> = kept.iter().map(sizes).collect();
    let count = sizes.iter().map(|s| s.iter().filter(|n| **n > 0).count()).max().unwrap_or(0).max(1);
    let each = sizes.iter().flatten().copied().max().unwrap_or(0).max(1);
    (count * each, count)
}

/// The fewest heads and groups, not below `least`, of which the heads divide the width; all of them
/// where no smaller number does.
fn dividing(c: &GptConfig, least: (usize, usize)) -> (usize, usize) {
    let (groups, each) = (least.1, least.0 / least.1);
    let all = (groups..=c.kv_heads).flat_map(|n| (each..=c.heads / c.kv_heads).map(move |e| (n * e, n)));
    let fits = all.filter(|(heads, _)| c.width.is_multiple_of(*heads));
    fits.min_by_key(|(heads, n)| heads + 2 * n).unwrap_or((c.heads, c.kv_heads))
}

/// Fills a block up to `count` groups of `each` heads.
fn fill_groups(c: &GptConfig, k: &mut Kept, count: usize, each: usize) {
    let size = c.heads / c.kv_heads;
    let used: Vec<usize> = (0..c.kv_heads).filter(|g| !of_group(c, k, *g).is_empty()).collect();
    k.groups = filled(&used, 0..c.kv_heads, count);
    let full = |g: &usize| filled(&of_group(c, k, *g), g * size..(g + 1) * size, each);
    k.heads = k.groups.iter().flat_map(full).collect();
}

type Indices = Option<Vec<usize>>;

/// Rows and columns of the old tensor that stay; `None` is all.
fn indices(c: &GptConfig, name: &str, kept: &[Kept]) -> Option<(Indices, Indices)> {
    let (block, tensor) = name.strip_prefix("blocks.")?.split_once('.')?;
    let k = kept.get(block.parse::<usize>().ok()?)?;
    let wide = |units: &[usize], first: usize| -> Vec<usize> {
        let span = |u: &usize| -> Range<usize> { (first + u) * c.head_dim..(first + u + 1) * c.head_dim };
        units.iter().flat_map(span).collect()
    };
    Some(match tensor {
        "attn.qkv.weight" | "attn.qkv.bias" => {
            let mut cols = wide(&k.heads, 0);
            cols.extend(wide(&k.groups, c.heads));
            cols.extend(wide(&k.groups, c.heads + c.kv_heads));
            (None, Some(cols))
        }
        "attn.out.weight" => (Some(wide(&k.heads, 0)), None),
        "mlp.in.weight" | "mlp.in.bias" => {
            let mut cols = k.neurons.clone();
            if c.activation == Activation::Swiglu {
                cols.extend(k.neurons.iter().map(|n| c.mlp + n));
            }
            (None, Some(cols))
        }
        "mlp.out.weight" => (Some(k.neurons.clone()), None),
        _ => (None, None),
    })
}
