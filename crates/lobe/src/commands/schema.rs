//! `lobe schema`: the JSON schema of recipes.

use anyhow::Result;

use crate::out;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  lobe schema > recipe.schema.json
  # then, in the first line of a recipe, for editors that use Taplo:
  #:schema ./recipe.schema.json")]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> Result<()> {
    Ok(out::json(&lobe_lab::words::schema())?)
}
