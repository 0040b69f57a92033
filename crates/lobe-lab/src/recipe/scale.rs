//! The one dial, and the settings of `[train]` that follow from others.

use super::error::PathError;
use super::form::Derived;
use super::train::Train;
use super::tree::Node;

/// Multiplies every number of steps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale(pub(super) f64);

impl Scale {
    /// The scaled number, at least `least`, noted in `derived` when the dial is turned.
    pub(super) fn steps(self, key: &str, steps: u64, least: u64, derived: &mut Vec<Derived>) -> u64 {
        if self.0 == 1.0 {
            return steps;
        }
        let scaled = ((steps as f64 * self.0).round() as u64).max(least);
        let rule = format!("scale {} × {steps}", self.0);
        derived.push(Derived { key: key.to_owned(), value: scaled.to_string(), rule });
        scaled
    }
}

/// Resolves a training table; `key` is its name in the list of derived values.
pub(super) fn train(
    node: Option<&Node>,
    scale: Scale,
    key: &str,
    derived: &mut Vec<Derived>,
) -> Result<Train, PathError> {
    let Some(node) = node else {
        let plain = Train::read(&serde_json::json!({}))?;
        return Ok(fill(plain, &|_| false, scale, key, derived));
    };
    node.entries(&[])?;
    let written = Train::read(&node.to_json())?;
    // Before scaling, so that the error speaks of the number that was written.
    if node.get("steps").is_some() {
        Train { warmup: 0, ..written.clone() }.check()?;
    }
    let train = fill(written, &|key| node.get(key).is_some(), scale, key, derived);
    train.check()?;
    Ok(train)
}

fn fill(
    mut t: Train,
    written: &dyn Fn(&str) -> bool,
    scale: Scale,
    key: &str,
    derived: &mut Vec<Derived>,
) -> Train {
    t.steps = scale.steps(&format!("{key}.steps"), t.steps, 1, derived);
    if written("warmup") {
        t.warmup = scale.steps(&format!("{key}.warmup"), t.warmup, 0, derived);
    }
    let mut part = |name: &str, of: u64, least: u64, slot: &mut u64| {
        if written(name) {
            return;
        }
        *slot = (t.steps / of).max(least);
        let floor = if least == 0 { String::new() } else { format!(", at least {least}") };
        let rule = format!("{key}.steps / {of}{floor}");
        derived.push(Derived { key: format!("{key}.{name}"), value: slot.to_string(), rule });
    };
    part("warmup", 20, 0, &mut t.warmup);
    part("eval_every", 20, 1, &mut t.eval_every);
    part("log_every", 100, 1, &mut t.log_every);
    t
}
