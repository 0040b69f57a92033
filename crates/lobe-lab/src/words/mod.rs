//! Every word that a recipe or a table of results can hold: what it means, what it accepts, and an
//! example. `lobe list`, `lobe explain`, the JSON schema and the generated pages are made from it.

mod examples;
mod keys;
mod results;
mod schema;

use lobe_data::{SOURCES, TextSource, TokenizerConfig};
use lobe_methods::{ATTACKS, About, ParamDoc, catalogue, kinds_of, params_of, remove};

pub use examples::{example_of, value_of};
pub use keys::{Found, Step, every_key, find, find_anywhere, recipe_keys, tag};
pub(crate) use results::catalogue as catalogue_of;
pub use results::{COLUMNS, METRICS, Metric, metric};
pub use schema::schema;

use crate::recipe::Starts;

/// Something that can be listed and explained.
#[derive(Debug, Clone)]
pub struct Word {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// The word itself.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Methods, removals, attacks, measures and optimisers have papers and failures.
    pub about: Option<&'static About>,
    /// Its keys in a recipe.
    pub params: Vec<ParamDoc>,
    /// How a recipe uses it, as TOML; empty where it does not stand in a recipe.
    pub example: String,
}

/// Kinds in the order they are listed, with their headings.
pub const KINDS: [(&str, &str); 15] = [
    ("method", "Localisation methods (arms: method = …)"),
    ("unlearning", "Post-hoc removal (arms: method = …, from = …)"),
    ("removal", "Removal (stages: do = …)"),
    ("attack", "Attacks (stages: do = …)"),
    ("locator", "Ways to score weights (stage locate: by = …)"),
    ("treatment", "What can be done to weights (stage treat: how = …)"),
    ("adapter", "Adapters (stage fit: adapters: kind = …)"),
    ("stage", "Other stages (do = …)"),
    ("measure", "Measures (what `measure` and the report compute)"),
    ("data", "Data (data: kind = …)"),
    ("tokenizer", "Tokenizers of text (data.tokenizer: kind = …)"),
    ("model", "Models (model: kind = …)"),
    ("optimiser", "Optimisers (train: optimiser = …)"),
    ("column", "Columns of results.csv"),
    ("metric", "Metrics (column metric of results.csv)"),
];

/// Whether a stage is neither a removal nor an attack, which are listed apart.
fn own_stage(about: &About) -> bool {
    let listed = remove::STAGES.iter().map(|e| e.about).chain(ATTACKS.iter().map(|e| e.about));
    listed.into_iter().all(|other| other.name != about.name)
}

/// All of them, in order of kind.
pub fn words() -> Vec<Word> {
    let plain = |kind, name: &str, summary: &str, params, example| Word {
        kind,
        name: name.to_owned(),
        summary: summary.to_owned(),
        about: None,
        params,
        example,
    };
    let mut out: Vec<Word> = Vec::new();
    for (kind, about, params) in catalogue() {
        let example = examples::of_word(kind, about.name);
        out.push(Word { about: Some(about), ..plain(kind, about.name, about.summary, params, example) });
    }
    for entry in crate::stages::every().iter().filter(|e| own_stage(e.about)) {
        // What trains from scratch takes stands in [train].
        let drawn = entry.facts.starts == Starts::Drawn;
        let params = if drawn { keys::of_train() } else { (entry.params)() };
        let about = entry.about;
        out.push(plain("stage", about.name, about.summary, params, examples::of_word("stage", about.name)));
    }
    out.extend(
        SOURCES
            .iter()
            .map(|s| plain("data", s.kind, s.summary, (s.params)(), examples::of_word("data", s.kind))),
    );
    for t in kinds_of::<TokenizerConfig>() {
        let example = examples::of_word("tokenizer", &t.name);
        out.push(plain("tokenizer", &t.name, &first_sentence(&t.doc), t.keys, example));
    }
    for (about, params) in keys::models() {
        let example = examples::of_word("model", about.name);
        out.push(Word { about: Some(about), ..plain("model", about.name, about.summary, params, example) });
    }
    out.extend(COLUMNS.iter().map(|(name, what)| plain("column", name, what, Vec::new(), String::new())));
    out.extend(METRICS.iter().map(|m| plain("metric", m.name, m.meaning, Vec::new(), String::new())));
    let rank = |kind: &str| KINDS.iter().position(|k| k.0 == kind).unwrap_or(KINDS.len());
    out.sort_by_key(|w| rank(w.kind));
    out
}

/// The keys of one text source, as a table of `data.sources`.
pub fn text_source() -> Vec<ParamDoc> {
    params_of::<TextSource>()
}

/// A doc comment as one line of a list: no full stop at the end.
fn first_sentence(doc: &str) -> String {
    doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
