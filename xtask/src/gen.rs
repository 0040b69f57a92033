//! `docs/generated/`: one page per method, removal, attack, measure, optimiser, kind of data, tokenizer, model
//! and stage, the keys of a recipe, the words of results, an index, and the JSON schema, all from the lists in the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use lobe_core::{JointKind, LabelSet, Route, RouteTable, Target};
use lobe_methods::localize::with_kinds;
use lobe_methods::{About, Context, LOCALIZE, Localize, ParamDoc, Part, Status, TrainsOn};
use serde_json::Value;

use crate::files::{TextFile, texts};
use crate::words;

/// Where the pages lie.
pub(crate) const DIR: &str = "docs/generated";
pub(crate) const NOTE: &str =
    "<!-- Written by `cargo run -p xtask -- gen`. Edit the code, not this page. -->\n\n";

/// Kinds of the catalogue: as it calls them, the folder, the heading of the index.
const KINDS: [(&str, &str, &str); 9] = [
    ("method", "methods", "Localisation methods"),
    ("unlearning", "unlearning", "Post-hoc removal"),
    ("removal", "removals", "Removal stages"),
    ("attack", "attacks", "Attacks"),
    ("locator", "locators", "Ways to score weights"),
    ("treatment", "treatments", "Treatments of weights"),
    ("adapter", "adapters", "Adapters"),
    ("measure", "measures", "Measures"),
    ("optimiser", "optimisers", "Optimisers"),
];

/// Where what the catalogue lists is written.
const SOURCES: [&str; 3] =
    ["crates/lobe-methods/src", "crates/lobe-engine/src/optim", "crates/lobe-nets/src/adapter"];

/// Writes all pages, and removes what is no longer one. Returns their number.
pub(crate) fn write(root: &Path) -> Result<usize> {
    let pages = pages(root)?;
    for path in on_disk(root)?.into_keys().filter(|p| !pages.contains_key(p)) {
        fs::remove_file(root.join(DIR).join(&path)).with_context(|| path.clone())?;
    }
    for (path, text) in &pages {
        let path = root.join(DIR).join(path);
        fs::create_dir_all(path.parent().unwrap_or(root)).with_context(|| path.display().to_string())?;
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(pages.len())
}

/// What differs between the code and the pages; empty if nothing does.
pub(crate) fn drift(root: &Path) -> Result<Vec<String>> {
    Ok(differences(&pages(root)?, &on_disk(root)?))
}

fn differences(code: &BTreeMap<String, String>, disk: &BTreeMap<String, String>) -> Vec<String> {
    let mut out = Vec::new();
    for (path, text) in code {
        match disk.get(path) {
            None => out.push(format!("{DIR}/{path}: missing")),
            Some(old) if old != text => out.push(format!("{DIR}/{path}: differs from the code")),
            Some(_) => {}
        }
    }
    out.extend(
        disk.keys().filter(|p| !code.contains_key(*p)).map(|p| format!("{DIR}/{p}: belongs to nothing")),
    );
    out
}

fn on_disk(root: &Path) -> Result<BTreeMap<String, String>> {
    let dir = root.join(DIR);
    let files = if dir.is_dir() { texts(&dir)? } else { Vec::new() };
    Ok(files.into_iter().map(|f| (f.path, f.text)).collect())
}

fn pages(root: &Path) -> Result<BTreeMap<String, String>> {
    let mut sources = Vec::new();
    for dir in SOURCES {
        let found = texts(&root.join(dir))?.into_iter();
        sources.extend(found.map(|f| TextFile { path: format!("{dir}/{}", f.path), ..f }));
    }
    let mut out = BTreeMap::new();
    for (kind, about, params) in lobe_methods::catalogue() {
        let (_, folder, _) = place(kind)?;
        let path = format!("{folder}/{}.md", about.name);
        let source = source_of(about.name, &sources);
        out.insert(path, page(kind, about, &params, source));
    }
    out.extend(words::pages());
    out.insert("README.md".to_owned(), index()?);
    let schema = serde_json::to_string_pretty(&lobe_lab::words::schema())? + "\n";
    out.insert("recipe.schema.json".to_owned(), schema);
    Ok(out)
}

fn place(kind: &str) -> Result<(&'static str, &'static str, &'static str)> {
    let found = KINDS.iter().find(|(k, ..)| *k == kind);
    found.copied().with_context(|| format!("the catalogue has {kind:?}, which has no folder"))
}

/// The file that registers `name`.
fn source_of<'a>(name: &str, sources: &'a [TextFile]) -> Option<&'a TextFile> {
    let line = format!("    name: {name:?},\n");
    sources.iter().find(|f| f.text.contains(&line))
}

/// The paragraph of a file's header that starts with `Equation:`.
fn equation(source: &str) -> Option<String> {
    let header = source.lines().map_while(|l| l.strip_prefix("//!")).map(str::trim);
    let rest: Vec<&str> = header.skip_while(|l| !l.starts_with("Equation:")).collect();
    let text = rest.join(" ");
    let ends = ["Paper: ", "Papers: ", "Source: ", "Unusual: ", "Fails: ", "Use it "];
    let end = ends.iter().filter_map(|e| text.find(e)).min().unwrap_or(text.len());
    let text = text[..end].trim_start_matches("Equation:").trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn page(kind: &str, about: &About, params: &[ParamDoc], source: Option<&TextFile>) -> String {
    let mut out = format!("{NOTE}# {}\n\n{}\n", about.name, sentence(about.summary));
    if let Some(text) = source.and_then(|f| equation(&f.text)) {
        section(&mut out, "Equation", &sentence(&text));
    }
    if kind == "method"
        && let Some(entry) = LOCALIZE.iter().find(|e| e.about.name == about.name)
        && let Ok((method, _)) = (entry.build)(&Value::Object(serde_json::Map::new()))
    {
        section(&mut out, "Routes", &routes(&*method));
        section(&mut out, "What the conformance suite holds it to", &expected(&*method));
    }
    if kind != "measure" {
        section(&mut out, "Parameters", &parameters(params));
    }
    section(&mut out, "Unusual here", &sentence(about.unusual));
    section(&mut out, "Fails when", &sentence(about.fails));
    if about.reference != "—" {
        section(&mut out, "References", &sentence(about.reference));
    }
    if let Some(f) = source.filter(|f| !f.path.ends_with("/mod.rs")) {
        section(&mut out, "Code", &format!("[{0}](../../../{0})", f.path));
    }
    out
}

pub(crate) fn section(out: &mut String, title: &str, body: &str) {
    write!(out, "\n## {title}\n\n{}\n", body.trim_end()).unwrap_or_default();
}

/// With a capital letter, unless it starts with a symbol, and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut out = text.trim().to_owned();
    if let Some(first) = out.get(..1).filter(|first| {
        // `g ← …` is a symbol and no word; "a" is one.
        let next = out.chars().nth(1);
        next.is_some_and(char::is_lowercase) || (*first == "a" && next == Some(' '))
    }) {
        out = first.to_uppercase() + &out[1..];
    }
    if !out.ends_with(['.', '!', '?']) {
        out.push('.');
    }
    out
}

pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn parameters(params: &[ParamDoc]) -> String {
    if params.is_empty() {
        return "None.".to_owned();
    }
    let mut out = "| key | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for p in params {
        let default = match p.default.as_deref() {
            Some("null") => "absent".to_owned(),
            Some(d) => format!("`{}`", cell(d)),
            None if p.required => "must be given".to_owned(),
            None => "–".to_owned(),
        };
        out.push_str(&format!("| `{}` | {} | {default} | {} |\n", p.name, cell(&p.kind), cell(&p.doc)));
    }
    out
}

fn target_name(target: Target) -> &'static str {
    match target {
        Target::Region(_) => "region",
        Target::Elsewhere => "elsewhere",
        Target::Joint(JointKind::Embedding) => "embedding",
        Target::Joint(JointKind::Norm) => "norm",
        Target::Joint(JointKind::OutBias) => "out-bias",
        Target::Joint(JointKind::Head) => "head",
        Target::Joint(JointKind::Rest) => "rest",
    }
}

/// The three numbers. What has no activation of its own has only an update.
fn numbers(route: Route, target: Target) -> String {
    let Route { forward, backward, update } = route;
    if matches!(target, Target::Joint(_)) {
        return format!("– – {update}");
    }
    // Nothing passes a gradient or receives one where nothing goes forward.
    if forward == 0.0 { "0 – –".to_owned() } else { format!("{forward} {backward} {update}") }
}

fn routes(method: &dyn Localize) -> String {
    let labels = LabelSet::default();
    let Ok(kinds) = method.kinds(&labels) else { return "Needs parameters.".to_owned() };
    let labels = with_kinds(&labels, &kinds);
    let regions = ["region".to_owned()];
    let (_, most) = method.regions();
    let context = Context { labels: &labels, regions: &regions[..most.min(1)] };
    let table = match method.table(&context) {
        Ok(table) => table,
        Err(e) => return format!("Needs parameters: {e}."),
    };
    let on = match method.trains_on(&labels) {
        Ok(TrainsOn::All) | Err(_) => String::new(),
        Ok(TrainsOn::Without(topics)) => {
            let names: Vec<String> = topics.iter().map(|l| format!("`{}`", labels.name(*l))).collect();
            format!("\nExamples labelled {} are left out.\n", names.join(", "))
        }
        Ok(TrainsOn::Context(l, _)) => {
            format!("\nTokens of examples labelled `{}` are context, but no targets.\n", labels.name(l))
        }
    };
    let uniform =
        if method.needs_uniform_steps() { "\nEvery optimiser step must hold one label only.\n" } else { "" };
    format!(
        "With default parameters; the numbers are forward, backward, update, and all that is not listed is `1 1 1`.\n\n{}{on}{uniform}",
        route_table(&table, &labels)
    )
}

fn route_table(table: &RouteTable, labels: &LabelSet) -> String {
    let mut seen = Vec::new();
    let mut out = "| label | part | route |\n|---|---|---|\n".to_owned();
    for row in &table.rows {
        let key = (row.label, row.target);
        let route = table.get(row.label, row.target);
        if !seen.contains(&key) && !route.is_plain() {
            let (label, part) = (labels.name(row.label), target_name(row.target));
            out.push_str(&format!("| {label} | {part} | `{}` |\n", numbers(route, row.target)));
        }
        seen.push(key);
    }
    if out.lines().count() == 2 {
        out.push_str("| any | any | `1 1 1` |\n");
    }
    out
}

fn expected(method: &dyn Localize) -> String {
    let labels = LabelSet::default();
    let mut out = "| label | part | gradient |\n|---|---|---|\n".to_owned();
    for (label, part, status) in method.expected() {
        let part = match part {
            Part::Region => "region",
            Part::Elsewhere => "elsewhere",
            Part::Embedding => "embedding",
            Part::OutBias => "out-bias",
            Part::Norm => "norm",
            Part::Head => "head",
        };
        let status = match status {
            Status::Zero => "exactly zero",
            Status::Plain => "equal to ordinary training, bit for bit",
            Status::Changed => "not zero, and different from ordinary training",
        };
        out.push_str(&format!("| {} | {part} | {status} |\n", labels.name(label)));
    }
    out
}

fn index() -> Result<String> {
    let mut out = format!("{NOTE}# What Lobe knows\n\n");
    out.push_str("`lobe list` prints the same list, `lobe explain NAME` the same pages.\n");
    let catalogue = lobe_methods::catalogue();
    for (kind, folder, heading) in KINDS {
        let mut body = "| name | what it does |\n|---|---|\n".to_owned();
        for (_, about, _) in catalogue.iter().filter(|(k, ..)| *k == kind) {
            body.push_str(&format!("| [{0}]({folder}/{0}.md) | {1} |\n", about.name, cell(about.summary)));
        }
        section(&mut out, heading, &body);
    }
    for (kind, folder, heading) in words::FOLDERS {
        section(&mut out, heading, &words::index_of(kind, folder));
    }
    let body = "[The keys of a recipe](recipe.md), and the same as a JSON schema for editors: \
                [recipe.schema.json](recipe.schema.json).";
    section(&mut out, "Recipes", body);
    section(&mut out, "Results", "[The columns and metrics of results.csv](results.md).");
    catalogue.iter().try_for_each(|(kind, ..)| place(kind).map(drop))?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_equation_is_the_headers() {
        let source = "//! Title.\n//!\n//! Equation: a ← b,\n//! c. Paper: X.\n//! Fails: never.\n\nuse x;\n";
        assert_eq!(equation(source).as_deref(), Some("a ← b, c."));
        assert_eq!(equation("//! Title.\nuse x;\n"), None);
    }

    #[test]
    fn sentences_are_sentences() {
        assert_eq!(sentence("one hard gate"), "One hard gate.");
        assert_eq!(sentence("dL/da ← m. x."), "dL/da ← m. x.");
        assert_eq!(sentence("∇θ ← 0"), "∇θ ← 0.");
        assert_eq!(sentence("g ← 0"), "g ← 0.");
        assert_eq!(sentence("a hard gate"), "A hard gate.");
    }

    #[test]
    fn drift_names_what_is_missing_changed_and_left_over() {
        let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
            entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let code = map(&[("a.md", "1"), ("b.md", "2"), ("c.md", "3")]);
        let found = differences(&code, &map(&[("a.md", "1"), ("b.md", "x"), ("d.md", "4")]));
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].contains("b.md: differs") && found[1].contains("c.md: missing"), "{found:?}");
        assert!(found[2].contains("d.md: belongs to nothing"), "{found:?}");
        assert!(differences(&code, &code).is_empty());
    }

    #[test]
    fn every_item_has_a_page_with_its_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let pages = pages(root).unwrap();
        assert_eq!(pages.len(), lobe_methods::catalogue().len() + 2 + words::pages().len());
        let text = &pages["data/text.md"];
        assert!(text.contains("| `tokenizer (kind = \"bpe\").vocab` |"), "{text}");
        assert!(pages["tokenizers/bpe.md"].contains("kind = \"bpe\", vocab = 2048"));
        assert!(pages["recipe.md"].contains("| `labels.recall` |"));
        let sgtm = &pages["methods/sgtm.md"];
        assert!(sgtm.contains("| retain | region | `0 – –` |"), "{sgtm}");
        assert!(sgtm.contains("## Equation") && sgtm.contains("localize/sgtm.rs"), "{sgtm}");
        assert!(pages["recipe.schema.json"].contains("\"sgtm\""));
    }

    #[test]
    fn written_pages_show_no_drift_until_one_is_edited() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let copy = tempfile::tempdir().unwrap();
        for dir in SOURCES {
            for f in texts(&source.join(dir)).unwrap() {
                let to = copy.path().join(dir).join(&f.path);
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::write(to, f.text).unwrap();
            }
        }
        write(copy.path()).unwrap();
        assert!(drift(copy.path()).unwrap().is_empty());
        fs::write(copy.path().join(DIR).join("methods/old.md"), "x").unwrap();
        assert_eq!(drift(copy.path()).unwrap().len(), 1);
        write(copy.path()).unwrap();
        assert!(drift(copy.path()).unwrap().is_empty());
    }
}
