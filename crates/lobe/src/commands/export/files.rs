//! Writing a model's files all or not at all, and reading them back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lobe_data::Tokenizer;
use lobe_engine::Buf;
use lobe_nets::Gpt;
use lobe_nets::hub::{self, Narrowed};
use serde_json::Value;

use super::Source;
use crate::failure::{refuse, unmade};

/// A directory under another name until it is complete; gone if it never is.
pub(super) struct Partial {
    pub(super) path: PathBuf,
    goal: PathBuf,
}

impl Partial {
    pub(super) fn new(goal: &Path) -> Result<Partial> {
        if let Ok(mut inside) = fs::read_dir(goal) {
            if inside.next().is_some() {
                return Err(refuse(format!("is there and not empty: {}", goal.display())));
            }
        } else if goal.symlink_metadata().is_ok() {
            return Err(refuse(format!("is there and no directory: {}", goal.display())));
        }
        let Some(name) = goal.file_name() else {
            return Err(refuse(format!("is no name for a directory: {}", goal.display())));
        };
        let name = format!(".{}.{}.partial", name.to_string_lossy(), std::process::id());
        let path = goal.with_file_name(name);
        fs::create_dir_all(&path).map_err(|e| unmade("cannot be made", goal, e))?;
        Ok(Partial { path, goal: goal.to_owned() })
    }

    pub(super) fn keep(self) -> Result<()> {
        // Only an empty directory goes.
        fs::remove_dir(&self.goal).ok();
        fs::rename(&self.path, &self.goal).with_context(|| format!("cannot be made: {}", self.goal.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.path).ok();
    }
}

/// Writes the small model and, where there is one, its tokenizer with the names of its marks.
pub(super) fn write(
    dir: &Path,
    small: &Narrowed,
    format: Option<hub::Format>,
    source: &Source,
) -> Result<()> {
    let fits = |id: u32| (id as usize) < small.net.config.vocab;
    let put = |name: &str, bytes: &[u8]| {
        fs::write(dir.join(name), bytes).with_context(|| format!("{name} cannot be written"))
    };
    if let Some(format) = format {
        let marks = source.marks().filter(|m| fits(m.begin.id) && fits(m.end.id));
        let marks = marks.map(|m| hub::Marks { begin: Some(m.begin.id), end: Some(m.end.id) });
        let files = hub::export(&small.net, &small.params, format, marks.unwrap_or_default())?;
        put("config.json", files.config.as_bytes())?;
        put("model.safetensors", &files.weights)?;
        match source.beside("generation_config.json").filter(|b| names_known_ids(b, small.net.config.vocab)) {
            Some(bytes) => put("generation_config.json", &bytes)?,
            None => files.generation.map_or(Ok(()), |text| put("generation_config.json", text.as_bytes()))?,
        }
    } else {
        let bytes = lobe_nets::save(&small.net, &small.params, &[])?;
        put("model.safetensors", &bytes)?;
    }
    let Some((from, tokenizer)) = &source.tokenizer else { return Ok(()) };
    match tokenizer {
        // Somebody's file stays as it is, to the byte.
        Tokenizer::Bpe(_) => {
            fs::copy(from, dir.join("tokenizer.json")).context("tokenizer.json cannot be copied")?;
        }
        _ => put("tokenizer.json", &tokenizer.to_json())?,
    }
    for name in ["special_tokens_map.json", "chat_template.jinja"] {
        source.beside(name).map_or(Ok(()), |bytes| put(name, &bytes))?;
    }
    let config = source.beside("tokenizer_config.json");
    put("tokenizer_config.json", &config.unwrap_or_else(|| tokenizer.config_json()))
}

/// Whether the marks that a `generation_config.json` names are ids of this vocabulary.
fn names_known_ids(bytes: &[u8], vocab: usize) -> bool {
    let Ok(Value::Object(map)) = serde_json::from_slice(bytes) else { return false };
    let known = |id: &Value| id.is_null() || id.as_u64().is_some_and(|id| id < vocab as u64);
    let all_known = |ids: &Value| ids.as_array().map_or_else(|| known(ids), |ids| ids.iter().all(known));
    ["bos_token_id", "eos_token_id", "pad_token_id"].iter().all(|key| map.get(*key).is_none_or(all_known))
}

/// What the files hold.
pub(super) fn read_back(dir: &Path, format: Option<hub::Format>) -> Result<(Gpt, Buf)> {
    let (net, params) = if format.is_some() {
        let read = hub::import(dir)?;
        (read.net, read.params)
    } else {
        let (net, params, _) = lobe_nets::load(&dir.join("model.safetensors"))?;
        (net, params)
    };
    match hub::transformer(&*net).cloned() {
        Some(net) => Ok((net, params)),
        None => bail!("what was written is not a language model"),
    }
}
