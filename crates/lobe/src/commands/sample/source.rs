//! Where the model comes from: a run directory, or a file.

use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use lobe_core::{Region, Selection, SiteInfo};
use lobe_data::Tokenizer;
use lobe_engine::Buf;
use lobe_lab::recipe::Written;
use lobe_nets::Gpt;
use lobe_nets::hub::{self, Imported};

use crate::failure::{refuse, unknown};
use crate::{out, run_dir};

/// A language model, ready to speak.
pub(super) struct Model {
    pub name: String,
    pub net: Gpt,
    pub params: Buf,
    pub tokenizer: Tokenizer,
    /// Named regions of the run's recipe.
    regions: Vec<(String, String)>,
}

impl Model {
    /// A named region, or one written out.
    pub(super) fn region(&self, text: &str) -> Result<Selection> {
        region(&self.regions, self.net.layout.sites(), text)
    }
}

/// A region by its name in the recipe, or one written out.
pub(crate) fn region(regions: &[(String, String)], sites: &[SiteInfo], text: &str) -> Result<Selection> {
    let named = regions.iter().find(|(name, _)| name == text).map(|(_, r)| r.as_str());
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if named.is_none() && text.chars().all(word) && !sites.iter().any(|s| s.name == text) {
        return Err(unknown("region", text, regions.iter().map(|(n, _)| n.as_str())));
    }
    Ok(named.unwrap_or(text).parse::<Region>()?.resolve(sites)?)
}

/// A file inside of `dir`, wherever links lead.
pub(crate) fn inside(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    let root = dir.canonicalize().map_err(|e| refuse(format!("{e}: {}", dir.display())))?;
    let found = path.canonicalize().map_err(|e| refuse(format!("{e}: {}", path.display())))?;
    if !plain || !found.starts_with(&root) {
        return Err(refuse(format!("leads out of the run directory: {}", path.display())));
    }
    Ok(found)
}

/// The tokenizer.json in a model's folder.
pub(crate) fn tokenizer_beside(model: &Path) -> Result<PathBuf> {
    let folder = if model.is_dir() { Some(model) } else { model.parent() };
    let file = folder.map(|f| f.join("tokenizer.json")).filter(|f| f.is_file());
    file.ok_or_else(|| {
        refuse(format!("no tokenizer.json beside it; give --tokenizer FILE: {}", model.display()))
    })
}

/// A language model from outside; says on standard error what is not as its files say.
pub(crate) fn language_model(path: &Path) -> Result<(Gpt, Buf)> {
    let Imported { net, params, notes } = lobe_lab::plan::read_weights(path)?;
    let Some(net) = hub::transformer(&*net).cloned() else {
        return Err(refuse(format!("not a language model: {}", path.display())));
    };
    for note in notes {
        out::note(&format!("note: {note}: {}", path.display()));
    }
    Ok((net, params))
}

/// A model file and its tokenizer.
pub(super) fn of_file(file: &Path, tokenizer: &Path) -> Result<Model> {
    let (net, params) = language_model(file)?;
    let tokenizer = Tokenizer::open(tokenizer)?;
    if tokenizer.vocab_size() > net.config.vocab {
        let (t, n) = (tokenizer.vocab_size(), net.config.vocab);
        return Err(refuse(format!("the tokenizer has {t} tokens, the model {n}: {}", file.display())));
    }
    Ok(Model { name: file.display().to_string(), net, params, tokenizer, regions: Vec::new() })
}

/// A model of a run, not loaded yet.
pub(crate) struct Located {
    /// `sgtm, seed 0, after train`.
    pub name: String,
    /// Its weights.
    pub file: PathBuf,
    /// Named regions of the run's recipe, with their text.
    pub regions: Vec<(String, String)>,
}

/// The model of (arm, seed, stage) of a run.
pub(super) fn of_run(dir: &Path, arm: Option<&str>, seed: Option<u64>, stage: Option<&str>) -> Result<Model> {
    let found = locate(dir, arm, seed, stage)?;
    let mut model = of_file(&found.file, &inside(dir, "tokenizer.json")?)?;
    (model.name, model.regions) = (found.name, found.regions);
    Ok(model)
}

/// Finds the model of (arm, seed, stage) of a run; without a name, the first of each.
pub(crate) fn locate(
    dir: &Path,
    arm: Option<&str>,
    seed: Option<u64>,
    stage: Option<&str>,
) -> Result<Located> {
    let run = run_dir::open(dir)?;
    let m = &run.manifest;
    let arms = || m.arms.iter().map(|a| a.name.as_str());
    let pick = |what: &str, given: Option<&str>, all: &mut dyn Iterator<Item = String>| -> Result<String> {
        let all: Vec<String> = all.collect();
        match given {
            None => all
                .first()
                .cloned()
                .ok_or_else(|| refuse(format!("the run has no {what}: {}", dir.display()))),
            Some(name) if all.iter().any(|a| a == name) => Ok(name.to_owned()),
            Some(name) => Err(unknown(what, name, all.iter().map(String::as_str))),
        }
    };
    let arm = pick("arm", arm, &mut arms().map(String::from))?;
    let seed = seed.map(|s| s.to_string());
    let seed = pick("seed", seed.as_deref(), &mut m.seeds.iter().map(ToString::to_string))?;
    let file = |stage: &str| format!("stages/{stage}/{arm}.{seed}/model.safetensors");
    let made = m.stages.iter().map(|s| s.name.clone()).filter(|s| inside(dir, &file(s)).is_ok());
    let stage = pick("stage with a model of this arm and seed", stage, &mut made.into_iter())?;
    let resolved = Written::load(&inside(dir, "resolved.toml")?)?;
    let (recipe, _) = resolved.resolve(&lobe_lab::schedule::permissive())?;
    Ok(Located {
        name: format!("{arm}, seed {seed}, after {stage}"),
        file: inside(dir, &file(&stage))?,
        regions: recipe.regions.into_iter().map(|r| (r.name, r.text)).collect(),
    })
}
