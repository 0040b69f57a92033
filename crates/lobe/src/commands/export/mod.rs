//! `lobe export`: a model with regions physically removed, checked against the masked one.

mod check;
mod files;
mod profile;
mod say;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, ValueEnum};
use lobe_engine::Buf;
use lobe_methods::remove::ablate;
use lobe_nets::hub;
use lobe_nets::{Gpt, Net};

use self::check::compare;
use self::files::{Partial, read_back, write};
use self::profile::removed;
use self::say::{facts, text};
use super::sample::source::{inside, locate};
use crate::failure::refuse;
use crate::out;

/// Largest difference of a logit that passes, as a share of the largest logit (or of 1).
const TOLERANCE: f32 = 1e-5;

#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("what").args(["profile", "without", "region"]),
    after_help = "Examples:
  lobe export runs/first --arm sgtm --out model                       the whole model
  lobe export runs/first --arm sgtm --profile core --out core         no named region left
  lobe export runs/first --arm sgtm --profile spanish+virology --out both
  lobe export runs/first --arm sgtm --without spanish --format lobe --out small
  lobe export model.safetensors --region 'blocks.*.mlp.post[-64..]' --out small

A profile says which of the recipe's regions stay: `full` is all of them, `core` none, `a+b` those
two. A unit that a staying region has stays, whoever else has it. All blocks have the same widths in
every format, so where one block loses more than another, cut units are left as zeros and said so;
GPT-2 and GPT-Neo files keep cut heads as zeros, too. Afterwards the files are read back, and the
logits of random tokens compared with those of the model whose regions are set to zero: the largest
difference may be 1e-5 of the largest logit (of 1, if that is smaller). If it is more, nothing is
left behind."
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
    /// Regions of the recipe that stay: core, full, or names joined by +
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Regions of the recipe that go
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    without: Vec<String>,
    /// A region that goes, written out, such as blocks.*.mlp.post[-64..]
    #[arg(long, value_name = "TEXT")]
    region: Option<String>,
    /// Format of the files [default: the Hugging Face one that can hold the model, else lobe]
    #[arg(long)]
    format: Option<Format>,
    /// One JSON object on standard output
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
    tokenizer: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let source = open(args)?;
    let (net, name) = (&source.net, &source.name);
    let cut = removed(args, &source)?;
    let format = match args.format {
        Some(f) => f.hub(),
        None => hub::Format::of(&net.config).ok(),
    };
    if let Some(f) = format {
        // What the format cannot hold is refused before anything is computed.
        hub::fits(f, &net.config)?;
    }
    let small = hub::narrow(net, &source.params, &cut, format)?;
    let mut masked = source.params.clone();
    ablate::zero(&net.layout, &mut masked, &cut);

    let place = Partial::new(&args.out)?;
    write(&place.path, &small, format, &source)?;
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
    if args.json {
        return Ok(out::json(&facts)?);
    }
    Ok(out::print(&text(name, args, net, &cut, &small, format, (difference, largest)))?)
}

fn open(args: &Args) -> Result<Source> {
    let path = &args.source;
    let run = path.join("manifest.json").exists();
    if !run && (args.arm.is_some() || args.seed.is_some() || args.stage.is_some()) {
        return Err(refuse(format!("--arm, --seed and --stage are of a run, not of {}", path.display())));
    }
    let (name, net, params, regions, tokenizer) = if run {
        let found = locate(path, args.arm.as_deref(), args.seed, args.stage.as_deref())?;
        let (net, params) = lobe_lab::stage::read_weights(&found.file)?;
        (found.name, net, params, found.regions, inside(path, "tokenizer.json").ok())
    } else {
        let (net, params) = lobe_lab::stage::read_weights(path)?;
        let tokenizer = Some(path.join("tokenizer.json")).filter(|t| t.is_file());
        (path.display().to_string(), net, params, Vec::new(), tokenizer)
    };
    let Net::Gpt(net) = net else {
        return Err(refuse(format!("only language models can lose a region physically: {name}")));
    };
    Ok(Source { name, net, params, regions, tokenizer })
}
