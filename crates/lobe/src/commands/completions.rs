//! `lobe completions`: for the shell.

use crate::out;
use anyhow::Result;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe completions bash > ~/.local/share/bash-completion/completions/lobe
  lobe completions zsh  > ~/.zfunc/_lobe
  lobe completions fish > ~/.config/fish/completions/lobe.fish")]
pub(crate) struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

/// The script for `whole`, the command with all its words.
pub(crate) fn run(args: &Args, mut whole: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut whole, "lobe", &mut script);
    Ok(out::print(&String::from_utf8_lossy(&script))?)
}
