//! `lobe export`: a model with regions physically removed, checked against the masked one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{ArgGroup, ValueEnum};
use lobe_core::{Key, Selection, UNLABELLED};
use lobe_engine::{Buf, Plan, ShardRows, Tape, Workspace};
use lobe_methods::remove::ablate;
use lobe_nets::hub::{self, Narrowed};
use lobe_nets::{Gpt, Net};
use serde_json::{Value, json};

use super::sample::source::{inside, locate, region};
use crate::failure::{refuse, unknown};
use crate::out;

/// Largest difference of a logit that passes, as a share of the largest logit (or of 1).
const TOLERANCE: f32 = 1e-5;
/// Sequences and positions of the check.
const CHECKED: (usize, usize) = (2, 128);
/// The two names of a profile that are no region's.
const WORDS: [&str; 2] = ["core", "full"];

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
        let (net, params, _) = lobe_nets::load(&found.file)?;
        (found.name, net, params, found.regions, inside(path, "tokenizer.json").ok())
    } else {
        let (net, params) = if path.join("config.json").exists() {
            hub::import(path)?
        } else {
            let (net, params, _) = lobe_nets::load(path)?;
            (net, params)
        };
        let tokenizer = Some(path.join("tokenizer.json")).filter(|t| t.is_file());
        (path.display().to_string(), net, params, Vec::new(), tokenizer)
    };
    let Net::Gpt(net) = net else {
        return Err(refuse(format!("only language models can lose a region physically: {name}")));
    };
    Ok(Source { name, net, params, regions, tokenizer })
}

/// The units that go.
fn removed(args: &Args, source: &Source) -> Result<Selection> {
    let sites = source.net.layout.sites();
    let all = |names: &[&str]| -> Result<Selection> {
        let mut sum = Selection::default();
        for name in names {
            sum = sum.union(&region(&source.regions, sites, name)?);
        }
        Ok(sum)
    };
    if let Some(text) = &args.region {
        return all(&[text]);
    }
    let Some(profile) = &args.profile else {
        return all(&args.without.iter().map(|w| w.trim()).collect::<Vec<_>>());
    };
    let names: Vec<&str> = source.regions.iter().map(|r| r.0.as_str()).collect();
    let stay = staying(profile, &names)?;
    let go: Vec<&str> = names.into_iter().filter(|n| !stay.contains(n)).collect();
    Ok(all(&go)?.difference(&all(&stay)?))
}

/// Names of the regions that a profile keeps.
fn staying<'a>(profile: &str, regions: &[&'a str]) -> Result<Vec<&'a str>> {
    if regions.is_empty() && profile != "full" {
        return Err(refuse(format!("--profile {profile}: nothing here names regions; use --region")));
    }
    if WORDS.contains(&profile) && regions.contains(&profile) {
        return Err(refuse(format!(
            "--profile {profile} is ambiguous, a region has this name; use --without"
        )));
    }
    match profile {
        "full" => return Ok(regions.to_vec()),
        "core" => return Ok(Vec::new()),
        _ => {}
    }
    let find = |name: &str| {
        let found = regions.iter().copied().find(|r| *r == name);
        found.ok_or_else(|| unknown("region", name, regions.iter().copied().chain(WORDS)))
    };
    profile.split('+').map(|name| find(name.trim())).collect()
}

/// A directory under another name until it is complete; gone if it never is.
struct Partial {
    path: PathBuf,
    goal: PathBuf,
}

impl Partial {
    fn new(goal: &Path) -> Result<Partial> {
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
        fs::create_dir_all(&path).with_context(|| format!("cannot be made: {}", path.display()))?;
        Ok(Partial { path, goal: goal.to_owned() })
    }

    fn keep(self) -> Result<()> {
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

fn write(dir: &Path, small: &Narrowed, format: Option<hub::Format>, source: &Source) -> Result<()> {
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

fn read_back(dir: &Path, format: Option<hub::Format>) -> Result<(Gpt, Buf)> {
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

/// Tokens of the check: the same for every model of one shape.
fn tokens(net: &Gpt) -> (Vec<u32>, usize) {
    let (sequences, longest) = CHECKED;
    let length = net.config.context.min(longest);
    let mut rng = Key::root(0).child("export").rng();
    ((0..sequences * length).map(|_| rng.below(net.config.vocab) as u32).collect(), length)
}

fn logits(net: &Gpt, params: &[f32], ids: &[u32], length: usize) -> Result<Vec<f32>> {
    let (mut ws, plan) = (Workspace::default(), Plan::plain(&net.layout));
    let rows = ShardRows::uniform(ids.len(), UNLABELLED);
    let mut tape = Tape::new(&mut ws, &net.layout, params, None, &plan, rows);
    let h = net.hidden(&mut tape, ids, length)?;
    let out = tape.logits(h, net.head())?;
    Ok(tape.value(out).to_vec())
}

/// Largest difference of a logit as a share of the largest logit (or of 1), and that logit.
fn compare(small: &Gpt, params: &[f32], net: &Gpt, masked: &[f32]) -> Result<(f32, f32)> {
    let (ids, length) = tokens(net);
    let (got, want) = (logits(small, params, &ids, length)?, logits(net, masked, &ids, length)?);
    if got.len() != want.len() {
        bail!("the written model has {} logits, the masked one {}", got.len(), want.len());
    }
    // Unlike f32::max, this keeps what is not a number.
    let most = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let largest = want.iter().map(|w| w.abs()).fold(0.0, most);
    let difference = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, most);
    Ok((difference / largest.max(1.0), largest))
}

/// Cut neurons and cut heads.
fn counts(net: &Gpt, cut: &Selection) -> (usize, usize) {
    let of = |end: &str| -> usize {
        let sites = cut.sites().filter(|(s, _)| net.layout.sites()[*s].name.ends_with(end));
        sites.flat_map(|(_, ranges)| ranges).map(ExactSizeIterator::len).sum()
    };
    (of(".mlp.post"), of(".attn.z"))
}

fn name(format: Option<hub::Format>) -> &'static str {
    format.map_or("lobe", hub::Format::name)
}

/// What `export.json` and `--json` say.
fn facts(
    source: &Source,
    cut: &Selection,
    small: &Narrowed,
    format: Option<hub::Format>,
    check: (f32, f32),
) -> Value {
    let (net, c) = (&source.net, &small.net.config);
    let (neurons, heads) = counts(net, cut);
    json!({
        "source": source.name, "format": name(format), "build": crate::build(),
        "removed": cut.describe(net.layout.sites()),
        "units": { "cut": cut.count(), "neurons": neurons, "heads": heads, "gone": small.removed,
            "left_as_zeros": small.zeroed, "zeros_in_blocks": small.zeroed_in },
        "parameters": { "before": net.layout.len(), "after": small.net.layout.len() },
        "shape": { "mlp": c.mlp, "heads": c.heads, "kv_heads": c.kv_heads, "head_dim": c.head_dim },
        "check": { "tokens": tokens(net).0.len(), "largest_logit": check.1, "difference": check.0,
            "allowed": TOLERANCE },
    })
}

fn text(
    name_of_source: &str,
    args: &Args,
    net: &Gpt,
    cut: &Selection,
    small: &Narrowed,
    format: Option<hub::Format>,
    (difference, largest): (f32, f32),
) -> String {
    let (old, new) = (&net.config, &small.net.config);
    let (before, after) = (net.layout.len(), small.net.layout.len());
    let (neurons, heads) = counts(net, cut);
    let mut out = format!("{name_of_source}\n  → {} ({})\n\n", args.out.display(), name(format));
    let removed = match (neurons, heads) {
        (0, 0) => "nothing".to_owned(),
        _ => format!("{neurons} neurons and {heads} heads over {} blocks", old.layers),
    };
    out += &format!("cut         {removed}\n");
    out += &format!(
        "shape       {} → {} neurons, {} → {} heads, {} → {} key/value heads a block\n",
        old.mlp, new.mlp, old.heads, new.heads, old.kv_heads, new.kv_heads
    );
    let share = 100.0 * (before - after) as f64 / before.max(1) as f64;
    let share = if after == before { String::new() } else { format!(" (−{share:.2} %)") };
    out += &format!("parameters  {before} → {after}{share}\n");
    if small.zeroed > 0 {
        let blocks: Vec<String> = small.zeroed_in.iter().map(ToString::to_string).collect();
        let units = if small.zeroed == 1 { "cut unit stays as zeros" } else { "cut units stay as zeros" };
        out += &format!("zeros       {} {units}, in blocks {}\n", small.zeroed, blocks.join(", "));
        // Without heads the format is not what is in the way.
        let stuck = format.filter(|f| *f != hub::Format::Llama && heads > 0);
        if let Some(f) = stuck {
            out += &format!("            {} files cannot lose heads; --format lobe can\n", f.name());
        }
        if stuck.is_none() || small.zeroed > heads {
            out += "            all blocks have one width: that of the block that keeps most\n";
        }
    }
    out += &format!(
        "check       read back; on {} random tokens the logits differ from those of the masked model by at most\n            \
         {difference:.1e} of the largest ({largest:.3}); {TOLERANCE:.0e} is allowed\n",
        tokens(net).0.len()
    );
    out
}

#[cfg(test)]
mod tests {
    use lobe_nets::GptConfig;

    use super::*;

    #[test]
    fn profiles_name_what_stays() {
        let regions = ["virology", "spanish", "law"];
        let stay = |p: &str| staying(p, &regions).map_err(|e| e.to_string());
        assert_eq!(stay("full").unwrap(), regions);
        assert!(stay("core").unwrap().is_empty());
        assert_eq!(stay("law + spanish").unwrap(), ["law", "spanish"]);
        assert_eq!(stay("spansh").unwrap_err(), "no region \"spansh\"; did you mean \"spanish\"?");
        assert_eq!(stay("law+cor").unwrap_err(), "no region \"cor\"; did you mean \"core\"?");
        assert_eq!(
            staying("core", &["core"]).unwrap_err().to_string(),
            "--profile core is ambiguous, a region has this name; use --without"
        );
        assert!(staying("core", &[]).is_err() && staying("full", &[]).is_ok());
    }
    #[test]
    fn the_check_sees_a_wrong_weight_and_what_is_not_a_number() {
        let config = GptConfig { layers: 2, width: 8, heads: 2, ..GptConfig::default() };
        let net = Gpt::new(config.resolve(11, 6).unwrap());
        let params = net.layout.init(Key::root(1));
        let cut = region(&[], net.layout.sites(), "blocks.*.mlp.post[3..9]").unwrap();
        let mut masked = params.clone();
        ablate::zero(&net.layout, &mut masked, &cut);
        let small = hub::narrow(&net, &params, &cut, None).unwrap();
        let check = |params: &[f32]| compare(&small.net, params, &net, &masked).unwrap().0;
        assert!(check(&small.params) <= TOLERANCE);
        let tensor = small.net.layout.find("blocks.1.mlp.out.weight").unwrap();
        let at = small.net.layout.get(tensor).offset;
        let mut wrong = small.params.clone();
        wrong[at] += 0.1;
        assert!(check(&wrong) > TOLERANCE);
        wrong[at] = f32::NAN;
        assert!(check(&wrong).is_nan());
        // The whole model is not the masked one.
        assert!(compare(&net, &params, &net, &masked).unwrap().0 > TOLERANCE);
    }
}
