//! The command line: arguments → lab → exit code.

mod cli;
mod commands;
mod failure;
mod out;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

/// Version and commit.
pub(crate) fn build() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("LOBE_BUILD_COMMIT"), ")")
}

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come here, too. A reader that has gone away is no error.
            e.print().ok();
            return ExitCode::from(if e.use_stderr() { failure::BAD_INPUT } else { failure::DONE });
        }
    };
    match cli::run(&cli.command) {
        Ok(()) => ExitCode::from(failure::DONE),
        Err(e) => {
            out::note(&format!("error: {e:#}"));
            ExitCode::from(failure::code(&e))
        }
    }
}
