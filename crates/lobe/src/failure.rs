//! From an error to an exit code, in one place.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use lobe_core::did_you_mean;
use lobe_lab::LabError;
use lobe_lab::recipe::RecipeError;
use lobe_lab::words;
use lobe_runs::StoreError;

/// Everything went as asked.
pub(crate) const DONE: u8 = 0;
/// Anything that is not said below.
pub(crate) const FAILED: u8 = 1;
/// What was given cannot be used: arguments, a recipe, a file.
pub(crate) const BAD_INPUT: u8 = 2;
/// Everything is finished but members whose numbers were not finite, and what starts from them.
pub(crate) const PARTLY: u8 = 3;
/// Interrupted after saving, or before there was anything to save; the same command resumes.
pub(crate) const INTERRUPTED: u8 = 75;

/// Something given to the program that it cannot use.
#[derive(Debug)]
pub(crate) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// An error about what was given.
pub(crate) fn refuse(what: impl Into<String>) -> anyhow::Error {
    Refused(what.into()).into()
}

/// A file or folder that was given to be made, and could not be.
pub(crate) fn unmade(what: &'static str, path: &Path, source: std::io::Error) -> anyhow::Error {
    StoreError::Io { what, path: path.to_owned(), source }.into()
}

/// A name nobody knows, with the nearest one.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> anyhow::Error {
    refuse(format!("no {what} {name:?}{}", did_you_mean(name, known)))
}

/// The exit code that an error stands for.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    if let Some(e) = error.downcast_ref::<LabError>() {
        return match e {
            LabError::Interrupted => INTERRUPTED,
            LabError::Partly(_) => PARTLY,
            LabError::Store(StoreError::NotARun { .. } | StoreError::Damaged { .. }) => BAD_INPUT,
            LabError::Store(StoreError::Io { source, .. }) if misplaced(source) => BAD_INPUT,
            e if e.is_input() => BAD_INPUT,
            _ => FAILED,
        };
    }
    // Outside of a run, what is written is a file that somebody named.
    if let Some(e) = error.downcast_ref::<StoreError>() {
        let named = match e {
            StoreError::Io { source, .. } => misplaced(source) || source.kind() == ErrorKind::NotFound,
            StoreError::Content { .. } => true,
            _ => false,
        };
        return if named { BAD_INPUT } else { FAILED };
    }
    let input = error.is::<Refused>()
        || error.is::<RecipeError>()
        || error.is::<lobe_report::ReportError>()
        || error.is::<lobe_nets::NetError>()
        || error.is::<lobe_data::DataError>()
        || error.is::<lobe_core::RegionError>()
        || error.is::<lobe_methods::ParamError>();
    if input { BAD_INPUT } else { FAILED }
}

/// Whether a path that was given cannot be what it is meant to be, whoever tries.
fn misplaced(e: &std::io::Error) -> bool {
    use ErrorKind::{AlreadyExists, InvalidFilename, IsADirectory, NotADirectory};
    matches!(e.kind(), AlreadyExists | InvalidFilename | IsADirectory | NotADirectory)
}

/// Whether a run is finished but for members that failed: then there is a report.
pub(crate) fn partly(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<LabError>(), Some(LabError::Partly(_)))
}

/// Whether a file of data is not where the recipe looks for it: nothing is wrong with the recipe.
pub(crate) fn data_not_here(error: &anyhow::Error) -> bool {
    let of_lab = |e: &LabError| match e {
        LabError::Data(e) => Some(not_found(e)),
        _ => None,
    };
    let data = error.downcast_ref::<lobe_data::DataError>().map(not_found);
    error.downcast_ref::<LabError>().and_then(of_lab).or(data).unwrap_or(false)
}

fn not_found(e: &lobe_data::DataError) -> bool {
    matches!(e, lobe_data::DataError::Read { reason, .. } if reason.kind() == ErrorKind::NotFound)
}

/// The lines an error is told in, one for each thing that is wrong, with what helps against it.
pub(crate) fn lines(error: &anyhow::Error) -> Vec<String> {
    let what = if code(error) == INTERRUPTED { "stopped" } else { "error" };
    let hint = if data_not_here(error) { " (--set data.dir=FOLDER says where data files are)" } else { "" };
    let recipe = error.downcast_ref::<LabError>().and_then(|e| match e {
        LabError::Recipe(e) => Some(e),
        _ => None,
    });
    if let Some(first) = recipe.or_else(|| error.downcast_ref::<RecipeError>()) {
        let all = std::iter::once(first).chain(&first.others);
        return all.map(|e| format!("{what}: {}", wrong_key(e))).collect();
    }
    told(error).lines().map(|line| format!("{what}: {line}{hint}")).collect()
}

/// One error of a recipe without the others; of a key that is missing, also what it means.
fn wrong_key(e: &RecipeError) -> String {
    let one = RecipeError { others: Vec::new(), ..e.clone() }.to_string();
    let missing = e.message.strip_prefix("the key \"").and_then(|m| m.strip_suffix("\" is missing"));
    let Some(key) = missing else { return one };
    let tree = words::recipe_keys();
    let path = if e.path.is_empty() { key.to_owned() } else { format!("{}.{key}", e.path) };
    let found = words::find(&tree, &path);
    let docs: Vec<&str> = found.iter().map(|f| f.key.doc.as_str()).filter(|d| !d.is_empty()).collect();
    match docs.as_slice() {
        [doc] => format!("{one}: {}", doc.trim_end_matches('.')),
        _ => one,
    }
}

/// An error and its causes, without those that the text before them holds already.
fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string).filter(|c| !c.is_empty()) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_has_its_code() {
        assert_eq!(code(&refuse("x")), BAD_INPUT);
        assert_eq!(code(&anyhow::anyhow!("x")), FAILED);
        assert_eq!(code(&LabError::Interrupted.into()), INTERRUPTED);
        assert_eq!(code(&LabError::Partly(Vec::new()).into()), PARTLY);
        assert_eq!(code(&LabError::Setting("x".into()).into()), BAD_INPUT);
        let elsewhere = StoreError::NotARun { path: "x".into() };
        assert_eq!(code(&LabError::Store(elsewhere).into()), BAD_INPUT);
        assert_eq!(code(&anyhow::Error::from(LabError::Interrupted).context("run")), INTERRUPTED);
    }

    #[test]
    fn a_named_file_that_cannot_be_written_is_bad_input_and_told_once() {
        let not_made = |kind: ErrorKind| unmade("cannot be written", Path::new("a/b"), kind.into());
        for kind in [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::IsADirectory] {
            assert_eq!(code(&not_made(kind)), BAD_INPUT, "{kind}");
            assert_eq!(lines(&not_made(kind)), [format!("error: cannot be written: {kind}: a/b")]);
        }
        assert_eq!(code(&not_made(ErrorKind::StorageFull)), FAILED);
        // In a run, a folder that has gone is nobody's wrong argument.
        let path = "a/b".into();
        let gone = StoreError::Io { what: "cannot be read", path, source: ErrorKind::NotFound.into() };
        assert_eq!(code(&LabError::Store(gone).into()), FAILED);
        // Causes that say more are told.
        let error = anyhow::anyhow!("inner").context("outer");
        assert_eq!(lines(&error), ["error: outer: inner"]);
    }
}
