//! What the numbers along an attack's curve count.

use crate::RunData;

/// Attacks whose curve is not over steps of training, for runs that do not say it themselves.
const KNOWN: &[(&str, &str)] = &[
    ("quantise", "precision (bits)"),
    ("logit-lens", "block"),
    ("steer", "block"),
    ("patch", "block"),
    ("linear-probe", "place of the probe"),
    ("orthogonalise", "blocks changed"),
    ("prune-magnitude", "weights set to zero"),
    ("prune-set-difference", "weights set to zero"),
    ("prefix", "search steps"),
];

/// The title of the axis along which an attack goes on.
pub(crate) fn along(run: &RunData, stage: &str) -> String {
    let found = run.manifest.stages.iter().find(|s| s.name == stage);
    if let Some(axis) = found.and_then(|s| s.axis.as_ref()).filter(|a| !a.name.is_empty()) {
        return super::axis(&axis.name, &axis.unit);
    }
    let does = found.map_or("", |s| s.does.as_str());
    KNOWN.iter().find(|(name, _)| *name == does).map_or_else(|| "attack steps".to_owned(), |k| k.1.to_owned())
}
