//! The written form: the file, a preset and `--set` merged, nothing filled in yet.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::callbacks::Callbacks;
use super::check::one_of;
use super::error::{PathError, RecipeError};
use super::every::every;
use super::form::{Derived, Recipe};
use super::grid::expanded;
use super::merge::{merge, set};
use super::resolve::resolve;
use super::tree::{MAX_BYTES, Node, Origin, Tree, parse};

/// Keys a preset may override.
const PRESET_KEYS: [&str; 11] =
    ["about", "seeds", "scale", "data", "model", "regions", "arms", "train", "unlearn", "stage", "target"];

/// A recipe as somebody wrote it.
#[derive(Debug, Clone)]
pub struct Written {
    file: String,
    text: String,
    root: Node,
    presets: Vec<(String, Node)>,
}

impl Written {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read or is not TOML.
    pub fn load(path: &Path) -> Result<Written, RecipeError> {
        let file = path.display().to_string();
        let fail = |e: std::io::Error| RecipeError::file(&file, format!("cannot be read: {e}"));
        let mut bytes = Vec::new();
        // One byte more than allowed, so that an endless file is refused and not read.
        File::open(path).map_err(fail)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() > MAX_BYTES {
            return Err(RecipeError::file(&file, format!("larger than {MAX_BYTES} bytes")));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
            let line = String::from_utf8_lossy(valid).matches('\n').count() + 1;
            RecipeError { line: Some(line), ..RecipeError::file(&file, "not UTF-8 text") }
        })?;
        Written::from_str(&file, &text)
    }

    /// Parses text; `file` is the name that errors carry.
    ///
    /// # Errors
    /// If the text is not TOML.
    pub fn from_str(file: &str, text: &str) -> Result<Written, RecipeError> {
        let mut root = parse(file, text)?;
        let mut presets = Vec::new();
        if let Some(node) = root.get("presets") {
            let checked = node.entries(&["presets"]).and_then(|entries| {
                for (name, preset) in entries {
                    let path = ["presets", name.as_str()];
                    for (key, _) in preset.entries(&path)? {
                        if let Err(e) = one_of(key, "key", key, PRESET_KEYS.into_iter()) {
                            let message =
                                e.message.replacen(&format!("unknown key {key:?}"), "unknown key", 1);
                            return Err(PathError { message, ..e }.within(&path));
                        }
                    }
                }
                Ok(entries.to_vec())
            });
            presets = checked.map_err(|e| e.locate(file, &root))?;
        }
        if let Tree::Table(entries) = &mut root.tree {
            entries.retain(|(key, _)| key != "presets");
        }
        Ok(Written { file: file.to_owned(), text: text.to_owned(), root, presets })
    }

    /// The file's text, unchanged.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's name as errors carry it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Names of the presets, in the order of the file.
    pub fn presets(&self) -> Vec<&str> {
        self.presets.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Merges a preset over the recipe; `None` changes nothing.
    ///
    /// # Errors
    /// If there is no such preset, or it addresses a stage that does not exist.
    pub fn with_preset(mut self, preset: Option<&str>) -> Result<Written, RecipeError> {
        let Some(preset) = preset else { return Ok(self) };
        let Some((_, over)) = self.presets.iter().find(|(name, _)| name == preset) else {
            let names = self.presets.iter().map(|(name, _)| name.as_str());
            let message = match one_of("", "preset", preset, names) {
                Err(_) if self.presets.is_empty() => {
                    format!("unknown preset {preset:?}: the recipe has none")
                }
                Err(e) => e.message,
                Ok(()) => String::new(),
            };
            return Err(RecipeError::file(&self.file, message));
        };
        if let Err(e) = merge(&mut self.root, over) {
            let line = match over.origin(&e.path) {
                Origin::Line(line) => Some(line),
                _ => None,
            };
            let path = self.root.describe(&e.path);
            let path = format!("presets.{preset}.{path}");
            return Err(RecipeError { file: self.file, line, path, message: e.message, others: Vec::new() });
        }
        Ok(self)
    }

    /// Merges one `KEY=VALUE` over the recipe. The value is TOML; a bare word is text. A stage is
    /// addressed by its name: `stage.relearn.steps=100`.
    ///
    /// # Errors
    /// If the argument is not of that form, or addresses a stage that does not exist.
    pub fn with_set(mut self, argument: &str) -> Result<Written, RecipeError> {
        match set(&mut self.root, argument) {
            Ok(()) => Ok(self),
            Err(e) => {
                let path = self.root.describe(&e.path);
                let file = format!("--set {argument}");
                Err(RecipeError { file, line: None, path, message: e.message, others: Vec::new() })
            }
        }
    }

    /// Adds file and line to an error that was found after resolving.
    pub fn locate(&self, error: PathError) -> RecipeError {
        match expanded(&self.root) {
            Ok(root) => error.locate(&self.file, &root),
            Err(_) => error.locate(&self.file, &self.root),
        }
    }

    /// Checks everything and fills in every default.
    ///
    /// # Errors
    /// What is wrong, with its line, and what else is wrong that does not depend on it.
    pub fn resolve(&self, callbacks: &Callbacks) -> Result<(Recipe, Vec<Derived>), RecipeError> {
        let root = expanded(&self.root).map_err(|e| e.locate(&self.file, &self.root))?;
        let resolved = resolve(&root, callbacks).map_err(|e| self.with_others(&root, e, callbacks))?;
        let bytes = resolved.0.to_toml().len();
        if bytes > MAX_BYTES {
            let message = format!("resolves to {bytes} bytes; a recipe has at most {MAX_BYTES}");
            return Err(RecipeError::file(&self.file, message));
        }
        Ok(resolved)
    }

    /// The error that resolving met, and those that other tables have on their own, in the order of the file.
    fn with_others(&self, root: &Node, first: PathError, callbacks: &Callbacks) -> RecipeError {
        let mut all = every(root, callbacks);
        if !all.contains(&first) {
            all.push(first);
        }
        let mut all: Vec<RecipeError> = all.into_iter().map(|e| e.locate(&self.file, root)).collect();
        all.sort_by_key(|e| (e.line.unwrap_or(usize::MAX), e.path.clone()));
        // What is wrong with a family is wrong with all its arms.
        let mut seen = Vec::new();
        all.retain(|e| {
            let new = e.line.is_none() || !seen.contains(&(e.line, e.message.clone()));
            seen.push((e.line, e.message.clone()));
            new
        });
        let mut all = all.into_iter();
        let first = all.next().unwrap_or_else(|| RecipeError::file(&self.file, "cannot be resolved"));
        RecipeError { others: all.collect(), ..first }
    }

    /// Resolves the recipe under each of its presets, so that a preset nobody uses today is
    /// right, too.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn check_presets(&self, callbacks: &Callbacks) -> Result<(), RecipeError> {
        for name in self.presets() {
            self.clone().with_preset(Some(name))?.resolve(callbacks)?;
        }
        Ok(())
    }
}
