//! `lobe export`: a model with regions physically removed, checked against the masked one.

mod check;
mod files;
mod profile;
mod say;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, ValueEnum};
use lobe_data::{Marks, Tokenizer};
use lobe_engine::Buf;
use lobe_methods::remove::ablate;
use lobe_nets::{Gpt, hub};

use self::check::compare;
use self::files::{Partial, read_back, write};
use self::profile::removed;
use self::say::{facts, text};
use super::sample::source::{inside, language_model, locate, tokenizer_beside};
use crate::failure::refuse;
use crate::out;

/// Largest difference of a logit that passes, as a share of the largest logit (or of 1).
const TOLERANCE: f32 = 1e-5;
/// Longest file that is copied as it is.
const MOST_BESIDE: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").args(["profile", "without", "region"]),
    after_help = "Examples:
  lobe export runs/first --arm sgtm --out model                       the whole model
  lobe export runs/first --arm sgtm --profile core --out core         without any named region
  lobe export runs/first --arm sgtm --profile spanish+virology --out both
  lobe export runs/first --arm sgtm --without spanish --format lobe --out small
  lobe export model.safetensors --region 'blocks.*.mlp.post[-64..]' --out small

A profile names the regions of the recipe that are kept: `full` keeps all, `core` none, `a+b` those
two. A unit that belongs to a kept region is kept even if a removed region names it too. Every format
gives all blocks the same widths: where one block loses more units than another, cut units remain as
zeros, and the output says so. transformers opens GPT-2 and GPT-Neo files only with all heads, and
Llama files only if the number of heads divides the width, so cut heads remain as zeros where they
must. The folder also holds the tokenizer and the ids of its begin and end marks. After writing, Lobe
checks the folder against what transformers asks of such files, reads it back, and compares the
logits of random tokens with those of the model whose regions are set to zero. The largest difference
may be 1e-5 of the largest logit (of 1, if that is smaller). If the check fails, the exported files
are deleted."
)]
pub(crate) struct Args {
    /// A run directory, a .safetensors file of Lobe's, or the directory of a Hugging Face model
    source: PathBuf,
    /// Arm of the run [default: the first]
    #[arg(long)]
    arm: Option<String>,
    /// Seed of the run [default: the first]
    #[arg(long)]
    seed: Option<u64>,
    /// Stage that made the model [default: the first that made one]
    #[arg(long)]
    stage: Option<String>,
    /// Directory to write, new or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Regions of the recipe to keep: core, full, or names joined by +
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Regions of the recipe to remove
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    without: Vec<String>,
    /// A region to remove, as text, such as blocks.*.mlp.post[-64..]
    #[arg(long, value_name = "TEXT")]
    region: Option<String>,
    /// Format of the files [default: the Hugging Face one that can hold the model, else lobe]
    #[arg(long)]
    format: Option<Format>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Gpt2,
    GptNeo,
    Llama,
    Lobe,
}

impl Format {
    /// The Hugging Face family; `None` is Lobe's own file.
    fn hub(self) -> Option<hub::Format> {
        match self {
            Format::Gpt2 => Some(hub::Format::Gpt2),
            Format::GptNeo => Some(hub::Format::GptNeo),
            Format::Llama => Some(hub::Format::Llama),
            Format::Lobe => None,
        }
    }
}

struct Source {
    name: String,
    net: Gpt,
    params: Buf,
    regions: Vec<(String, String)>,
    /// Its tokenizer's file, and what is in it.
    tokenizer: Option<(PathBuf, Tokenizer)>,
}

impl Source {
    /// What begins and ends its texts.
    fn marks(&self) -> Option<Marks> {
        self.tokenizer.as_ref().and_then(|(_, t)| t.marks())
    }

    /// A small file beside its tokenizer.
    fn beside(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.tokenizer.as_ref()?.0.with_file_name(name);
        fs::metadata(&file).ok().filter(|m| m.is_file() && m.len() <= MOST_BESIDE)?;
        fs::read(file).ok()
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let source = open(args)?;
    let net = &source.net;
    let cut = removed(args, &source)?;
    let fitting = hub::Format::of(&net.config);
    let format = match args.format {
        Some(f) => f.hub(),
        None => fitting.as_ref().ok().copied(),
    };
    if let Some(f) = format {
        // What the format cannot hold is refused before anything is computed.
        hub::exportable(f, &net.config)?;
    }
    let small = hub::narrow(net, &source.params, &cut, format)?;
    let mut masked = source.params.clone();
    ablate::zero(&net.layout, &mut masked, &cut);

    let place = Partial::new(&args.out)?;
    write(&place.path, &small, format, &source)?;
    if format.is_some() {
        hub::opens(&place.path)?;
    }
    let (again, read) = read_back(&place.path, format)?;
    let (difference, largest) = compare(&again, &read, net, &masked)?;
    // A difference that is not a number fails, too.
    if difference > TOLERANCE || difference.is_nan() {
        bail!(
            "the written model is not the masked one: logits differ by {difference:.1e} of the largest, \
             {largest:.3}; at most {TOLERANCE:.0e} is allowed; nothing was written"
        );
    }
    let facts = facts(&source, &cut, &small, format, (difference, largest));
    fs::write(place.path.join("export.json"), format!("{facts:#}\n")).context("export.json")?;
    place.keep()?;
    if let (None, Err(e)) = (args.format, &fitting) {
        out::note(&format!("note: written as lobe, because no Hugging Face format holds this model: {e}"));
    }
    if args.json {
        return Ok(out::json(&facts)?);
    }
    Ok(out::print(&text(&source, args, &cut, &small, format, (difference, largest)))?)
}

fn open(args: &Args) -> Result<Source> {
    let path = &args.source;
    let run = path.join("manifest.json").exists();
    if !run && (args.arm.is_some() || args.seed.is_some() || args.stage.is_some()) {
        return Err(refuse(format!("--arm, --seed and --stage are of a run, not of {}", path.display())));
    }
    let (name, net, params, regions, tokenizer) = if run {
        let found = locate(path, args.arm.as_deref(), args.seed, args.stage.as_deref())?;
        let (net, params) = language_model(&found.file)?;
        (found.name, net, params, found.regions, inside(path, "tokenizer.json").ok())
    } else {
        let (net, params) = language_model(path)?;
        (path.display().to_string(), net, params, Vec::new(), tokenizer_beside(path).ok())
    };
    let open = |file: PathBuf| Tokenizer::open(&file).map(|t| (file, t));
    let tokenizer = tokenizer.map(open).transpose()?;
    Ok(Source { name, net, params, regions, tokenizer })
}
