//! What a source of data is: settings in a recipe, from which a data set is loaded or generated.

use std::fmt::Debug;
use std::path::Path;

use lobe_core::Key;
use lobe_core::registry::{Listed, ParamDoc, ParamError, params_of, read};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::dataset::Dataset;
use crate::error::Result;

/// A source with its settings: a recipe's `[data]` table without the labels.
pub trait DataSource: Debug + Send + Sync {
    /// Loads or generates the data set; relative paths start at `dir`.
    ///
    /// # Errors
    /// If a setting makes no sense, or a file is missing or damaged.
    fn load(&self, dir: &Path, key: Key) -> Result<Dataset>;
}

/// A kind of source.
pub struct SourceEntry {
    /// The `kind` in a recipe.
    pub kind: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Whether it needs files.
    pub needs_files: bool,
    /// Its settings.
    pub params: fn() -> Vec<ParamDoc>,
    /// Reads it from a recipe; returns it and its settings with every default.
    pub build: fn(&Value) -> std::result::Result<(Box<dyn DataSource>, Value), ParamError>,
}

impl SourceEntry {
    /// A source that needs no files and whose settings are a `P`.
    pub const fn of<P>(kind: &'static str, summary: &'static str) -> SourceEntry
    where
        P: DataSource + Serialize + DeserializeOwned + JsonSchema + 'static,
    {
        let build = |v: &Value| read::<P>(v).map(|(p, full)| (Box::new(p) as Box<dyn DataSource>, full));
        SourceEntry { kind, summary, needs_files: false, params: params_of::<P>, build }
    }

    /// The same, from files.
    #[must_use]
    pub const fn from_files(self) -> SourceEntry {
        SourceEntry { needs_files: true, ..self }
    }
}

impl Listed for SourceEntry {
    fn name(&self) -> &'static str {
        self.kind
    }
}
