//! The text files below a folder, and what is left out of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{DataError, Result, setting};

/// Deepest folder that is searched.
const MAX_DEPTH: usize = 16;
/// Most files and folders that are looked at.
const MAX_ENTRIES: usize = 1 << 21;
/// Endings of files taken from a folder, before `.gz`.
const ENDINGS: [&str; 7] = ["txt", "text", "md", "jsonl", "ndjson", "json", "tsv"];
/// Most endings that are named one by one among what is left out.
const NAMED: usize = 4;

/// What a search found.
#[derive(Debug)]
pub(super) struct Found {
    /// Text files in the order of their names, as the recipe would name them.
    pub(super) files: Vec<String>,
    /// What is left out, with counts; empty if nothing is.
    pub(super) left_out: String,
    /// Links to folders that were followed.
    pub(super) followed: usize,
}

impl Found {
    /// What a reader of the results should know of the folder `given`.
    pub(super) fn notes(&self, given: &str) -> Vec<String> {
        let mut out = Vec::new();
        if self.followed > 0 {
            let (links, s) = (self.followed, if self.followed == 1 { "" } else { "s" });
            out.push(format!("{links} link{s} to folders followed: {given}"));
        }
        if !self.left_out.is_empty() {
            out.push(format!("left out of the folder: {}: {given}", self.left_out));
        }
        out
    }
}

/// Looks for text files below `given`, which is resolved against `dir`.
///
/// Hidden files and folders are no data. A link to a folder is followed after everything that really stands
/// there, and a folder or file is read once, however many names it has: a loop of links ends. A link to a
/// folder that holds the named one (at worst the root of the disk) is not followed, nor is one that leads
/// into a hidden folder elsewhere.
pub(super) fn search(dir: &Path, given: &str) -> Result<Found> {
    let refused = |reason| DataError::Read { what: "folder", reason, path: given.into() };
    let root = fs::canonicalize(dir.join(given)).map_err(refused)?;
    let mut walk = Walk::new(dir, &root, given);
    walk.folder(given, &root, 0)?;
    while let Some(link) = walk.links.pop_front() {
        if root.starts_with(&link.real) {
            walk.leave_out("links that lead back");
        } else if walk.folders.contains(&link.real) {
            walk.leave_out("links to folders that are read anyway");
        } else {
            walk.followed += 1;
            walk.folder(&link.name, &link.real, link.depth)?;
        }
    }
    let mut real: BTreeSet<&Path> = walk.files.iter().filter(|f| !f.linked).map(|f| &*f.real).collect();
    let mut files: Vec<&str> = Vec::new();
    let mut twice = 0;
    for f in &walk.files {
        if !f.linked || real.insert(&f.real) {
            files.push(&f.name);
        } else {
            twice += 1;
        }
    }
    files.sort_unstable_by(|a, b| a.split('/').cmp(b.split('/')));
    let files = files.into_iter().map(String::from).collect();
    if twice > 0 {
        walk.left_out.insert("links to files that are read anyway", twice);
    }
    Ok(Found { files, left_out: walk.summary(), followed: walk.followed })
}

struct TextFile {
    name: String,
    real: PathBuf,
    linked: bool,
}

/// A link to a folder.
struct Link {
    name: String,
    real: PathBuf,
    depth: usize,
}

struct Walk<'a> {
    dir: &'a Path,
    root: &'a Path,
    given: &'a str,
    files: Vec<TextFile>,
    /// Where the folders that were read really are.
    folders: BTreeSet<PathBuf>,
    links: VecDeque<Link>,
    entries: usize,
    followed: usize,
    left_out: BTreeMap<&'static str, usize>,
    endings: BTreeMap<String, usize>,
}

impl<'a> Walk<'a> {
    fn new(dir: &'a Path, root: &'a Path, given: &'a str) -> Walk<'a> {
        Walk {
            dir,
            root,
            given,
            files: Vec::new(),
            folders: BTreeSet::new(),
            links: VecDeque::new(),
            entries: 0,
            followed: 0,
            left_out: BTreeMap::new(),
            endings: BTreeMap::new(),
        }
    }

    fn folder(&mut self, name: &str, real: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            self.leave_out("folders more than 16 deep");
            return Ok(());
        }
        if !self.folders.insert(real.to_owned()) {
            return Ok(());
        }
        let refused = |reason| DataError::Read { what: "folder", reason, path: name.into() };
        let mut entries = Vec::new();
        for entry in fs::read_dir(self.dir.join(name)).map_err(refused)? {
            let entry = entry.map_err(refused)?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return setting(format!("more than {MAX_ENTRIES} files in the folder: {}", self.given));
            }
            match entry.file_name().into_string() {
                Ok(own) => entries.push((own, entry.file_type().map_err(refused)?)),
                Err(_) => self.leave_out("names that are not UTF-8"),
            }
        }
        entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (own, kind) in entries {
            let path = format!("{}/{own}", name.trim_end_matches('/'));
            if own.starts_with('.') {
                self.leave_out("hidden");
            } else if kind.is_symlink() {
                self.link(path, &own, depth);
            } else if kind.is_dir() {
                self.folder(&path, &real.join(&own), depth + 1)?;
            } else if kind.is_file() {
                self.file(TextFile { name: path, real: real.join(&own), linked: false }, &own);
            } else {
                self.leave_out("neither files nor folders");
            }
        }
        Ok(())
    }

    fn link(&mut self, name: String, own: &str, depth: usize) {
        let at = self.dir.join(&name);
        let (Ok(real), Ok(target)) = (fs::canonicalize(&at), fs::metadata(&at)) else {
            return self.leave_out("links that lead nowhere");
        };
        if self.hidden(&real) {
            self.leave_out("hidden");
        } else if target.is_dir() {
            self.links.push_back(Link { name, real, depth: depth + 1 });
        } else if target.is_file() {
            self.file(TextFile { name, real, linked: true }, own);
        } else {
            self.leave_out("neither files nor folders");
        }
    }

    fn file(&mut self, file: TextFile, own: &str) {
        let lower = own.to_ascii_lowercase();
        let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
        match plain.rsplit_once('.') {
            Some((_, ending)) if ENDINGS.contains(&ending) => self.files.push(file),
            Some((_, ending)) => *self.endings.entry(format!(".{ending}")).or_default() += 1,
            None => self.leave_out("without an ending"),
        }
    }

    /// Whether a link leads into something hidden that does not hold the named folder as well.
    fn hidden(&self, real: &Path) -> bool {
        let shared = real.components().zip(self.root.components()).take_while(|(a, b)| a == b).count();
        real.components().skip(shared).any(|c| c.as_os_str().to_string_lossy().starts_with('.'))
    }

    fn leave_out(&mut self, what: &'static str) {
        *self.left_out.entry(what).or_default() += 1;
    }

    /// `.csv (1), hidden (2)`
    fn summary(&self) -> String {
        let mut endings: Vec<(&str, usize)> = self.endings.iter().map(|(e, n)| (e.as_str(), *n)).collect();
        endings.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let rest: usize = endings.iter().skip(NAMED).map(|(_, n)| n).sum();
        endings.truncate(NAMED);
        let mut parts: Vec<String> = endings.iter().map(|(e, n)| format!("{} ({n})", short(e))).collect();
        if rest > 0 {
            parts.push(format!("other endings ({rest})"));
        }
        parts.extend(self.left_out.iter().map(|(what, n)| format!("{what} ({n})")));
        parts.join(", ")
    }
}

/// An ending as it can stand in a line.
fn short(ending: &str) -> String {
    ending.chars().map(|c| if c.is_control() { '?' } else { c }).take(16).collect()
}
