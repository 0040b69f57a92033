//! The order of the house: modules of a crate use each other one way, and no file asks by name which network, source
//! of data or stage it has.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::TextFile;
use crate::tidy::code_of;

/// Circles that stand: an operation adds itself to the tape, and the tape runs the operations.
const CIRCLES: [(&str, &[&str]); 1] = [("lobe-engine", &["ops", "tape"])];

/// Which modules at the top of a crate use which, with one place each.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Circles among the modules at the top of each crate.
pub(crate) fn circles(files: &[TextFile]) -> Vec<String> {
    let mut crates: BTreeMap<&str, Uses> = BTreeMap::new();
    let tests = |f: &&TextFile| f.path.ends_with("/tests.rs") || f.path.ends_with("_tests.rs");
    for file in files.iter().filter(|f| f.is("rs") && !tests(f)) {
        let Some((name, inside)) = inside(&file.path) else { continue };
        let Some((module, depth)) = module(inside) else { continue };
        let own = crates.entry(name).or_default().entry(module.clone()).or_default();
        for (line, used) in used(&file.text, depth) {
            if used != module {
                own.entry(used).or_insert(format!("{}:{line}", file.path));
            }
        }
    }
    let mut out = Vec::new();
    for (name, uses) in &crates {
        // A name of the crate's first page is none of a module.
        let known = |m: &str| uses.contains_key(m);
        for circle in together(uses, &known) {
            let stands =
                CIRCLES.iter().any(|(c, all)| c == name && circle.iter().all(|m| all.contains(&m.as_str())));
            if stands {
                continue;
            }
            let edges = circle.iter().flat_map(|a| uses[a].iter().filter(|(b, _)| circle.contains(*b)));
            let places: Vec<String> = edges.map(|(used, place)| format!("{place} uses {used}")).collect();
            out.push(format!("{name}: modules in a circle: {}", places.join("; ")));
        }
    }
    out
}

/// `crates/NAME/src/REST` → NAME, REST.
fn inside(path: &str) -> Option<(&str, &str)> {
    let (name, rest) = path.strip_prefix("crates/")?.split_once('/')?;
    Some((name, rest.strip_prefix("src/")?))
}

/// The module at the top that a file belongs to, and how often `super` leads from it to the top.
fn module(inside: &str) -> Option<(String, usize)> {
    let mut parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    let top = (*parts.first()?).to_owned();
    (top != "lib" && top != "main").then_some((top, parts.len()))
}

/// The modules at the top that a text names, with the line; what stands behind `#[cfg(test)]` is not looked at.
fn used(text: &str, depth: usize) -> Vec<(usize, String)> {
    let starts = ["crate::".to_owned(), "super::".repeat(depth)];
    let mut out = Vec::new();
    let mut open: Option<usize> = None;
    for (i, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        let code = code_of(line);
        // `use crate::{` over several lines.
        if open.is_some() {
            out.extend(heads(&code, &mut open).into_iter().map(|m| (i + 1, m)));
            continue;
        }
        for start in &starts {
            for (at, _) in code.match_indices(start.as_str()) {
                if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                    continue;
                }
                let rest = &code[at + start.len()..];
                if let Some(rest) = rest.strip_prefix('{') {
                    open = Some(1);
                    out.extend(heads(rest, &mut open).into_iter().map(|m| (i + 1, m)));
                } else {
                    out.push((i + 1, word(rest)));
                }
            }
        }
    }
    out.retain(|(_, m)| !m.is_empty() && m != "self" && m != "super");
    out
}

/// The first words of the parts of `a::b, c::{d, e}, f}`; `open` counts the brackets, `None` once all are closed.
fn heads(text: &str, open: &mut Option<usize>) -> Vec<String> {
    let mut out = Vec::new();
    let mut first = true;
    for (at, c) in text.char_indices() {
        let Some(depth) = *open else { break };
        if first && depth == 1 && (c.is_alphanumeric() || c == '_') {
            out.push(word(&text[at..]));
            first = false;
        }
        match c {
            '{' => *open = Some(depth + 1),
            '}' => *open = depth.checked_sub(1).filter(|d| *d > 0),
            ',' if depth == 1 => first = true,
            _ => {}
        }
    }
    out
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Modules that reach each other, as sets of more than one.
fn together(uses: &Uses, known: &dyn Fn(&str) -> bool) -> Vec<BTreeSet<String>> {
    let reach = |from: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(m) = next.pop() {
            for used in uses[&m].keys().filter(|u| known(u)) {
                if seen.insert(used.clone()) {
                    next.push(used.clone());
                }
            }
        }
        seen
    };
    let all: BTreeMap<&String, BTreeSet<String>> = uses.keys().map(|m| (m, reach(m))).collect();
    let circle = |m: &&String| -> BTreeSet<String> {
        all[*m].iter().filter(|o| *o == *m || all[*o].contains(*m)).cloned().collect()
    };
    let circles: BTreeSet<BTreeSet<String>> = uses.keys().map(|m| circle(&m)).collect();
    circles.into_iter().filter(|c| c.len() > 1).collect()
}

/// Where names of kinds may be compared: lists of words that are checked against the registries, and what reads
/// runs of earlier versions.
const KNOWS: [&str; 3] =
    ["crates/lobe-lab/src/words/", "crates/lobe-lab/src/recipe/every.rs", "crates/lobe-runs/src/older.rs"];

/// Comparisons with the name of a network, a source of data or a stage: what a thing does is its own to say. A
/// file whose own name it is may know it.
pub(crate) fn asks(file: &TextFile, names: &[String]) -> Vec<String> {
    if !file.path.starts_with("crates/") || inside(&file.path).is_none() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break;
        }
        for name in names.iter().filter(|n| compares(line, n) && !is_of(&file.path, n)) {
            out.push(format!("{}:{}: asks whether something is {name:?}", file.path, i + 1));
        }
    }
    out
}

fn is_of(path: &str, name: &str) -> bool {
    KNOWS.iter().any(|k| path.starts_with(k)) || path.replace('_', "-").contains(&format!("/{name}"))
}

/// Whether a line compares something with a text or matches it.
fn compares(line: &str, text: &str) -> bool {
    let quoted = format!("{text:?}");
    line.split("//").next().unwrap_or_default().match_indices(&quoted).any(|(at, _)| {
        let before = line[..at].trim_end_matches([' ', '&', '(']);
        let after = line[at + quoted.len()..].trim_start_matches([' ', ')']);
        let before = before.ends_with("==") || before.ends_with("!=") || before.ends_with("| Some");
        before || ["==", "!=", "=>", "|"].iter().any(|o| after.starts_with(o)) && !after.starts_with("||")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile { path: path.into(), text: text.into() }
    }

    #[test]
    fn modules_go_one_way() {
        let one = [
            file("crates/x/src/lib.rs", "mod a;\nmod b;\npub use a::A;\nuse crate::b::B;"),
            file("crates/x/src/a.rs", "use crate::b::B;\nuse crate::Nowhere;"),
            file("crates/x/src/b/mod.rs", "use self::c::C; // crate::a\nlet text = \"crate::a\";"),
            file(
                "crates/x/src/b/c.rs",
                "use super::B;\nuse super::super::Nowhere;\n#[cfg(test)]\nuse crate::a::A;",
            ),
        ];
        assert!(circles(&one).is_empty(), "{:?}", circles(&one));

        for back in [
            "use super::super::a::A;",
            "use crate::a::A;",
            "fn f() -> crate::a::A {}",
            "use crate::{\n    Nowhere::{d, e},\n    a::{A},\n};",
        ] {
            let mut two = one.clone();
            two[3] = file("crates/x/src/b/c.rs", back);
            let found = circles(&two);
            assert!(found.len() == 1 && found[0].contains("crates/x/src/b/c.rs"), "{back}: {found:?}");
        }
    }

    #[test]
    fn a_circle_over_three_modules_is_one() {
        let files = [
            file("crates/x/src/a.rs", "use crate::b;"),
            file("crates/x/src/b.rs", "use crate::c;"),
            file("crates/x/src/c.rs", "use super::a;"),
            file("crates/x/src/d.rs", "use super::a;"),
        ];
        let found = circles(&files);
        assert!(found.len() == 1 && !found[0].contains("d.rs"), "{found:?}");
    }

    #[test]
    fn nobody_asks_which_network_it_is() {
        let names = ["gpt".to_owned(), "train".to_owned()];
        for (line, finds) in [
            ("if model.kind == \"gpt\" {", 1),
            ("\"gpt\" | \"train\" => 1,", 2),
            ("    \"gpt\" => 1,", 1),
            ("if Some(\"gpt\") == kind {", 1),
            ("let name = \"gpt\";", 0),
            ("// kind == \"gpt\"", 0),
            ("f(\"gpt\") || g()", 0),
        ] {
            let found = asks(&file("crates/x/src/a.rs", line), &names);
            assert_eq!(found.len(), finds, "{line}: {found:?}");
        }
        assert!(asks(&file("crates/x/src/gpt/config.rs", "kind == \"gpt\""), &names).is_empty());
    }
}
