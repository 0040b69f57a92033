//! What no compiler checks: layers, sizes, dead paths, `unsafe`, paths of one machine, spelling.
//!
//! Every check is a function from texts to findings. ARCHITECTURE.md is the source of the rules:
//! its table of crates says which crates each may use, its table of dependencies says which
//! libraries there are.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::files::{TextFile, texts};
use crate::house;
use crate::markdown::{Place, mentions, table};
use crate::spelling;

/// Lines from which a file is worth a look, and from which it is refused.
const SOFT: usize = 400;
const HARD: usize = 800;

/// What tidy found.
pub(crate) struct Report {
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) summary: String,
}

/// All checks.
pub(crate) fn run(root: &Path) -> Result<Report> {
    let files = texts(root)?;
    let architecture = files.iter().find(|f| f.path == "ARCHITECTURE.md").context("no ARCHITECTURE.md")?;
    let mut errors = Vec::new();
    let mut manifests = Vec::new();
    for file in files.iter().filter(|f| f.path.ends_with("/Cargo.toml") && !f.path.starts_with("fuzz/")) {
        manifests.push(Manifest::parse(file)?);
    }
    errors.extend(layers(&architecture.text, &manifests));
    errors.extend(libraries(&architecture.text, &manifests));
    let (too_long, warnings, summary) = sizes(&files);
    errors.extend(too_long);
    let exists = |path: &str| root.join(path).exists();
    for page in files.iter().filter(|f| f.is("md")) {
        errors.extend(dead_paths(page, &exists));
    }
    errors.extend(files.iter().filter(|f| f.is("rs")).flat_map(unsafe_outside));
    errors.extend(files.iter().filter(|f| f.is("rs")).flat_map(writers));
    errors.extend(house::circles(&files));
    let kinds = kinds();
    errors.extend(files.iter().filter(|f| f.is("rs")).flat_map(|f| house::asks(f, &kinds)));
    errors.extend(files.iter().flat_map(machine_paths));
    errors.extend(files.iter().flat_map(spelling::american));
    Ok(Report { errors, warnings, summary })
}

/// The names of what a file may only know of itself.
fn kinds() -> Vec<String> {
    let of =
        |kind: &str| ["model", "data", "stage", "removal", "attack", "unlearning", "adapter"].contains(&kind);
    lobe_lab::words::words().into_iter().filter(|w| of(w.kind)).map(|w| w.name).collect()
}

/// What a crate depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Manifest {
    path: String,
    name: String,
    /// Ordinary and build dependencies.
    uses: Vec<String>,
    /// All dependencies, those of tests included.
    all: Vec<String>,
}

impl Manifest {
    fn parse(file: &TextFile) -> Result<Manifest> {
        let value: toml::Table = file.text.parse().with_context(|| file.path.clone())?;
        let keys = |table: &toml::Table, key: &str| -> Vec<String> {
            let found = table.get(key).and_then(toml::Value::as_table);
            found.into_iter().flat_map(|t| t.keys().cloned()).collect()
        };
        let mut tables = vec![&value];
        let targets = value.get("target").and_then(toml::Value::as_table);
        tables.extend(targets.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table));
        let gather = |kinds: &[&str]| -> Vec<String> {
            let mut out: Vec<String> =
                tables.iter().flat_map(|t| kinds.iter().flat_map(|k| keys(t, k))).collect();
            out.sort();
            out.dedup();
            out
        };
        let name = value.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str);
        Ok(Manifest {
            path: file.path.clone(),
            name: name.unwrap_or_default().to_owned(),
            uses: gather(&["dependencies", "build-dependencies"]),
            all: gather(&["dependencies", "build-dependencies", "dev-dependencies"]),
        })
    }
}

fn is_own(name: &str) -> bool {
    name == "lobe" || name.starts_with("lobe-")
}

/// Every crate stands in ARCHITECTURE.md's table and uses only the crates that its row allows,
/// and no row allows a crate that stands below it.
fn layers(architecture: &str, manifests: &[Manifest]) -> Vec<String> {
    let rows = table(architecture, "crate");
    let allowed = |row: &[String]| -> Vec<String> {
        let cell = row.get(2).map_or("", String::as_str);
        cell.split([',', ' ']).filter(|w| is_own(w)).map(str::to_owned).collect()
    };
    let mut out = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        if !manifests.iter().any(|m| m.name == row[0]) {
            out.push(format!(
                "ARCHITECTURE.md: {} is in the table of crates, but there is no such crate",
                row[0]
            ));
        }
        for name in allowed(row) {
            if !rows[..i].iter().any(|r| r[0] == name) {
                out.push(format!(
                    "ARCHITECTURE.md: {} may not use {name}, which does not stand above it",
                    row[0]
                ));
            }
        }
    }
    for m in manifests.iter().filter(|m| is_own(&m.name)) {
        let Some(row) = rows.iter().find(|r| r[0] == m.name) else {
            out.push(format!("{}: {} is missing in ARCHITECTURE.md's table of crates", m.path, m.name));
            continue;
        };
        let allowed = allowed(row);
        for used in m.uses.iter().filter(|u| is_own(u) && !allowed.contains(u)) {
            out.push(format!(
                "{}: {} must not use {used}; ARCHITECTURE.md allows {allowed:?}",
                m.path, m.name
            ));
        }
    }
    out
}

/// Every library in use is explained in ARCHITECTURE.md, and no other is.
fn libraries(architecture: &str, manifests: &[Manifest]) -> Vec<String> {
    let rows = table(architecture, "library");
    let named: Vec<&str> =
        rows.iter().flat_map(|r| r[0].split([',', ' ']).filter(|w| !w.is_empty())).collect();
    let mut out = Vec::new();
    for m in manifests {
        for used in m.all.iter().filter(|u| !is_own(u) && !named.contains(&u.as_str())) {
            out.push(format!("{}: {used} is missing in ARCHITECTURE.md's table of libraries", m.path));
        }
    }
    for name in named {
        if !manifests.iter().any(|m| m.all.iter().any(|u| u == name)) {
            out.push(format!("ARCHITECTURE.md: no crate uses the library {name}"));
        }
    }
    out
}

/// Files that are too long, files that get long, and a line about all.
fn sizes(files: &[TextFile]) -> (Vec<String>, Vec<String>, String) {
    let mut sized: Vec<(usize, &str)> =
        files.iter().filter(|f| f.is("rs")).map(|f| (f.text.lines().count(), f.path.as_str())).collect();
    sized.sort_unstable();
    let line = |(n, path): &(usize, &str)| format!("{path}: {n} lines; at most {HARD}, better {SOFT}");
    let errors = sized.iter().filter(|(n, _)| *n > HARD).map(line).collect();
    let warnings = sized.iter().filter(|(n, _)| (SOFT + 1..=HARD).contains(n)).map(line).collect();
    let total: usize = sized.iter().map(|(n, _)| n).sum();
    let median = sized.get(sized.len() / 2).map_or(0, |(n, _)| *n);
    let longest = sized.last().map_or(0, |(n, _)| *n);
    (
        errors,
        warnings,
        format!("{} source files, {total} lines, median {median}, longest {longest}", sized.len()),
    )
}

/// Endings that make a word with a slash a path, wherever it starts.
const ENDINGS: [&str; 8] = [".rs", ".md", ".toml", ".py", ".sh", ".json", ".svg", ".txt"];
/// Directories of the repository: a word that starts with one is a path. Their bare names are not:
/// an empty one is not in a clone.
const TREES: [&str; 10] =
    [".ci/", "crates/", "dev/", "docs/", "examples/", "fuzz/", "recipes/", "records/", "xtask/", ".github/"];

/// What commands make, and git ignores.
const MADE: [&str; 3] = ["fuzz/corpus", "fuzz/artifacts", "fuzz/target"];

/// Paths on a page that lead nowhere.
fn dead_paths(page: &TextFile, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let folder = page.path.rsplit_once('/').map_or("", |(f, _)| f);
    let mut out = Vec::new();
    for m in mentions(&page.text) {
        // An ending full stop, a line number and an anchor are not part of a path.
        let path = m.text.split('#').next().unwrap_or_default();
        let path = path.trim_end_matches(['.', ',', ';', ')']).trim_start_matches('(');
        let path = path.split_once(".rs:").map_or(path.to_owned(), |(p, _)| format!("{p}.rs"));
        let outside = path.contains("://") || path.starts_with("mailto:") || path.starts_with('/');
        let pattern = path.contains(['*', '<', '>', '{', '}', '…', '$', '=', '|', '"', '\'', '\\', ':']);
        let made = MADE.iter().any(|m| path.starts_with(m)) || TREES.contains(&path.as_str());
        if path.is_empty() || outside || pattern || made {
            continue;
        }
        let in_tree = TREES.iter().any(|t| path.starts_with(t));
        let is_path = match m.place {
            Place::Link => true,
            Place::Code => in_tree || path.contains('/') && ENDINGS.iter().any(|e| path.ends_with(e)),
            Place::Fence => in_tree,
        };
        let beside = normal(&format!("{folder}/{path}"));
        let found = beside.is_some_and(|p| exists(&p)) || m.place != Place::Link && exists(&path);
        if is_path && !found {
            out.push(format!("{}:{}: no such file: {path}", page.path, m.line));
        }
    }
    out
}

/// `docs/../README.md` → `README.md`; `None` above the root.
fn normal(path: &str) -> Option<String> {
    let mut out: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(out.pop()?),
            name => out.push(name),
        }
    }
    Some(out.join("/"))
}

/// The files that may hold `unsafe` code; ARCHITECTURE.md gives their reasons.
const UNSAFE_FILES: [&str; 2] =
    ["crates/lobe-engine/src/kernels/cpu/gemm.rs", "crates/lobe-engine/src/optim/pass.rs"];

/// `unsafe` in any other file.
fn unsafe_outside(file: &TextFile) -> Vec<String> {
    if UNSAFE_FILES.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let mut out = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        let code = code_of(line);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        if words.clone().any(|w| w == "unsafe") || code.contains("(unsafe_code") {
            out.push(format!(
                "{}:{}: unsafe belongs into {} alone",
                file.path,
                i + 1,
                UNSAFE_FILES.join(" and ")
            ));
        }
    }
    out
}

/// Crates that may open a run for writing.
const WRITERS: [&str; 2] = ["crates/lobe-lab/", "crates/lobe-runs/"];

/// `RunDir` in any other crate: everybody else only reads runs.
fn writers(file: &TextFile) -> Vec<String> {
    if !file.path.starts_with("crates/") || WRITERS.iter().any(|w| file.path.starts_with(w)) {
        return Vec::new();
    }
    let names =
        |line: &str| code_of(line).split(|c: char| !c.is_alphanumeric() && c != '_').any(|w| w == "RunDir");
    let found = file.text.lines().enumerate().filter(|(_, line)| names(line));
    found.map(|(i, _)| format!("{}:{}: only lobe-lab writes runs (RunDir)", file.path, i + 1)).collect()
}

/// A line without its comment and without what stands in quotes. Text that spans lines is not
/// recognised, which errs towards a finding.
pub(crate) fn code_of(line: &str) -> String {
    let mut out = String::new();
    let (mut quoted, mut escaped, mut last) = (false, false, ' ');
    for c in line.chars() {
        match (quoted, c) {
            (true, '"') if !escaped => quoted = false,
            (true, _) => escaped = c == '\\' && !escaped,
            (false, '"') if last != '\'' => quoted = true,
            (false, '/') if last == '/' => break,
            (false, _) => out.push(c),
        }
        last = c;
    }
    out
}

/// Starts of paths that exist on one machine only. In two parts, so that this file has none.
const MACHINES: [[&str; 2]; 4] = [["/ho", "me/"], ["/wo", "rk/"], ["/ro", "ot/"], ["/Us", "ers/"]];

/// Paths of the machine somebody happened to work on.
fn machine_paths(file: &TextFile) -> Vec<String> {
    let mut out = Vec::new();
    for (i, line) in file.text.lines().enumerate() {
        for start in MACHINES.map(|m| m.concat()) {
            // Only at the start of a path: `a/work/b` is a path of somebody's own.
            let at_start =
                |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-*<>}~/".contains(c));
            if line.match_indices(&start).any(|(at, _)| at_start(at)) {
                out.push(format!("{}:{}: a path of one machine: {start}", file.path, i + 1));
            }
        }
    }
    out
}

#[cfg(test)]
#[path = "tidy_tests.rs"]
mod tests;
