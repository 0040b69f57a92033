//! The arguments.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Parser, Subcommand};

use crate::commands::{
    attack, bench, check, completions, explain, export, figures, list, new, penalty, record, report, run,
    sample, schema,
};

/// Train networks whose capabilities live in named regions, cut a region out, and try to bring the
/// capability back.
#[derive(Debug, Parser)]
#[command(
    name = "lobe",
    version = crate::build(),
    max_term_width = 100,
    after_help = "Start here:
  lobe new first                      write a commented recipe, first.toml
  lobe run first.toml --preset tiny   run it in seconds; the report is runs/first-tiny/report.html
  lobe list                           every method, attack and measure
  lobe explain sgtm                   what a method does, as a table of routes

Exit codes: 0 success; 2 wrong arguments, recipe or files; 3 finished, except for members whose
loss was not finite; 75 interrupted after saving, run the same command again to resume; 130
interrupted twice, nothing saved since the last checkpoint; 1 any other error."
)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a recipe, or resume an interrupted run
    Run(run::Args),
    /// Validate a recipe and its presets, and show what a run would do
    Check(check::Args),
    /// Rewrite the report of a run, or print its numbers
    Report(report::Args),
    /// Write the figures of a report as SVG and CSV files
    Figures(figures::Args),
    /// Print a run's tables as Markdown, for a record
    Record(record::Args),
    /// Compute how much training compute each arm wastes, from runs of several sizes
    Penalty(penalty::Args),
    /// List methods, attacks, measures, stages, data, models and metrics
    List(list::Args),
    /// Explain a method, an attack, a key of a recipe or a metric
    Explain(explain::Args),
    /// Write a commented recipe to start from
    New(new::Args),
    /// Attack a model file and print the verdict, without a recipe
    Attack(attack::Args),
    /// Generate text with a model, with and without a region
    Sample(sample::Args),
    /// Write a model with regions removed from its matrices, for Lobe or Hugging Face
    Export(export::Args),
    /// Measure speed and memory on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print the JSON schema of recipes, for editors
    Schema(schema::Args),
    /// Print shell completions
    Completions(completions::Args),
}

/// What other tools call our subcommands.
const OTHER_NAMES: [(&str, &str); 20] = [
    ("train", "run"),
    ("start", "run"),
    ("resume", "run"),
    ("continue", "run"),
    ("validate", "check"),
    ("test", "check"),
    ("lint", "check"),
    ("show", "report"),
    ("results", "report"),
    ("eval", "report"),
    ("plot", "report"),
    ("init", "new"),
    ("create", "new"),
    ("info", "explain"),
    ("describe", "explain"),
    ("docs", "explain"),
    ("generate", "sample"),
    ("relearn", "attack"),
    ("convert", "export"),
    ("benchmark", "bench"),
];

/// An unknown subcommand that is another tool's word for one of ours is answered with ours.
pub(crate) fn suggest(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some((_, ours)) = OTHER_NAMES.iter().find(|(theirs, _)| theirs == word)
    {
        let ours = ContextValue::Strings(vec![(*ours).to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, ours);
    }
    error
}

/// Does what was asked.
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Run(a) => run::run(a),
        Command::Check(a) => check::run(a),
        Command::Report(a) => report::run(a),
        Command::Figures(a) => figures::run(a),
        Command::Record(a) => record::run(a),
        Command::Penalty(a) => penalty::run(a),
        Command::List(a) => list::run(a),
        Command::Explain(a) => explain::run(a),
        Command::New(a) => new::run(a),
        Command::Attack(a) => attack::run(a),
        Command::Sample(a) => sample::run(a),
        Command::Export(a) => export::run(a),
        Command::Bench(b) => bench::run(b),
        Command::Schema(a) => schema::run(a),
        Command::Completions(a) => completions::run(a, <Cli as clap::CommandFactory>::command()),
    }
}
