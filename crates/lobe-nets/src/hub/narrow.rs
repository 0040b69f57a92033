//! A network with cut units physically gone: narrower matrices, the same outputs as with the units
//! set to zero.
//!
//! A configuration has one MLP width and one number of heads for all blocks. Of the MLP, every
//! block therefore loses as many neurons as the block that loses fewest; further cut neurons stay
//! as zeros. Heads go only when what is left has the same number of key/value groups, of the same
//! size, in every block, and when the file format can say that heads × head width differs from the
//! width (Llama and Lobe's own files can, GPT-2 and GPT-Neo cannot); otherwise they stay as zeros.

use std::ops::Range;

use lobe_core::Selection;
use lobe_engine::Buf;

use super::Format;
use crate::gpt::Gpt;
use crate::gpt_config::{Activation, GptConfig};
use crate::net::NetError;

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
    let mlp = kept.iter().map(|k| k.neurons.len()).max().unwrap_or(c.mlp).max(1);
    for k in &mut kept {
        // The first cut neurons stand in for those that another block keeps.
        let spare: Vec<usize> = (0..c.mlp).filter(|u| k.neurons.binary_search(u).is_err()).collect();
        k.neurons.extend(&spare[..mlp - k.neurons.len()]);
        k.neurons.sort_unstable();
    }
    let may = matches!(format, None | Some(Format::Llama));
    let (heads, kv_heads) = if may { groups(c, &mut kept) } else { None }.unwrap_or((c.heads, c.kv_heads));
    if (heads, kv_heads) == (c.heads, c.kv_heads) {
        for k in &mut kept {
            (k.heads, k.groups) = ((0..c.heads).collect(), (0..c.kv_heads).collect());
        }
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
    let removed = c.layers * (c.mlp - mlp + c.heads - heads);
    Ok(Narrowed { net: small, params: out, removed, zeroed: cut.count().saturating_sub(removed) })
}

/// Heads and key/value heads of every block once cut heads are gone, if all blocks agree. Fills in
/// the groups that are left.
fn groups(c: &GptConfig, kept: &mut [Kept]) -> Option<(usize, usize)> {
    let size = c.heads / c.kv_heads;
    let mut shape = None;
    for k in kept.iter_mut() {
        let count = |g: usize| k.heads.iter().filter(|h| **h / size == g).count();
        let groups: Vec<usize> = (0..c.kv_heads).filter(|g| count(*g) > 0).collect();
        let each = count(*groups.first()?);
        let found = (groups.len() * each, groups.len());
        if groups.iter().any(|g| count(*g) != each) || *shape.get_or_insert(found) != found {
            return None;
        }
        k.groups = groups;
    }
    shape
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
