//! Writing a model's files all or not at all, and reading them back.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use lobe_engine::Buf;
use lobe_nets::hub::{self, Narrowed};
use lobe_nets::{Gpt, Net};

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

/// Writes the small model and, where there is one, its tokenizer.
pub(super) fn write(
    dir: &Path,
    small: &Narrowed,
    format: Option<hub::Format>,
    source: &Source,
) -> Result<()> {
    let put = |name: &str, bytes: &[u8]| {
        fs::write(dir.join(name), bytes).with_context(|| format!("{name} cannot be written"))
    };
    if let Some(format) = format {
        let files = hub::export(&small.net, &small.params, format)?;
        put("config.json", files.config.as_bytes())?;
        put("model.safetensors", &files.weights)?;
    } else {
        let bytes = lobe_nets::save(&Net::Gpt(small.net.clone()), &small.params, &[])?;
        put("model.safetensors", &bytes)?;
    }
    if let Some(from) = &source.tokenizer {
        fs::copy(from, dir.join("tokenizer.json")).context("tokenizer.json cannot be copied")?;
    }
    Ok(())
}

/// What the files hold.
pub(super) fn read_back(dir: &Path, format: Option<hub::Format>) -> Result<(Gpt, Buf)> {
    let (net, params) = if format.is_some() {
        hub::import(dir)?
    } else {
        let (net, params, _) = lobe_nets::load(&dir.join("model.safetensors"))?;
        (net, params)
    };
    match net {
        Net::Gpt(net) => Ok((net, params)),
        Net::Autoencoder(_) => bail!("what was written is not a language model"),
    }
}
