//! Pages of everything beside methods: kinds of data, tokenizers, models, stages, the keys of a recipe, and the
//! words of results.

use lobe_lab::words::{
    COLUMNS, Found, METRICS, Metric, Step, Word, every_key, example_of, recipe_keys, value_of, words,
};
use lobe_methods::ParamDoc;
use lobe_runs::Better;

use crate::r#gen::{NOTE, cell, section, sentence};

/// Kinds of words that get a page each: kind, folder, heading of the index.
pub(crate) const FOLDERS: [(&str, &str, &str); 4] = [
    ("data", "data", "Data"),
    ("tokenizer", "tokenizers", "Tokenizers of text"),
    ("model", "models", "Models"),
    ("stage", "stages", "Stages that neither remove nor attack"),
];

/// All pages, by their path.
pub(crate) fn pages() -> Vec<(String, String)> {
    let tree = recipe_keys();
    let mut out = Vec::new();
    for word in words() {
        if let Some((_, folder, _)) = FOLDERS.iter().find(|f| f.0 == word.kind) {
            out.push((format!("{folder}/{}.md", word.name), page(&word, &tree)));
        }
    }
    out.push(("recipe.md".to_owned(), recipe(&tree)));
    out.push(("results.md".to_owned(), results()));
    out
}

/// The rows of the index for one kind.
pub(crate) fn index_of(kind: &str, folder: &str) -> String {
    let mut out = "| name | what it is |\n|---|---|\n".to_owned();
    for w in words().iter().filter(|w| w.kind == kind) {
        out += &format!("| [{0}]({folder}/{0}.md) | {1} |\n", w.name, cell(&w.summary));
    }
    out
}

fn page(word: &Word, tree: &[ParamDoc]) -> String {
    let mut out = format!("{NOTE}# {}\n\n{}\n", word.name, sentence(&word.summary));
    section(&mut out, "Example", &fenced(&word.example));
    let found = inside(word, tree);
    if !found.is_empty() {
        section(&mut out, "Keys", &table(&found, if word.kind == "tokenizer" { 2 } else { 1 }));
    }
    if word.kind == "data" {
        section(
            &mut out,
            "Labels and batches",
            "The keys that every kind of data has are on [the page of the recipe](../recipe.md#data).",
        );
    }
    out
}

/// The keys of a word, as the recipe has them.
fn inside<'a>(word: &Word, tree: &'a [ParamDoc]) -> Vec<Found<'a>> {
    let table = match word.kind {
        "data" | "tokenizer" => "data",
        "model" => "model",
        _ if word.name == "train" => return below(tree, "train"),
        _ => "stage",
    };
    let leads = |steps: &[Step<'_>]| match word.kind {
        "tokenizer" => {
            steps.len() == 2
                && steps[1].key.name == "tokenizer"
                && steps[1].kind.is_some_and(|k| k.name == word.name)
        }
        _ => {
            !steps.is_empty()
                && steps[0].key.name == table
                && steps[0].kind.is_some_and(|k| k.name == word.name)
        }
    };
    every_key(tree).into_iter().filter(|f| leads(&f.way)).collect()
}

fn below<'a>(tree: &'a [ParamDoc], table: &str) -> Vec<Found<'a>> {
    let own = |f: &Found<'_>| f.way.first().is_some_and(|s| s.key.name == table && s.kind.is_none());
    every_key(tree).into_iter().filter(own).collect()
}

/// `sources.path`: the path behind its first `skip` steps.
fn short(found: &Found<'_>, skip: usize) -> String {
    let kept = Found { way: found.way.get(skip..).unwrap_or_default().to_vec(), key: found.key };
    kept.path()
}

/// Keys as a table; the page is about the first `skip` steps of their paths.
fn table(found: &[Found<'_>], skip: usize) -> String {
    let mut out = "| key | type | default | example | meaning |\n|---|---|---|---|---|\n".to_owned();
    for f in found {
        let default = match f.key.default.as_deref() {
            Some("null") => "absent".to_owned(),
            Some(d) => format!("`{}`", cell(d)),
            None if f.key.required => "must be given".to_owned(),
            None => "–".to_owned(),
        };
        let example = value_of(f).filter(|v| !v.contains('\n'));
        let example = example.map_or("–".to_owned(), |v| format!("`{}`", cell(&v)));
        let mut meaning = f.key.doc.clone();
        for c in f.key.choices.iter().filter(|c| !c.is_table && !c.doc.is_empty()) {
            meaning += &format!(" `{:?}`: {}", c.name, c.doc);
        }
        out += &format!(
            "| `{}` | {} | {default} | {example} | {} |\n",
            cell(&short(f, skip)),
            cell(&f.key.kind),
            cell(&meaning)
        );
    }
    out
}

fn fenced(text: &str) -> String {
    format!("```toml\n{}\n```", text.trim_end())
}

/// The keys that do not depend on a kind.
fn recipe(tree: &[ParamDoc]) -> String {
    let mut out = format!("{NOTE}# The keys of a recipe\n\n");
    out += "`lobe explain KEY` prints the same, also of a dotted key such as `data.tokenizer.kind`.\n";
    let mut top = "| key | type | meaning |\n|---|---|---|\n".to_owned();
    for key in tree {
        let keys = below(tree, &key.name);
        let name = if keys.is_empty() { format!("`{}`", key.name) } else { format!("[{0}](#{0})", key.name) };
        top += &format!("| {name} | {} | {} |\n", cell(&key.kind), cell(&key.doc));
    }
    section(&mut out, "All", &top);
    for key in tree {
        let keys = below(tree, &key.name);
        // [unlearn] has the keys of [train].
        if keys.is_empty() || key.name == "unlearn" {
            continue;
        }
        let example = example_of(&Found { way: Vec::new(), key }).unwrap_or_default();
        section(&mut out, &key.name, &format!("{}\n\n{}\n\n{}", key.doc, fenced(&example), table(&keys, 1)));
    }
    out
}

fn results() -> String {
    let mut out = format!("{NOTE}# The words of results.csv\n\n");
    out += "`lobe explain NAME` prints the same. [How to read them](../results.md).\n";
    let mut columns = "| column | content |\n|---|---|\n".to_owned();
    for (name, what) in COLUMNS {
        columns += &format!("| `{name}` | {} |\n", cell(what));
    }
    section(&mut out, "Columns", &columns);
    let mut metrics = "| metric | unit | better | along | meaning |\n|---|---|---|---|---|\n".to_owned();
    for m in METRICS.iter().map(Metric::info) {
        let parts = m.parts.map_or_else(String::new, |p| format!(", `@{}`", p.to_uppercase()));
        let better = match m.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Neither => "–",
        };
        let along = m.axis.unwrap_or_else(|| "–".to_owned());
        let about = cell(&m.about);
        metrics += &format!("| `{}`{parts} | {} | {better} | {along} | {about} |\n", m.name, m.unit);
    }
    metrics += "| `ATTACK_loss`, `@VARIANT` | nat | – | the attack's axis | an attack, by its name (`relearn_loss`, `quantise_loss`, …): at each point of its axis the lowest loss of all variants |\n";
    metrics += "| `METRIC`, `@VARIANT` | | – | – | any other number that an attack measures, of the winning variant or of one |\n";
    section(&mut out, "Metrics", &metrics);
    out
}
