//! One file per subcommand.

pub(crate) mod attack;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod figures;
pub(crate) mod list;
pub(crate) mod new;
pub(crate) mod penalty;
pub(crate) mod record;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod sample;
pub(crate) mod schema;
