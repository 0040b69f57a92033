//! The list of sources: one line each.

use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::arithmetic::ArithmeticConfig;
use crate::bilingual::BilingualConfig;
use crate::dataset::Dataset;
use crate::error::Result;
use crate::features::FeaturesConfig;
use crate::images::{CifarConfig, GlyphsConfig, IdxConfig};
use crate::text::TextConfig;

/// A source with its settings, as a recipe's `[data]` table without the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum DataConfig {
    /// Short stories in English and Spanish from one world of facts.
    Bilingual(BilingualConfig),
    /// Sums, differences, products and quotients, as equations and word problems.
    Arithmetic(ArithmeticConfig),
    /// Text files.
    Text(TextConfig),
    /// Generated digits.
    Glyphs(GlyphsConfig),
    /// Images in the IDX layout (MNIST).
    Idx(IdxConfig),
    /// Images in the CIFAR binary layout.
    Cifar(CifarConfig),
    /// Rows of numbers most of which are zero, drawn when they are asked for.
    Features(FeaturesConfig),
}

/// What `lobe list` shows of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceInfo {
    /// The `kind` in a recipe.
    pub kind: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Whether it needs files.
    pub needs_files: bool,
}

/// All sources.
pub const SOURCES: [SourceInfo; 7] = [
    SourceInfo {
        kind: "bilingual",
        summary: "stories in English and Spanish from one world of facts",
        needs_files: false,
    },
    SourceInfo {
        kind: "arithmetic",
        summary: "sums, differences, products and quotients, as equations and word problems",
        needs_files: false,
    },
    SourceInfo {
        kind: "text",
        summary: "text, JSON or tab-separated files and folders of them, one class per source",
        needs_files: true,
    },
    SourceInfo {
        kind: "glyphs",
        summary: "generated digits, 28 by 28, that look drawn by hand",
        needs_files: false,
    },
    SourceInfo { kind: "idx", summary: "images in the IDX layout of MNIST", needs_files: true },
    SourceInfo {
        kind: "cifar",
        summary: "images in the CIFAR-10 or CIFAR-100 binary layout",
        needs_files: true,
    },
    SourceInfo {
        kind: "features",
        summary: "rows of numbers most of which are zero, drawn when they are asked for",
        needs_files: false,
    },
];

impl DataConfig {
    /// Loads or generates the data set; relative paths start at `dir`.
    ///
    /// # Errors
    /// As the source's own `load`.
    pub fn load(&self, dir: &Path, key: Key) -> Result<Dataset> {
        match self {
            DataConfig::Bilingual(c) => c.load(key),
            DataConfig::Arithmetic(c) => c.load(key),
            DataConfig::Text(c) => c.load(dir, key),
            DataConfig::Glyphs(c) => c.load(key),
            DataConfig::Idx(c) => c.load(dir),
            DataConfig::Cifar(c) => c.load(dir),
            DataConfig::Features(c) => c.load(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_source_is_a_kind_and_wrong_settings_are_refused() {
        let schema = schemars::schema_for!(DataConfig).to_value().to_string();
        for s in SOURCES {
            assert!(schema.contains(&format!("\"{}\"", s.kind)), "{}", s.kind);
        }
        let parse = serde_json::from_str::<DataConfig>;
        let default = DataConfig::Bilingual(BilingualConfig::default());
        assert_eq!(parse(r#"{"kind": "bilingual"}"#).unwrap(), default);
        assert!(parse(r#"{"kind": "bilingual", "storys": 3}"#).unwrap_err().to_string().contains("storys"));
        assert!(parse(r#"{"kind": "tekst"}"#).is_err());
        let text = parse(
            r#"{"kind": "text", "sources": [{"path": "a.txt"}], "tokenizer": {"kind": "bpe", "vocab": 300}}"#,
        );
        assert!(matches!(text.unwrap(), DataConfig::Text(_)));
    }
}
