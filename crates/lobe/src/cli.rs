//! The arguments.

use clap::{Parser, Subcommand};

use crate::commands::bench;

/// Train networks whose capabilities live in named regions, cut a region out, and try to bring the
/// capability back.
#[derive(Debug, Parser)]
#[command(name = "lobe", version = crate::build(), max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Measure speed and memory on this machine
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Does what was asked.
pub(crate) fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Bench(b) => bench::run(b),
    }
}
