//! `lobe sample`: text from a model, with and without a region.

mod generate;
mod logits;
pub(crate) mod source;

use std::path::PathBuf;

use anyhow::Result;
use clap::ArgGroup;
use serde_json::{Value, json};

use crate::failure::refuse;
use crate::out;
use crate::table::wrap;
use generate::{Settings, generate};
use source::Model;

#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("from").required(true).args(["run", "model"]),
    after_help = "Examples:
  lobe sample runs/first --arm sgtm --prompt \"la casa\" --without spanish
  lobe sample runs/first --arm sgtm --stage ablate --tokens 100 --temperature 0
  lobe sample --model core --prompt \"la casa\" --logits 5
  lobe sample --model model.safetensors --tokenizer tokenizer.json --prompt \"the\" \\
      --without 'blocks.*.mlp.post[-64..]'

A text begins with the tokenizer's begin mark, then the prompt, like every training text of a run; the
first line names the mark. `--logits` prints the most likely next tokens after mark and prompt instead
of a text, for comparison with other tools.

`--without` cuts a region by setting the parameters of its units to zero. Both columns use the same
random numbers. The same arguments always give the same text."
)]
pub(crate) struct Args {
    /// A run directory
    run: Option<PathBuf>,
    /// Arm of the run [default: the first]
    #[arg(long, requires = "run")]
    arm: Option<String>,
    /// Seed of the run [default: the first]
    #[arg(long, requires = "run")]
    seed: Option<u64>,
    /// Stage that made the model [default: the first that made one]
    #[arg(long, requires = "run")]
    stage: Option<String>,
    /// Instead of a run: a model file, or the folder of an exported or Hugging Face model
    #[arg(long, value_name = "PATH")]
    model: Option<PathBuf>,
    /// Its tokenizer [default: tokenizer.json beside it]
    #[arg(long, value_name = "FILE", requires = "model")]
    tokenizer: Option<PathBuf>,
    /// Text to continue
    #[arg(long, default_value = "")]
    prompt: String,
    /// Tokens to generate
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    tokens: u32,
    /// Sampling temperature: 0 always takes the most likely token, 1 samples the model's distribution
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Sample among the K most likely tokens; 0 means all
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,
    /// Seed of the sampling
    #[arg(long, default_value_t = 0)]
    sample_seed: u64,
    /// Also generate with this region cut: a name in the recipe, or a text such as blocks.*.attn.z[-1]
    #[arg(long, value_name = "REGION")]
    without: Option<String>,
    /// Print the N most likely next tokens [default: 10] with their logits, and no text
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10",
        value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    logits: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !(0.0..=100.0).contains(&args.temperature) {
        return Err(refuse(format!("--temperature {}: must be in 0 to 100", args.temperature)));
    }
    let model = match (&args.run, &args.model, &args.tokenizer) {
        (Some(dir), ..) => source::of_run(dir, args.arm.as_deref(), args.seed, args.stage.as_deref())?,
        (None, Some(model), Some(tokenizer)) => source::of_file(model, tokenizer)?,
        (None, Some(model), None) => source::of_file(model, &source::tokenizer_beside(model)?)?,
        (None, None, _) => return Err(refuse("give a run directory, or --model")),
    };
    if let Some(most) = args.logits {
        return logits::run(args, &model, most as usize);
    }
    let settings = Settings {
        tokens: args.tokens as usize,
        temperature: args.temperature,
        top_k: args.top_k,
        seed: args.sample_seed,
    };
    let whole = generate(&model.net, &model.params, &model.tokenizer, &args.prompt, &settings)?;
    let mut cut = None;
    if let Some(region) = &args.without {
        let selection = model.region(region)?;
        let mut params = model.params.to_vec();
        lobe_methods::remove::ablate::zero(&model.net.layout, &mut params, &selection);
        cut = Some(generate(&model.net, &params, &model.tokenizer, &args.prompt, &settings)?);
    }
    if args.json {
        return Ok(out::json(&json!({
            "model": model.name, "begin_mark": begin_mark(&model), "prompt": args.prompt, "whole": whole, "without": cut, "region": args.without,
            "temperature": args.temperature, "top_k": args.top_k, "sample_seed": args.sample_seed,
        }))?);
    }
    // What a model says, or calls its words, must not speak to the terminal.
    let (whole, cut) = (readable(&whole), cut.as_deref().map(readable));
    let width = out::width();
    let text = match (&cut, &args.without) {
        (Some(cut), Some(region)) => {
            side_by_side(("whole", &whole), (&format!("without {region}"), cut), width)
        }
        _ => wrap(&whole, width, 0),
    };
    Ok(out::print(&format!("{}\n{}\n\n{text}", model.name, begins(&model)))?)
}

/// What stands before the prompt, for a reader.
fn begins(model: &Model) -> String {
    match model.tokenizer.marks() {
        Some(marks) => format!("begins with the mark {}", readable(&marks.begin.to_string())),
        None => "begins with the prompt: the tokenizer has no begin mark".to_owned(),
    }
}

/// The same for programs.
fn begin_mark(model: &Model) -> Option<Value> {
    let begin = model.tokenizer.marks()?.begin;
    Some(json!({ "id": begin.id, "text": begin.text, "from": begin.from }))
}

/// Lines without control characters and marks that reorder text.
fn readable(text: &str) -> String {
    text.lines().map(lobe_report::readable).collect::<Vec<_>>().join("\n")
}

/// Two texts in columns.
fn side_by_side(left: (&str, &str), right: (&str, &str), width: usize) -> String {
    let half = (width.saturating_sub(3) / 2).max(10);
    let column = |(head, text): (&str, &str)| -> Vec<String> {
        let body = wrap(text, half, 0);
        // A word longer than the column is cut into pieces.
        let pieces = |line: &str| -> Vec<String> {
            let chars: Vec<char> = line.chars().collect();
            chars.chunks(half).map(|c| c.iter().collect()).collect()
        };
        pieces(head).into_iter().chain([String::new()]).chain(body.lines().flat_map(pieces)).collect()
    };
    let (left, right) = (column(left), column(right));
    let cell = |c: &[String], i: usize| c.get(i).cloned().unwrap_or_default();
    let line = |i| format!("{:<half$}   {}", cell(&left, i), cell(&right, i)).trim_end().to_owned() + "\n";
    (0..left.len().max(right.len())).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stay_apart() {
        let text = side_by_side(("whole", "one two three"), ("cut", "abcdefghijklmno"), 23);
        assert_eq!(text, "whole        cut\n\none two      abcdefghij\nthree        klmno\n");
    }
}
