//! `lobe completions`: for the shell.

use anyhow::Result;
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe completions bash > ~/.local/share/bash-completion/completions/lobe
  lobe completions zsh  > ~/.zfunc/_lobe
  lobe completions fish > ~/.config/fish/completions/lobe.fish")]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lobe", &mut script);
    Ok(out::print(&String::from_utf8_lossy(&script))?)
}
