//! `lobe new`: a commented recipe to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Result;
use lobe_lab::recipe::Written;
use lobe_lab::schedule;

use crate::failure::{refuse, unmade};
use crate::out;

const STARTER: &str = include_str!("starter.toml");

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe new first               writes first.toml
  lobe new first --out -       prints the recipe instead
  lobe check first.toml && lobe run first.toml --preset tiny")]
pub(crate) struct Args {
    /// Name of the experiment: lower-case letters, digits, "_" and "-"
    name: String,
    /// File to write, or - for standard output [default: NAME.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let text = STARTER.replace("{name}", &args.name);
    let checked = Written::from_str("NAME", &text)
        .map_err(lobe_lab::LabError::from)
        .and_then(|w| schedule::resolve(&w));
    if checked.is_err() {
        let what = "1 to 64 lower-case letters, digits, \"_\" or \"-\"";
        return Err(refuse(format!("the name of an experiment is {what}; found {:?}", args.name)));
    }
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.toml", args.name)));
    if path == Path::new("-") {
        return Ok(out::print(&text)?);
    }
    // Only a new file: somebody's work may stand under this name.
    let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            return Err(refuse(format!("a file of this name already exists: {}", path.display())));
        }
        other => other.map_err(|e| unmade("cannot be written", &path, e))?,
    };
    file.write_all(text.as_bytes())?;
    let shown = path.display();
    Ok(out::print(&format!("wrote {shown}; next: lobe run {shown} --preset tiny\n"))?)
}
