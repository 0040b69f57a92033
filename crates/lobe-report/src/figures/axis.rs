//! What the numbers along an attack's curve count.

use crate::RunData;

/// The title of the axis along which an attack goes on.
pub(crate) fn along(run: &RunData, stage: &str) -> String {
    let axis = run.manifest.stage(stage).and_then(|s| s.axis.as_ref()).filter(|a| !a.name.is_empty());
    axis.map_or_else(|| "attack steps".to_owned(), |a| super::axis(&a.name, &a.unit))
}
