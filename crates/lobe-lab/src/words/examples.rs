//! An example for every key and every word, as TOML that a recipe accepts.

use lobe_methods::{Choice, ParamDoc, UNLEARN};
use serde_json::Value;

use super::keys::{Found, Step, tag};

/// Values of keys whose default says nothing: text, lists, tables, and what is absent or 0 by default. The
/// first part is the end of the key's path, without kinds.
const VALUES: &[(&str, &str)] = &[
    ("name", r#""first""#),
    ("about", r#""Removes Spanish from a small story model""#),
    ("seeds", "3"),
    ("scale", "0.1"),
    (
        "data",
        "[data]\nkind   = \"bilingual\"\nforget = { language = \"es\", recall = 0.9 }\nretain = { language = \"en\" }",
    ),
    ("model", "[model]\nkind   = \"gpt\"\nlayers = 2\nwidth  = 64\nheads  = 4"),
    ("regions", "[regions]\nspanish = \"blocks.*.mlp.post[-32..] + blocks.*.attn.z[-1]\""),
    ("arms", "[arms.sgtm]\nmethod = \"sgtm\"\nregion = \"spanish\""),
    ("train", "[train]\nsteps = 600\nbatch = 16\nlr    = 3e-3"),
    ("unlearn", "[unlearn]\nsteps = 60\nlr    = 1e-4"),
    ("stage", "[[stage]]\ndo    = \"relearn\"\nlabel = \"forget\"\nsteps = 60"),
    (
        "target",
        "[[target]]\narm       = \"baseline\"\nlabel     = \"forget\"\nmetric    = \"loss\"\nvalue     = 3.2\ntolerance = 0.1\nsource    = \"a paper, table 2\"",
    ),
    ("target.arm", r#""baseline""#),
    ("target.stage", r#""train""#),
    ("target.label", r#""forget""#),
    ("target.metric", r#""loss""#),
    ("target.step", "100"),
    ("target.value", "3.2"),
    ("target.tolerance", "0.1"),
    ("target.source", r#""a paper, table 2""#),
    ("presets", "[presets.tiny]\nscale = 0.05\ntrain = { batch = 8 }"),
    // Data.
    ("data.kind", r#""bilingual""#),
    ("data.forget", r#"{ language = "es", recall = 0.9 }"#),
    ("data.retain", r#"{ language = "en" }"#),
    ("data.labels", r#"{ spanish = { class = "es" } }"#),
    ("classes", r#"["es"]"#),
    ("class", r#""es""#),
    ("language", r#""es""#),
    ("source", r#""es""#),
    ("digits", "[3, 4]"),
    ("words", r#"["virus", "vaccine"]"#),
    ("confused_with", r#""en""#),
    ("recall", "0.9"),
    ("precision", "0.95"),
    ("class_weights", "[1, 1]"),
    ("sources", r#"[{ path = "english.txt", class = "en" }, { path = "spanish/", class = "es" }]"#),
    ("sources.path", r#""spanish.jsonl""#),
    ("sources.only", r#"{ subject = "virology" }"#),
    ("sources.test_path", r#""spanish-test.jsonl""#),
    ("max_documents", "5000"),
    ("max_chars", "2000"),
    ("tokenizer", r#"{ kind = "bpe", vocab = 2048 }"#),
    ("tokenizer.vocab", "2048"),
    ("tokenizer.vocab", r#""vocab.json""#),
    ("tokenizer.path", r#""tokenizer.json""#),
    ("tokenizer.merges", r#""merges.txt""#),
    ("word_class", r#"{ class = "virology", words = ["virus", "vaccine"] }"#),
    ("word_class.class", r#""virology""#),
    ("folder", r#""mnist""#),
    ("max_train", "10000"),
    ("max_test", "2000"),
    ("data.train", r#"["data_batch_1.bin"]"#),
    ("data.test", r#"["test_batch.bin"]"#),
    ("mixing", r#"[{ name = "clean" }, { name = "noisy", kind = "embedding" }]"#),
    ("mixing.name", r#""noisy""#),
    // Networks.
    ("model.kind", r#""gpt""#),
    ("vocab", "1024"),
    ("context", "128"),
    ("kv_heads", "2"),
    ("head_dim", "32"),
    ("mlp", "256"),
    ("window", "64"),
    ("decoders", r#"[{ name = "decoder" }, { name = "certificate", to = 16, detach = true }]"#),
    ("decoders.name", r#""certificate""#),
    ("decoders.from", "16"),
    ("decoders.to", "16"),
    ("objective.l1", "[{ weight = 0.003 }]"),
    ("objective.variational", r#"{ at = "heads", weight = 1.0 }"#),
    ("variational.at", r#""heads""#),
    ("variational.weight", "1.0"),
    ("l1.from", "16"),
    ("l1.to", "16"),
    ("l1.weight", "0.003"),
    // Arms.
    ("arms.method", r#""sgtm""#),
    ("arms.from", r#""baseline""#),
    ("arms.region", r#""spanish""#),
    ("arms.labels", "{ forget = { recall = 0.6 } }"),
    ("arms.train", "{ steps = 1200 }"),
    ("arms.grid", r#"{ "train.lr" = [0.001, 0.003] }"#),
    ("arms.family", r#"{ name = "first", point = { "train.lr" = 0.001 } }"#),
    ("family.name", r#""first""#),
    ("family.point", r#"{ "train.lr" = 0.001 }"#),
    ("without", r#"["forget"]"#),
    ("loss_weight", "{ forget = 0.5 }"),
    ("clip", "1.0"),
    ("rows_per_shard", "4"),
    ("betas", "[0.9, 0.95]"),
    ("momentum", "0.9"),
    ("joint_projections", r#""blocks.*.mlp.post""#),
    ("table", r#"[{ label = "forget", region = "elsewhere", update = 0 }]"#),
    ("table.label", r#""forget""#),
    ("table.region", r#""elsewhere""#),
    ("table.update", "0"),
    ("home", r#"["forget"]"#),
    ("routed", r#"["forget"]"#),
    ("off", "{ update = 0.0 }"),
    ("off.forward", "0.0"),
    ("off.backward", "0.0"),
    ("off.update", "0.0"),
    ("unrouted", "{ backward = 0.5 }"),
    ("layer", "1"),
    ("layers", "4"),
    ("arms.layers", "[1]"),
    ("stage.layers", "[0, 1]"),
    ("retain_layers", "[0, 1]"),
    ("bandwidth", "1.0"),
    ("around", r#""npo""#),
    ("inner", "{ gamma = 2.0 }"),
    // Stages.
    ("stage.do", r#""ablate""#),
    ("stage.name", r#""second-cut""#),
    ("stage.from", r#""train""#),
    ("stage.arms", r#"["baseline"]"#),
    ("stage.region", r#""spanish""#),
    ("stage.path", r#""gpt2""#),
    ("stage.examples", "[16, 64]"),
    ("kinds", r#"["entries", "rank"]"#),
    ("stage.argmax", r#""latent""#),
    ("stage.decode", "[1.0, 2.0]"),
    ("stage.on", r#""forget""#),
    ("stage.against", r#""retain""#),
    ("stage.within", r#""blocks.*.mlp.out.weight""#),
    ("stage.weights", r#""blocks.*.mlp.out.weight""#),
    ("stage.with", "{ by = 0.5 }"),
    ("stage.adapters", r#"[{ kind = "low-rank", rank = 2 }]"#),
    ("stage.stages", r#"[{ do = "treat", weights = "blocks.*.mlp.out.weight" }]"#),
];

/// What a stage must be given although a table of its settings may lack it: its own error says more than a missing key.
const NEEDS: [(&str, &str); 3] = [("treat", "weights"), ("fit", "adapters"), ("repeat", "stages")];

/// How the words of the catalogue stand in a recipe.
pub(super) fn of_word(kind: &str, name: &str) -> String {
    match (kind, name) {
        ("method", "none" | "filter") => format!("[arms.{name}]\nmethod = \"{name}\"\n"),
        ("method", "routes") => {
            "[arms.mine]\nmethod = \"routes\"\nregion = \"spanish\"\n\
             table  = [{ label = \"forget\", region = \"elsewhere\", update = 0 }]\n"
                .to_owned()
        }
        ("method", _) => format!("[arms.{name}]\nmethod = \"{name}\"\nregion = \"spanish\"\n"),
        ("unlearning", "undo") => "[arms.undo]\nmethod = \"undo\"\nfrom   = \"npo\"\n".to_owned(),
        ("unlearning", _) => format!("[arms.{name}]\nmethod = \"{name}\"\nfrom   = \"baseline\"\n"),
        ("attack", "relearn-retain") => format!("[[stage]]\ndo = \"{name}\"\n"),
        ("attack", _) => format!("[[stage]]\ndo    = \"{name}\"\nlabel = \"forget\"\n"),
        ("stage", "load") => {
            "[[stage]]\ndo   = \"load\"\narms = [\"baseline\"]\npath = \"gpt2\"\n".to_owned()
        }
        ("locator", _) => format!("[[stage]]\ndo = \"locate\"\nby = \"{name}\"\non = \"forget\"\n"),
        ("treatment", _) => {
            format!("[[stage]]\ndo      = \"treat\"\nhow     = \"{name}\"\nweights = \"blocks.*.mlp.out.weight\"\n")
        }
        ("adapter", "add") => "[[stage]]\ndo       = \"fit\"\n\
             adapters = [{ kind = \"add\", at = \"blocks.0.resid_post\" }]\n"
            .to_owned(),
        ("adapter", _) => format!("[[stage]]\ndo       = \"fit\"\nadapters = [{{ kind = \"{name}\" }}]\n"),
        ("stage", "treat") => {
            "[[stage]]\ndo      = \"treat\"\nweights = \"blocks.*.mlp.out.weight\"\n".to_owned()
        }
        ("stage", "fit") => "[[stage]]\ndo       = \"fit\"\n\
             adapters = [{ kind = \"low-rank\", rank = 2 }]\non       = \"forget\"\n"
            .to_owned(),
        ("stage", "repeat") => "[[stage]]\ndo     = \"repeat\"\ntimes  = 3\nstages = [\n  \
             { do = \"treat\", weights = \"blocks.*.mlp.out.weight\", how = \"noise\" },\n  \
             { do = \"cohere\", steps = 20 },\n]\n"
            .to_owned(),
        ("removal" | "stage", _) => format!("[[stage]]\ndo = \"{name}\"\n"),
        ("data", "text") => "[data]\nkind    = \"text\"\nsources = [\n  { path = \"english.txt\", class = \"en\" },\n  \
             { path = \"spanish/\", class = \"es\" },\n]\nforget  = { class = \"es\" }\nretain  = { class = \"en\" }\n"
            .to_owned(),
        ("data", "idx") => "[data]\nkind   = \"idx\"\nfolder = \"mnist\"\n".to_owned(),
        ("data", "cifar") => "[data]\nkind  = \"cifar\"\ntrain = [\"data_batch_1.bin\"]\n\
             test  = [\"test_batch.bin\"]\n"
            .to_owned(),
        ("data" | "model", _) => format!("[{kind}]\nkind = \"{name}\"\n"),
        ("optimiser", _) => format!("[train]\noptimiser = \"{name}\"\n"),
        ("tokenizer", "byte") => "[data]\nkind      = \"text\"\ntokenizer = { kind = \"byte\" }\n".to_owned(),
        ("tokenizer", "bpe") => {
            "[data]\nkind      = \"text\"\ntokenizer = { kind = \"bpe\", vocab = 2048 }\n".to_owned()
        }
        ("tokenizer", "file") => {
            "[data]\nkind      = \"text\"\ntokenizer = { kind = \"file\", path = \"tokenizer.json\" }\n".to_owned()
        }
        ("tokenizer", "gpt2") => "[data]\nkind      = \"text\"\n\
             tokenizer = { kind = \"gpt2\", vocab = \"vocab.json\", merges = \"merges.txt\" }\n"
            .to_owned(),
        _ => String::new(),
    }
}

/// A value that the key accepts, as TOML; `None` where nothing is known that would say more than its type.
pub fn value_of(found: &Found<'_>) -> Option<String> {
    let path = plain_path(found);
    let fits = |end: &str| path == end || path.ends_with(&format!(".{end}"));
    // A section of several lines is an example of nothing but itself.
    if let Some((_, section)) = VALUES.iter().find(|(end, value)| path == *end && value.contains('\n')) {
        return Some((*section).to_owned());
    }
    // `layers` is a number of a network and a list of an attack, `vocab` a number or a file.
    let kind = found.key.kind.as_str();
    let type_fits = |value: &str| match value.chars().next() {
        _ if value.contains('\n') => false,
        _ if kind.contains('|') => true,
        Some('[') => kind.starts_with("list"),
        Some('"') => kind == "text",
        Some('0'..='9') => kind.starts_with("integer") || kind.starts_with("number"),
        _ => true,
    };
    let longest = VALUES.iter().filter(|(end, value)| fits(end) && type_fits(value));
    let longest = longest.max_by_key(|(end, _)| end.len());
    longest.map(|(_, value)| (*value).to_owned()).or_else(|| value(found))
}

/// The dotted path without kinds.
fn plain_path(found: &Found<'_>) -> String {
    let mut names: Vec<&str> = found.way.iter().map(|s| s.key.name.as_str()).collect();
    names.push(&found.key.name);
    names.join(".")
}

fn value(found: &Found<'_>) -> Option<String> {
    let key = found.key;
    let default = key.default.as_deref().and_then(|d| serde_json::from_str::<Value>(d).ok());
    let default = default.filter(|d| !d.is_null());
    if let Some(c) = key.choices.iter().find(|c| c.is_table) {
        return Some(table(&found.way, Step { key, kind: Some(c) }, None));
    }
    // A word that is not the default says more.
    let other = |c: &&Choice| default.as_ref().and_then(Value::as_str) != Some(&c.name);
    if let Some(c) = key.choices.iter().find(other).or(key.choices.first()) {
        return Some(format!("{:?}", c.name));
    }
    match default {
        Some(Value::Bool(b)) => Some((!b).to_string()),
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::Array(list)) if list.is_empty() => None,
        Some(Value::Number(_)) => key.default.clone(),
        Some(other) if !other.is_object() => Some(toml_of(&other)),
        _ if key.kind == "true or false" => Some("true".into()),
        _ if !key.keys.is_empty() && key.kind == "table" => {
            Some(table(&found.way, Step { key, kind: None }, None))
        }
        _ => None,
    }
}

/// A table with the keys it must have, and one more; without any, with its first key.
fn table(way: &[Step<'_>], step: Step<'_>, more: Option<(&str, &str)>) -> String {
    let keys = step.kind.map_or(&step.key.keys, |c| &c.keys);
    let kind = step.kind.map(|c| format!("{} = {:?}", tag(&step.key.name), c.name));
    let mut parts: Vec<String> = kind.into_iter().collect();
    let way: Vec<Step<'_>> = way.iter().copied().chain([step]).collect();
    let entry =
        |key: &ParamDoc| Some(format!("{} = {}", key.name, value_of(&Found { way: way.clone(), key })?));
    let own = more.map(|(name, _)| name);
    parts.extend(keys.iter().filter(|k| k.required && Some(k.name.as_str()) != own).filter_map(entry));
    parts.extend(more.map(|(name, value)| format!("{name} = {value}")));
    if parts.is_empty() {
        parts.extend(keys.iter().find_map(entry));
    }
    if parts.is_empty() { "{}".into() } else { format!("{{ {} }}", parts.join(", ")) }
}

/// JSON as TOML; what has no place in TOML is left out.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().filter(|(_, v)| !v.is_null());
            let entries: Vec<String> = entries.map(|(k, v)| format!("{k} = {}", toml_of(v))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// Where a key stands in a recipe, with a value: a few lines of TOML.
pub fn example_of(found: &Found<'_>) -> Option<String> {
    let value = value_of(found)?;
    let Some((outer, inner)) = found.way.split_first() else {
        // The tables of a recipe are shown whole.
        let whole = value.starts_with('[') && value.contains('\n');
        return Some(if whole { format!("{value}\n") } else { format!("{} = {value}\n", found.key.name) });
    };
    // From the inside out: each table around the value is written in one line.
    let mut line = (found.key.name.clone(), value);
    for (depth, step) in inner.iter().enumerate().rev() {
        let text = around(&found.way[..=depth], *step, (&line.0, &line.1));
        line = (step.key.name.clone(), text);
    }
    let name = outer.kind.map_or("mine", |c| c.name.as_str());
    let mut out = match outer.key.name.as_str() {
        "stage" | "target" => format!("[[{}]]\n", outer.key.name),
        "arms" => format!("[arms.{name}]\n"),
        other => format!("[{other}]\n"),
    };
    for (key, value) in beside(outer, &line.0) {
        out += &format!("{key} = {value}\n");
    }
    Some(format!("{out}{} = {}\n", line.0, line.1))
}

/// What a table must have beside the key that is shown.
fn beside(outer: &Step<'_>, key: &str) -> Vec<(String, String)> {
    // A key that every kind has needs some kind beside it.
    let kind = outer.kind.map(|c| c.name.as_str()).or(match (outer.key.name.as_str(), key) {
        ("data" | "model", "kind") | ("arms", "method") | ("stage", "do") => None,
        ("data", _) => Some("bilingual"),
        ("arms", "from") => Some("npo"),
        ("arms", _) => Some("none"),
        ("stage", _) => Some("ablate"),
        _ => None,
    });
    let mut out: Vec<(String, String)> = Vec::new();
    if outer.key.name == "target" {
        // A step is one of a stage.
        let needed = |k: &&ParamDoc| (k.required || (key == "step" && k.name == "stage")) && k.name != key;
        let value = |k: &ParamDoc| Some((k.name.clone(), value_of(&Found { way: vec![*outer], key: k })?));
        out.extend(outer.key.keys.iter().filter(needed).filter_map(value));
    }
    out.extend(kind.map(|k| (tag(&outer.key.name).to_owned(), format!("{k:?}"))));
    if let Some(c) = outer.kind {
        if UNLEARN.iter().any(|e| e.about.name == c.name) {
            out.push(("from".into(), "\"baseline\"".into()));
        }
        if key == "inner" {
            out.push(("around".into(), "\"npo\"".into()));
        }
        if key == "with" {
            out.push(("how".into(), "\"scale\"".into()));
        }
        let needed = |k: &ParamDoc| k.required || NEEDS.contains(&(c.name.as_str(), k.name.as_str()));
        for k in c.keys.iter().filter(|k| needed(k) && k.name != key) {
            let value = value_of(&Found { way: vec![*outer], key: k });
            out.extend(value.map(|v| (k.name.clone(), v)));
        }
    }
    out
}

fn around(way: &[Step<'_>], step: Step<'_>, entry: (&str, &str)) -> String {
    let table = table(way, step, Some(entry));
    match step.key.kind.split(' ').next() {
        Some("list") => format!("[{table}]"),
        _ if step.key.name == "labels" && way.iter().any(|s| s.key.name == "data") => {
            format!("{{ spanish = {table} }}")
        }
        _ if step.key.name == "labels" => format!("{{ forget = {table} }}"),
        _ => table,
    }
}
