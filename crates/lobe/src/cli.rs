//! The arguments.

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
  lobe explain sgtm                   what one of them does, as a table

Exit codes: 0 done; 2 a recipe, an argument or a file that cannot be used; 75 interrupted after
saving, and the same command goes on; 130 interrupted twice, at once; 1 anything else."
)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a recipe, or go on with a run that was interrupted
    Run(run::Args),
    /// Check a recipe and all its presets, and show what they come to
    Check(check::Args),
    /// Write the report of a run again, or show its numbers
    Report(report::Args),
    /// Write the figures of a report as SVG and CSV files
    Figures(figures::Args),
    /// Write the tables of a record from a run, as Markdown
    Record(record::Args),
    /// Compare what arms cost in compute, over runs of several sizes
    Penalty(penalty::Args),
    /// List methods, attacks, measures, stages, data and models
    List(list::Args),
    /// Explain anything that a recipe can name
    Explain(explain::Args),
    /// Write a commented recipe to start from
    New(new::Args),
    /// Attack a model from outside and print the verdict, without a recipe
    Attack(attack::Args),
    /// Generate text with a model, with and without a region
    Sample(sample::Args),
    /// Write a model with regions physically removed, also for Hugging Face
    Export(export::Args),
    /// Measure speed and memory on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print the JSON schema of recipes, for editors
    Schema(schema::Args),
    /// Print shell completions
    Completions(completions::Args),
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
        Command::Completions(a) => completions::run(a),
    }
}
