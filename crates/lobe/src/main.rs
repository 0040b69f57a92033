//! The command line: arguments → lab → exit code.

mod cli;
mod commands;
mod describe;
mod failure;
mod out;
mod progress;
mod recipe;
mod run_dir;
mod signals;
mod table;
mod unknown;

use std::process::ExitCode;

use clap::Parser as _;

/// Version and commit.
pub(crate) fn build() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("LOBE_BUILD_COMMIT"), ")")
}

/// Warnings of the libraries, one line each.
fn warnings() {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false);
    lines.with_ansi(false).with_max_level(tracing::Level::WARN).init();
}

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version come here as well. A reader that has gone away is no error.
            let e = cli::suggest(e);
            e.print().ok();
            return ExitCode::from(if e.use_stderr() { failure::BAD_INPUT } else { failure::DONE });
        }
    };
    warnings();
    match cli::run(&cli.command) {
        Ok(()) => ExitCode::from(failure::DONE),
        Err(e) => {
            for line in failure::lines(&e) {
                out::note(&line);
            }
            ExitCode::from(failure::code(&e))
        }
    }
}
