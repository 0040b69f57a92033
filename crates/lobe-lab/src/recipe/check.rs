//! Small checks that word their refusals alike.

use std::fmt::Display;
use std::ops::RangeInclusive;

use lobe_core::did_you_mean;
use lobe_core::registry::{List, Listed};

use super::error::PathError;

/// Longest accepted name of a recipe, an arm, a region or a stage.
const MAX_NAME_BYTES: usize = 64;

/// `value` lies in `allowed`.
///
/// # Errors
/// Names the key, the value and the range.
pub fn range<T: Copy + PartialOrd + Display>(
    path: &str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<(), PathError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let message = format!("{value} is out of range {} to {}", allowed.start(), allowed.end());
    Err(PathError::new(path, message))
}

/// `value` is not below `least`.
///
/// # Errors
/// Names the key, the value and the bound.
pub fn at_least<T: Copy + PartialOrd + Display>(path: &str, value: T, least: T) -> Result<(), PathError> {
    if value >= least {
        return Ok(());
    }
    Err(PathError::new(path, format!("{value} is out of range: at least {least}")))
}

/// `name` is one of `known`.
///
/// # Errors
/// Names the nearest one.
pub fn one_of<'a>(
    path: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), PathError> {
    if known.clone().any(|k| k == name) {
        return Ok(());
    }
    Err(PathError::new(path, format!("unknown {what} {name:?}{}", did_you_mean(name, known))))
}

/// The entry of a list called `name`.
///
/// # Errors
/// Names the nearest one.
pub fn listed<T: Listed>(
    list: &List<T>,
    path: &str,
    what: &str,
    name: &str,
) -> Result<&'static T, PathError> {
    let unknown = || format!("unknown {what} {name:?}{}", did_you_mean(name, list.names()));
    list.find(name).ok_or_else(|| PathError::new(path, unknown()))
}

/// A name that can be part of a path and of a CSV field: lower-case letters, digits, `_`, `-`.
pub(super) fn name(what: &str, name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(fits) {
        return Err(format!(
            "{what} is 1 to {MAX_NAME_BYTES} lower-case letters, digits, \"_\" or \"-\", found {name:?}"
        ));
    }
    Ok(())
}
