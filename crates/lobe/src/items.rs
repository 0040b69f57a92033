//! Everything that a recipe can name, as one list.

use lobe_data::{
    ArithmeticConfig, BilingualConfig, CifarConfig, GlyphsConfig, IdxConfig, SOURCES, TextConfig,
};
use lobe_lab::recipe::Train;
use lobe_lab::stage::{Cohere, Load, Measure, UnlearnStage};
use lobe_methods::{About, ParamDoc, catalogue, params_of};
use lobe_nets::{AutoencoderConfig, GptConfig};

/// Something that can be listed and explained.
pub(crate) struct Item {
    pub kind: &'static str,
    pub name: &'static str,
    pub summary: &'static str,
    /// Methods, removals, attacks and measures have papers and failures.
    pub about: Option<&'static About>,
    pub params: Vec<ParamDoc>,
}

/// Kinds in the order they are listed, with their headings.
pub(crate) const KINDS: [(&str, &str); 8] = [
    ("method", "Localisation methods (arms: method = …)"),
    ("unlearning", "Post-hoc removal (arms: method = …, from = …)"),
    ("removal", "Removal (stages: do = …)"),
    ("attack", "Attacks (stages: do = …)"),
    ("stage", "Other stages (do = …)"),
    ("measure", "Measures (columns of results.csv)"),
    ("data", "Data (data: kind = …)"),
    ("model", "Models (model: kind = …)"),
];

fn params_of_source(kind: &str) -> Vec<ParamDoc> {
    match kind {
        "bilingual" => params_of::<BilingualConfig>(),
        "arithmetic" => params_of::<ArithmeticConfig>(),
        "text" => params_of::<TextConfig>(),
        "glyphs" => params_of::<GlyphsConfig>(),
        "idx" => params_of::<IdxConfig>(),
        "cifar" => params_of::<CifarConfig>(),
        _ => Vec::new(),
    }
}

/// All of them, in order of kind.
pub(crate) fn all() -> Vec<Item> {
    let described = |(kind, about, params): (&'static str, &'static About, Vec<ParamDoc>)| Item {
        kind,
        name: about.name,
        summary: about.summary,
        about: Some(about),
        params,
    };
    let plain = |kind, name, summary, params| Item { kind, name, summary, about: None, params };
    let mut out: Vec<Item> = catalogue().into_iter().map(described).collect();
    out.push(plain(
        "stage",
        "train",
        "train every arm and seed from shared initial weights",
        params_of::<Train>(),
    ));
    out.push(plain("stage", "load", "take weights from files instead of training them", params_of::<Load>()));
    let unlearn = "go on training each post-hoc arm from the model of the arm it names";
    out.push(plain("stage", "unlearn", unlearn, params_of::<UnlearnStage>()));
    let cohere = "train a few steps on retain data after a cut, so that what is left fits together";
    out.push(plain("stage", "cohere", cohere, params_of::<Cohere>()));
    let measures = "held-out numbers of every model made so far, and what its region's units do";
    out.push(plain("stage", "measure", measures, params_of::<Measure>()));
    out.extend(SOURCES.iter().map(|s| plain("data", s.kind, s.summary, params_of_source(s.kind))));
    let gpt =
        "decoder-only transformer in the GPT-2, GPT-Neo and Llama shapes, which it also opens and exports";
    out.push(plain("model", "gpt", gpt, params_of::<GptConfig>()));
    let ae = "autoencoder of fully connected layers, with any number of decoders on parts of the latent";
    out.push(plain("model", "autoencoder", ae, params_of::<AutoencoderConfig>()));
    let rank = |kind: &str| KINDS.iter().position(|k| k.0 == kind).unwrap_or(KINDS.len());
    out.sort_by_key(|i| rank(i.kind));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_has_a_known_kind_and_no_name_stands_twice_in_one() {
        let items = all();
        for (n, i) in items.iter().enumerate() {
            assert!(KINDS.iter().any(|k| k.0 == i.kind), "{}", i.kind);
            assert!(items[..n].iter().all(|o| (o.kind, o.name) != (i.kind, i.name)), "{}", i.name);
            assert!(!i.summary.is_empty() && !i.summary.contains('\n'), "{}", i.name);
        }
    }
}
