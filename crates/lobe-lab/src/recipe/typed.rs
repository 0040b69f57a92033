//! Deserialising a section; errors are in the recipe's own words.

use lobe_core::registry::{self, ParamError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::PathError;

/// Reads `value` as a `T`. The error carries the path inside of `value` and says what was
/// expected; an unknown key or choice names the nearest valid one.
///
/// # Errors
/// If the value does not fit the type.
pub fn typed<T: DeserializeOwned>(value: &Value) -> Result<T, PathError> {
    registry::typed(value).map_err(|(path, message)| PathError { path, message })
}

/// Like [`typed`], and the value with every default filled in: what a callback returns.
///
/// # Errors
/// If the value does not fit the type.
pub fn completed<T: DeserializeOwned + Serialize>(value: &Value) -> Result<(T, Value), PathError> {
    let read: T = typed(value)?;
    let full = registry::full(&read).map_err(|e| PathError::new("", format!("cannot be saved: {e}")))?;
    Ok((read, full))
}

/// An error that another crate found.
pub(crate) fn path_error(e: &ParamError) -> PathError {
    let path = e.path.split('.').filter(|p| !p.is_empty()).map(String::from).collect();
    PathError { path, message: e.message.clone() }
}
