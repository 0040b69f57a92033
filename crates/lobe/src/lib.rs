//! The command line: arguments → lab → exit code.
//!
//! A program that adds a method, an attack or anything else of its own is this one with a line before it:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use lobe_core::registry::{About, Entry, ParamError, Taken};
//! use lobe_core::{FORGET, Route, RouteTable, Target};
//! use lobe_methods::{Context, Expect, LOCALIZE, Localize};
//!
//! /// Forget data runs without everything outside of the region.
//! struct Alone;
//!
//! impl Localize for Alone {
//!     fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
//!         Ok(RouteTable::plain().with(FORGET, Target::Elsewhere, Route::ABSENT))
//!     }
//!     fn expected(&self) -> Vec<Expect> {
//!         Vec::new()
//!     }
//! }
//!
//! static ALONE: Entry<dyn Localize> = Entry {
//!     about: &About { name: "alone", summary: "…", reference: "—", unusual: "", fails: "" },
//!     params: Vec::new,
//!     build: |_| Ok((Box::new(Alone), serde_json::json!({}))),
//! };
//!
//! fn main() -> Result<ExitCode, Taken> {
//!     LOCALIZE.add(&ALONE)?;
//!     Ok(lobe::main())
//! }
//! ```
//!
//! The folder `examples/` of the repository has one such program for each kind of thing.

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

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

/// Version and commit.
pub(crate) fn build() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("LOBE_BUILD_COMMIT"), ")")
}

/// Warnings of the libraries, one line each.
fn warnings() {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false);
    lines.with_ansi(false).with_max_level(tracing::Level::WARN).try_init().ok();
}

/// The program `lobe`, with the arguments that this process was given.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// The program `lobe` with these arguments, the program's own name first.
pub fn run(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match cli::Cli::try_parse_from(args) {
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
