//! The nearest of all words for one that nobody knows.

use lobe_lab::words;

use crate::failure::refuse;

/// How many are offered.
const FEW: usize = 4;
/// Words less alike than this are not offered.
const ALIKE: f64 = 0.75;
/// How much less alike than the nearest one a word may be.
const WITHIN: f64 = 0.08;

/// An error that names the nearest few of all words, or says where to find them.
pub(crate) fn nearest_few(name: &str) -> anyhow::Error {
    let tree = words::recipe_keys();
    let mut all: Vec<String> = words::words().into_iter().map(|w| w.name).collect();
    let keys = words::every_key(&tree);
    match name.rsplit_once('.') {
        // Of a dotted key, the first part that exists says which keys there are.
        Some(_) => all = keys.iter().map(plain).collect(),
        None => all.extend(keys.iter().map(|f| f.key.name.clone())),
    }
    let mut scored: Vec<(f64, String)> = all.into_iter().map(|w| (score(name, &w), w)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    // Of a word that is hardly wrong, only those that are as near.
    let best = scored.first().map_or(0.0, |s| s.0);
    let near = scored.into_iter().filter(|s| s.0 >= ALIKE && s.0 >= best - WITHIN).take(FEW);
    let near: Vec<String> = near.map(|s| format!("{:?}", s.1)).collect();
    let hint = match near.as_slice() {
        [] => "`lobe list` shows all words, `lobe explain arms` the keys of an arm".to_owned(),
        [one] => format!("did you mean {one}?"),
        [rest @ .., last] => format!("did you mean {} or {last}?", rest.join(", ")),
    };
    refuse(format!("no word or key {name:?}; {hint}"))
}

/// How alike two words are; one that is part of the other counts as near.
fn score(name: &str, word: &str) -> f64 {
    let (name, word) = (name.to_lowercase().replace('-', "_"), word.to_lowercase().replace('-', "_"));
    let alike = strsim::jaro_winkler(&name, &word);
    let part = name.len() >= 3 && word.split(['_', '.']).any(|p| p == name);
    if part { alike.max(0.9) } else { alike }
}

/// The dotted path without kinds.
fn plain(found: &words::Found<'_>) -> String {
    let mut names: Vec<&str> = found.way.iter().map(|s| s.key.name.as_str()).collect();
    names.push(&found.key.name);
    names.join(".")
}
