//! `lobe attack`: the battery of attacks on a model from outside, without a recipe.

mod verdict;
mod write;

use std::path::{Path, PathBuf};

use anyhow::Result;
use lobe_data::Tokenizer;
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::Written;
use lobe_lab::schedule;
use lobe_methods::{ATTACKS, AttackEntry, Battery};

use super::sample::source::language_model;
use super::{report, run};
use crate::failure::{partly, refuse, unknown};
use crate::out;
use crate::recipe::{Loaded, toml_seeds};

/// What `--quick` tries.
const QUICK: [&str; 4] = ["relearn", "few-shot", "quantise", "logit-lens"];
/// Ids of the byte tokenizer: 256 bytes and a mark between texts.
const BYTES: usize = 257;

/// Where JSON has the text, unless one says otherwise.
const FIELD: &str = "text";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe attack model --forget virology.txt --retain biology/ --quick
  lobe attack model --forget es.jsonl --retain en.jsonl --field abstract --control never-saw-it --seeds 5
  lobe attack model.safetensors --tokenizer tokenizer.json --forget es.txt --retain en.txt \\
      --attacks relearn,few-shot --steps 200 --lrs 1e-4,1e-3
  lobe attack model --forget es.txt --retain en.txt --print-recipe > mine.toml

Part of the text is held out; the attacks train on the rest. The best variant of every attack counts.
A control is a model that never saw the forget text; its width may differ. Without one, Lobe can say
how far the loss moved, but not whether anything was removed. A network of random weights is attacked
as well, for comparison. Run the same command again to resume; --print-recipe shows the recipe behind it.")]
pub(crate) struct Args {
    /// Model to attack: a .safetensors file of Lobe's, or the directory of a Hugging Face model with
    /// config.json and model.safetensors of a GPT-2, GPT-Neo or Llama (docs/running.md: what opens)
    model: PathBuf,
    /// Text of what the model should have forgotten: files or folders
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    forget: Vec<PathBuf>,
    /// Text of what the model should have kept: files or folders
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    retain: Vec<PathBuf>,
    /// How the text files hold documents: auto (by the ending), txt, jsonl, json or tsv
    #[arg(long, value_name = "FORMAT", default_value = "auto", value_parser = ["auto", "txt", "jsonl", "json", "tsv"])]
    format: String,
    /// With JSON: the field of the text
    #[arg(long, value_name = "NAME", default_value = FIELD)]
    field: String,
    /// Its tokenizer [default: tokenizer.json beside the model, or bytes for a vocabulary of 257]
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// The model before the removal
    #[arg(long, value_name = "MODEL")]
    original: Option<PathBuf>,
    /// A model that never saw the forget text
    #[arg(long, value_name = "MODEL")]
    control: Option<PathBuf>,
    /// Attacks to run [default: eleven, two more with --original]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    attacks: Vec<String>,
    /// Run four short attacks only
    #[arg(long, conflicts_with = "attacks")]
    quick: bool,
    /// Steps of each attack that trains
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    steps: Option<u64>,
    /// Learning rates of the fine-tuning attacks
    #[arg(long, value_delimiter = ',')]
    lrs: Vec<f64>,
    /// Positions per sequence [default: the model's context, at most 128]
    #[arg(long, value_parser = clap::value_parser!(u32).range(2..=1 << 20))]
    seq: Option<u32>,
    /// Largest number of forget sequences for the attacker [default: set by each attack]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    examples: Option<u32>,
    /// Run directory [default: runs/attack-NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Number of seeds of the attacks, or a list of seeds
    #[arg(long, default_value = "1")]
    seeds: String,
    /// Worker threads; 0 means one per core. Results do not depend on the number
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    threads: u16,
    /// Print the recipe that would be run, and run nothing
    #[arg(long, conflicts_with = "json")]
    print_recipe: bool,
    /// Print no progress, only the verdict
    #[arg(long, short)]
    quiet: bool,
    /// Print the whole report as text, and then the verdict
    #[arg(long, short, conflicts_with_all = ["quiet", "json"])]
    verbose: bool,
    /// Print the verdict as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let attacks = attacks(args)?;
    if let Some(lr) = args.lrs.iter().find(|lr| !(**lr > 0.0 && lr.is_finite())) {
        return Err(refuse(format!("--lrs {lr}: a learning rate is above 0")));
    }
    let seeds = toml_seeds(&args.seeds)?;
    two_texts(args)?;
    let (net, params) = language_model(&args.model)?;
    drop(params);
    let name = name(&args.model);
    let tokenizer = tokenizer(args, net.config.vocab)?;
    let ask = write::Ask {
        name: &name,
        args,
        attacks: &attacks,
        tokenizer: tokenizer.as_deref(),
        seeds: &seeds,
        config: &net.config,
    };
    let text = write::recipe(&ask)?;
    let written = Written::from_str("lobe attack", &text)?;
    let (recipe, derived) = schedule::resolve(&written)?;
    if args.print_recipe {
        Experiment::open(&recipe)?;
        return Ok(out::print(&text)?);
    }
    let dir = args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("attack-{name}")));
    let done = run::execute(&Loaded { written, recipe, derived }, &dir, args.threads, args.quiet);
    if !done.as_ref().err().is_none_or(partly) {
        return done;
    }
    let (data, page) = report::write(&dir)?;
    let found = verdict::Verdict::of(&data)?;
    if args.json {
        out::json(&found.json(&dir, args))?;
        return done;
    }
    if args.verbose {
        out::print(&format!("{}\n", out::verdicts(&report::text(&data))))?;
    }
    let answer = out::verdicts(&found.text(args, out::width()));
    out::print(&format!("{answer}\nReport: {}\n", page.display()))?;
    done
}

/// The attacks to make, in the order asked for.
fn attacks(args: &Args) -> Result<Vec<&str>> {
    let mut out: Vec<&str> = Vec::new();
    if args.quick {
        out.extend(QUICK);
    } else if args.attacks.is_empty() {
        let joins = |entry: &&AttackEntry| match entry.battery {
            Battery::Always => true,
            Battery::WithOriginal => args.original.is_some(),
            Battery::OnRequest => false,
        };
        out.extend(ATTACKS.iter().filter(joins).map(|e| e.about.name));
    }
    for name in args.attacks.iter().map(|a| a.trim()) {
        let Some(entry) = ATTACKS.iter().find(|e| e.about.name == name) else {
            return Err(unknown("attack", name, ATTACKS.iter().map(|e| e.about.name)));
        };
        let (attack, _) = (entry.build)(&serde_json::json!({}))?;
        if attack.needs_original() && args.original.is_none() {
            return Err(refuse(format!("the attack {name} needs --original, the model before the removal")));
        }
        if !out.contains(&name) {
            out.push(name);
        }
    }
    Ok(out)
}

/// Refuses text that is to be forgotten and to be kept at once.
fn two_texts(args: &Args) -> Result<()> {
    // A path that does not exist is refused with its reason where it is read.
    let real = |p: &PathBuf| std::fs::canonicalize(p).ok();
    for forget in &args.forget {
        for retain in &args.retain {
            let (Some(a), Some(b)) = (real(forget), real(retain)) else { continue };
            let (forget, retain) = (forget.display(), retain.display());
            if a == b {
                return Err(refuse(format!("--forget and --retain name the same text: {retain}")));
            }
            if a.starts_with(&b) {
                return Err(refuse(format!("the text of --forget {forget} is part of --retain: {retain}")));
            }
            if b.starts_with(&a) {
                return Err(refuse(format!("the text of --retain {retain} is part of --forget: {forget}")));
            }
        }
    }
    Ok(())
}

/// The tokenizer's file; `None` is bytes.
fn tokenizer(args: &Args, vocab: usize) -> Result<Option<PathBuf>> {
    let (model, shown) = (&args.model, args.model.display());
    // A model inside of a run: stages/STAGE/ARM.SEED/model.safetensors.
    let run = model.ancestors().nth(4).filter(|r| r.join("manifest.json").exists());
    let beside = if model.is_dir() { Some(model.as_path()) } else { model.parent() };
    let near = beside.into_iter().chain(run).map(|d| d.join("tokenizer.json")).find(|t| t.is_file());
    let Some(file) = args.tokenizer.clone().or(near) else {
        if vocab == BYTES {
            return Ok(None);
        }
        return Err(refuse(format!(
            "no tokenizer.json beside the model, and its {vocab} ids are not the {BYTES} of bytes; \
             give --tokenizer FILE: {shown}"
        )));
    };
    let tokenizer = Tokenizer::open(&file)?;
    let size = tokenizer.vocab_size();
    if size > vocab {
        return Err(refuse(format!("the tokenizer has {size} ids, the model {vocab}: {}", file.display())));
    }
    // Vocabularies are often padded, but not by this much.
    if size * 10 < vocab * 9 {
        out::note(&format!("warning: the tokenizer has {size} ids, the model {vocab}: {}", file.display()));
    }
    Ok(Some(file))
}

/// A name for a model that can be part of a path: `model.safetensors` is called like its folder.
fn name(model: &Path) -> String {
    let full = std::path::absolute(model).unwrap_or_else(|_| model.to_owned());
    let part = |p: Option<&std::ffi::OsStr>| p.map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = if full.is_dir() { part(full.file_name()) } else { part(full.file_stem()) };
    let above = |n: usize| part(full.ancestors().nth(n).and_then(Path::file_name));
    let word = match stem.as_str() {
        // Of one run there are models before and after a cut.
        "model" if above(3) == "stages" => format!("{}-{}", above(1), above(2)),
        "model" => above(1),
        _ => stem,
    };
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let word: String = word.chars().map(fits).take(48).collect();
    if word.is_empty() { "model".into() } else { word }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn every_attack_of_the_battery_exists() {
        for name in QUICK {
            assert!(ATTACKS.iter().any(|e| e.about.name == name), "{name}");
        }
    }

    #[test]
    fn the_battery_is_what_the_attacks_say_of_themselves() {
        let of = |more: &[&str]| {
            let args = [&["lobe", "attack", "m", "--forget", "f", "--retain", "r"], more].concat();
            let Command::Attack(args) = Cli::try_parse_from(args).unwrap().command else { panic!("attack") };
            attacks(&args).unwrap().iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()
        };
        let always = of(&[]);
        assert_eq!((always.len(), &always[0][..]), (11, "relearn"));
        let more = of(&["--original", "o"]);
        let joined: Vec<&String> = more.iter().filter(|a| !always.contains(a)).collect();
        assert_eq!(joined, ["orthogonalise", "patch"]);
        assert!(!more.contains(&"held-out-facts".to_owned()));
    }

    #[test]
    fn names_fit_into_paths() {
        assert_eq!(name(Path::new("/x/GPT-2 small/model.safetensors")), "gpt-2-small");
        assert_eq!(name(Path::new("/x/run/stages/train/sgtm.0/model.safetensors")), "sgtm-0-train");
        assert_eq!(name(Path::new("/x/mine/model.safetensors")), "mine");
        assert_eq!(name(Path::new("/x/cut.v2.safetensors")), "cut-v2");
    }
}
