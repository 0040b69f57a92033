//! The recipe behind `lobe attack`.

use std::path::Path;

use anyhow::Result;
use lobe_methods::ATTACKS;
use lobe_nets::GptConfig;
use serde_json::{Map, Value, json};

use super::Args;
use crate::failure::refuse;

/// Longest sequence without `--seq`.
const SEQ: usize = 128;
/// Share of the text that is held out.
const HELD_OUT: f64 = 0.2;
/// Held-out sequences per label that the models are measured on before any attack.
const MEASURED: usize = 200;
/// From this width on, default learning rates are a tenth.
const WIDE: usize = 512;
/// With `--quick`: steps and learning rates.
const QUICK: (u64, f64) = (20, 1e-3);

/// What the recipe is made from.
pub(super) struct Ask<'a> {
    pub name: &'a str,
    pub args: &'a Args,
    pub attacks: &'a [&'a str],
    /// `None` is bytes.
    pub tokenizer: Option<&'a Path>,
    /// As TOML.
    pub seeds: &'a str,
    pub config: &'a GptConfig,
}

/// A model that is read from a file: arm, stage, what it is, where it lies.
type Given<'a> = (&'static str, &'static str, &'static str, &'a Path);

/// The recipe as text.
pub(super) fn recipe(ask: &Ask<'_>) -> Result<String> {
    let args = ask.args;
    let mut given: Vec<Given<'_>> = vec![("model", "load", "the model under attack", &args.model)];
    let original = args.original.as_deref();
    let control = args.control.as_deref();
    given.extend(original.map(|p| ("baseline", "load-original", "before anything was removed", p)));
    given.extend(control.map(|p| ("oracle", "load-control", "never saw the forget text", p)));

    let mut out = String::from("# Written by `lobe attack`; `lobe run` accepts it as well.\n");
    out += &format!("name  = \"attack-{}\"\n", ask.name);
    out +=
        &format!("about = {}\n", json!(format!("{} attacks on {}", ask.attacks.len(), text(&args.model)?)));
    out += &format!("seeds = {}\n\n", ask.seeds);
    out += &data(ask)?;
    out += &format!("\n[model]\nkind = \"gpt\"\n{}", model(ask.config)?);
    // The untouched network needs a training stage, which has nothing to train on.
    out += "\n[train]\nsteps = 1\nbatch = 1\n";
    for (arm, _, about, _) in &given {
        out += &format!("\n[arms.{arm}]\nmethod = \"none\"\nabout  = {}\n", json!(about));
        if *arm == "oracle" {
            out += "control = true\n";
        }
    }
    out += "\n[arms.fresh]\nmethod = \"none\"\ndata   = \"nothing\"\nabout  = \"random weights\"\n";
    for (arm, stage, _, path) in &given {
        let path = json!(text(path)?);
        out +=
            &format!("\n[[stage]]\ndo   = \"load\"\nname = \"{stage}\"\narms = [\"{arm}\"]\npath = {path}\n");
    }
    out += "\n[[stage]]\ndo   = \"train\"\narms = [\"fresh\"]\n";
    // The original says where the loss came from; to attack it would bring nothing back.
    let arms: Vec<&str> = given.iter().map(|g| g.0).filter(|a| *a != "baseline").chain(["fresh"]).collect();
    for attack in ask.attacks {
        out += &format!("\n[[stage]]\ndo   = \"{attack}\"\narms = {}\n", json!(arms));
        for (key, value) in settings(attack, ask) {
            out += &format!("{key} = {value}\n");
        }
    }
    out += &format!("\n[[stage]]\ndo = \"measure\"\nactivity = false\nexamples = {MEASURED}\n");
    Ok(out)
}

/// A path as the recipe can hold it.
fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| refuse(format!("the name is not UTF-8: {}", path.display())))
}

fn data(ask: &Ask<'_>) -> Result<String> {
    let args = ask.args;
    let seq = args.seq.map_or(ask.config.context.min(SEQ), |s| s as usize);
    let mut out = format!("[data]\nkind = \"text\"\nseq = {seq}\ntest_fraction = {HELD_OUT}\n");
    out += &match ask.tokenizer {
        Some(file) => format!("tokenizer = {{ kind = \"file\", path = {} }}\n", json!(text(file)?)),
        None => "tokenizer = { kind = \"byte\" }\n".to_owned(),
    };
    let mut how = String::new();
    if args.format != "auto" {
        how += &format!(", format = {}", json!(args.format));
    }
    if args.field != super::FIELD {
        how += &format!(", field = {}", json!(args.field));
    }
    out += "sources = [\n";
    for (class, paths) in [("forget", &args.forget), ("retain", &args.retain)] {
        for path in paths {
            out += &format!("  {{ path = {}, class = \"{class}\"{how} }},\n", json!(text(path)?));
        }
    }
    Ok(out + "]\nforget = { class = \"forget\" }\nretain = { class = \"retain\" }\n")
}

/// The network's settings, one a line. JSON's numbers, words and truth values are TOML's, too.
fn model(config: &GptConfig) -> Result<String> {
    // Through text: a narrow float then has its own shortest digits.
    let all: Map<String, Value> = serde_json::from_str(&serde_json::to_string(config)?)?;
    let lines: Vec<String> = all.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    Ok(lines.join("\n") + "\n")
}

/// What is said about an attack beside its name; everything else is its own default.
fn settings(attack: &str, ask: &Ask<'_>) -> Vec<(&'static str, Value)> {
    let args = ask.args;
    let entry = ATTACKS.iter().find(|e| e.about.name == attack);
    let Some((built, defaults)) = entry.and_then(|e| (e.build)(&json!({})).ok()) else { return Vec::new() };
    let whole = |key: &str| defaults.get(key).and_then(Value::as_u64);
    let mut out = Vec::new();
    // Attacks that train have learning rates; those that fine-tune a warm-up as well.
    if let Some(own) = defaults.get("lrs").and_then(Value::as_array) {
        let steps = args.steps.or(args.quick.then_some(QUICK.0));
        if let Some(steps) = steps {
            out.push(("steps", json!(steps)));
            let few = [("eval_every", (steps / 4).max(1)), ("warmup", steps / 10)];
            out.extend(few.into_iter().filter_map(|(key, most)| Some((key, json!(whole(key)?.min(most))))));
        }
        let own: Vec<f64> = own.iter().filter_map(Value::as_f64).collect();
        let lrs = match (whole("warmup").is_some(), args.lrs.is_empty()) {
            (true, false) => Some(args.lrs.clone()),
            (true, true) if args.quick => Some(vec![QUICK.1]),
            (true, true) => Some(own),
            (false, _) => None,
        };
        if let Some(lrs) = lrs {
            let tenth = args.lrs.is_empty() && ask.config.width >= WIDE;
            let lrs: Vec<f64> = if tenth { lrs.into_iter().map(a_tenth).collect() } else { lrs };
            out.push(("lrs", json!(lrs)));
        }
    }
    if let Some(most) = args.examples.map(u64::from).filter(|_| built.holds_forget()) {
        match defaults.get("examples") {
            Some(Value::Array(own)) => {
                let mut fits: Vec<u64> = own.iter().filter_map(Value::as_u64).filter(|n| *n < most).collect();
                fits.push(most);
                out.push(("examples", json!(fits)));
            }
            Some(own) => {
                // 0 is all of them.
                let own = own.as_u64().filter(|n| *n > 0).unwrap_or(most);
                out.push(("examples", json!(own.min(most))));
            }
            None => {}
        }
    }
    out
}

/// A tenth, in its own shortest digits.
fn a_tenth(lr: f64) -> f64 {
    format!("{:.3e}", lr / 10.0).parse().unwrap_or(lr / 10.0)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn of(attack: &str, more: &[&str], width: usize) -> Vec<(&'static str, Value)> {
        let args = [&["lobe", "attack", "m", "--forget", "f", "--retain", "r"], more].concat();
        let Command::Attack(args) = Cli::try_parse_from(args).unwrap().command else { panic!("attack") };
        let config = GptConfig { width, ..GptConfig::default() };
        let ask = Ask { name: "m", args: &args, attacks: &[], tokenizer: None, seeds: "1", config: &config };
        settings(attack, &ask)
    }

    #[test]
    fn an_attack_gets_what_it_has_a_place_for() {
        let lrs = |v: &[f64]| ("lrs", json!(v));
        assert_eq!(of("relearn", &[], 64), [lrs(&[3e-4, 1e-3, 3e-3])]);
        assert_eq!(of("relearn", &[], 768), [lrs(&[3e-5, 1e-4, 3e-4])]);
        assert_eq!(of("relearn", &["--lrs", "0.01"], 768), [lrs(&[0.01])]);
        let steps = |n: u64, every: u64| [("steps", json!(n)), ("eval_every", json!(every))];
        let more = ["--steps", "8", "--lrs", "0.1"];
        assert_eq!(of("sparse-graft", &more, 64), steps(8, 2));
        assert_eq!(
            of("few-shot", &more, 64),
            [&steps(8, 2)[..], &[("warmup", json!(0)), lrs(&[0.1])]].concat()
        );
        assert_eq!(of("quantise", &more, 64), []);
        // A search has steps of another kind.
        assert_eq!(of("prefix", &more, 64), []);
    }

    #[test]
    fn an_attacker_has_no_more_examples_than_allowed() {
        let examples = |attack| {
            let of = of(attack, &["--examples", "20"], 64);
            of.into_iter().find(|(k, _)| *k == "examples").map(|(_, v)| v)
        };
        assert_eq!(examples("relearn"), Some(json!([20])));
        assert_eq!(examples("few-shot"), Some(json!([1, 4, 16, 20])));
        assert_eq!(examples("prefix"), Some(json!(8)));
        assert_eq!(examples("relearn-retain"), None);
    }
}
