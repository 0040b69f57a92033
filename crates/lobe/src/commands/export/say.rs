//! What an export says about itself, as text and as JSON.

use lobe_core::Selection;
use lobe_nets::Gpt;
use lobe_nets::hub::{self, Narrowed};
use serde_json::{Value, json};

use super::check::tokens;
use super::{Args, Source, TOLERANCE};

/// Cut neurons and cut heads.
fn counts(net: &Gpt, cut: &Selection) -> (usize, usize) {
    let of = |end: &str| -> usize {
        let sites = cut.sites().filter(|(s, _)| net.layout.sites()[*s].name.ends_with(end));
        sites.flat_map(|(_, ranges)| ranges).map(ExactSizeIterator::len).sum()
    };
    (of(".mlp.post"), of(".attn.z"))
}

fn name(format: Option<hub::Format>) -> &'static str {
    format.map_or("lobe", hub::Format::name)
}

/// What `export.json` and `--json` say.
pub(super) fn facts(
    source: &Source,
    cut: &Selection,
    small: &Narrowed,
    format: Option<hub::Format>,
    check: (f32, f32),
) -> Value {
    let (net, c) = (&source.net, &small.net.config);
    let (neurons, heads) = counts(net, cut);
    json!({
        "source": source.name, "format": name(format), "build": crate::build(),
        "removed": cut.describe(net.layout.sites()),
        "units": { "cut": cut.count(), "neurons": neurons, "heads": heads, "gone": small.removed,
            "left_as_zeros": small.zeroed, "zeros_in_blocks": small.zeroed_in },
        "parameters": { "before": net.layout.len(), "after": small.net.layout.len() },
        "shape": { "mlp": c.mlp, "heads": c.heads, "kv_heads": c.kv_heads, "head_dim": c.head_dim },
        "check": { "tokens": tokens(net).0.len(), "largest_logit": check.1, "difference": check.0,
            "allowed": TOLERANCE },
    })
}

/// What the terminal says.
pub(super) fn text(
    source: &Source,
    args: &Args,
    cut: &Selection,
    small: &Narrowed,
    format: Option<hub::Format>,
    (difference, largest): (f32, f32),
) -> String {
    let net = &source.net;
    let (old, new) = (&net.config, &small.net.config);
    let (before, after) = (net.layout.len(), small.net.layout.len());
    let (neurons, heads) = counts(net, cut);
    let mut out = format!("{}\n  → {} ({})\n\n", source.name, args.out.display(), name(format));
    let removed = match (neurons, heads) {
        (0, 0) => "nothing".to_owned(),
        _ => format!("{neurons} neurons and {heads} heads over {} blocks", old.layers),
    };
    out += &format!("cut         {removed}\n");
    out += &format!(
        "shape       {} → {} neurons, {} → {} heads, {} → {} key/value heads a block\n",
        old.mlp, new.mlp, old.heads, new.heads, old.kv_heads, new.kv_heads
    );
    let share = 100.0 * (before - after) as f64 / before.max(1) as f64;
    let share = if after == before { String::new() } else { format!(" (−{share:.2} %)") };
    out += &format!("parameters  {before} → {after}{share}\n");
    if small.zeroed > 0 {
        let blocks: Vec<String> = small.zeroed_in.iter().map(ToString::to_string).collect();
        let units = if small.zeroed == 1 { "cut unit stays as zeros" } else { "cut units stay as zeros" };
        out += &format!("zeros       {} {units}, in blocks {}\n", small.zeroed, blocks.join(", "));
        let stuck = format.filter(|_| small.held_by_format > 0);
        if let Some(f) = stuck {
            out += &format!("            {}; --format lobe drops them\n", why_heads_stay(f, new.width));
        }
        if stuck.is_none() || small.zeroed > heads {
            out += "            all blocks have one width: that of the block that keeps most\n";
        }
    }
    out += &match (&source.tokenizer, source.marks()) {
        (None, _) => "tokenizer   none lies beside the model, so none is written\n".to_owned(),
        (Some(_), None) => {
            "tokenizer   written; it has no marks for the beginning and end of a text\n".to_owned()
        }
        (Some(_), Some(marks)) => format!("tokenizer   written; {marks}\n"),
    };
    let opens = if format.is_some() { "as transformers asks for it; " } else { "" };
    let differ = if difference == 0.0 {
        "are those of the masked model".to_owned()
    } else {
        let most = format!("{difference:.1e} of the largest ({largest:.3}); {TOLERANCE:.0e} is allowed");
        format!("differ from those of the masked model by at most\n            {most}")
    };
    out += &format!(
        "check       {opens}read back; on {} random tokens the logits {differ}\n",
        tokens(net).0.len()
    );
    out
}

/// Why cut heads are still there.
fn why_heads_stay(format: hub::Format, width: usize) -> String {
    match format {
        hub::Format::Llama => {
            format!("transformers opens llama files only if the number of heads divides the width, {width}")
        }
        _ => format!("transformers opens {} files only with all heads", format.name()),
    }
}
