//! Names that may become part of a path.

use crate::error::StoreError;

/// Longest accepted name.
const MAX_BYTES: usize = 100;

/// Refuses a name that could lead out of the run directory, hide, or mean something else on
/// another system. The recipe's own rules are narrower; this holds whoever calls.
///
/// # Errors
/// If `name` cannot be one component of a path.
pub fn check_name(name: &str) -> Result<(), StoreError> {
    let refuse = |why| Err(StoreError::Name { name: name.chars().take(MAX_BYTES).collect(), why });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > MAX_BYTES {
        return refuse("it is longer than 100 bytes");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        return refuse("only letters, digits, \".\", \"_\" and \"-\" are allowed");
    }
    if name.starts_with('.') || name.ends_with('.') {
        return refuse("it starts or ends with a dot");
    }
    if name.starts_with('-') {
        return refuse("it starts like a command-line option");
    }
    Ok(())
}
