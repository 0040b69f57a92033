//! The arguments that name a recipe, and the recipe they lead to.

use std::path::PathBuf;

use anyhow::Result;
use lobe_lab::recipe::{Derived, Recipe, Written};
use lobe_lab::schedule;

use crate::failure::refuse;

/// Which recipe, and the changes to it.
#[derive(Debug, clap::Args)]
pub(crate) struct RecipeArgs {
    /// Recipe, a TOML file
    pub(crate) recipe: PathBuf,
    /// Apply one of the recipe's presets
    #[arg(long)]
    pub(crate) preset: Option<String>,
    /// Set one value; can be repeated (train.steps=500, stage.relearn.lrs=[1e-3])
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Number of seeds, or a list of seeds (3 or 0,7)
    #[arg(long)]
    pub(crate) seeds: Option<String>,
}

/// A recipe in its two forms.
pub(crate) struct Loaded {
    pub(crate) written: Written,
    pub(crate) recipe: Recipe,
    pub(crate) derived: Vec<Derived>,
}

impl RecipeArgs {
    /// Reads the file, applies preset and changes, and resolves.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let written = self.written(self.preset.as_deref())?;
        let (recipe, derived) = schedule::resolve(&written)?;
        Ok(Loaded { written, recipe, derived })
    }

    /// The same under another preset.
    pub(crate) fn written(&self, preset: Option<&str>) -> Result<Written> {
        let mut written = Written::load(&self.recipe)?.with_preset(preset)?;
        for change in &self.set {
            written = written.with_set(change)?;
        }
        if let Some(seeds) = &self.seeds {
            written = written.with_set(&format!("seeds={}", toml_seeds(seeds)?))?;
        }
        Ok(written)
    }
}

/// `3` is a number of seeds; `0,7` and `7,` are lists.
pub(crate) fn toml_seeds(text: &str) -> Result<String> {
    let wrong = || refuse(format!("--seeds {text}: expected a number of seeds or a list such as 0,7"));
    let list = text.contains(',');
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let parts = parts.strip_suffix(&[""]).unwrap_or(&parts);
    if parts.is_empty() || parts.iter().any(|p| p.parse::<u64>().is_err()) {
        return Err(wrong());
    }
    Ok(if list { format!("[{}]", parts.join(", ")) } else { parts[0].to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_list() {
        let of = |t| toml_seeds(t).ok();
        assert_eq!(of("3").as_deref(), Some("3"));
        assert_eq!(of("0, 7").as_deref(), Some("[0, 7]"));
        assert_eq!(of("7,").as_deref(), Some("[7]"));
        for bad in ["", ",", "x", "1,,2", "-1", "3]"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
