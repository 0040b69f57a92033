//! What attacks gain in the loss's own unit, for runs that lack the baseline or the control which would
//! give a gain its scale.

use std::collections::BTreeMap;

use crate::RunData;
use crate::run::judge::shares::{BySeed, at};
use crate::stats::{self, Summary};

fn finals(run: &RunData, stage: &str, label: &str, arm: &str, metric: &str) -> BySeed {
    run.measured(stage, metric, label).map_or_else(Vec::new, |m| m.finals(arm))
}

/// How far attacks took the loss below `least(start, control's start)`, the most over `stages`, by seed.
fn gained(run: &RunData, stages: &[&str], label: &str, arm: &str) -> BySeed {
    let mut out: BTreeMap<u64, f64> = BTreeMap::new();
    for stage in stages {
        let of = |metric| finals(run, stage, label, arm, metric);
        let (start, best, control) = (of("attack_start"), of("attack_best"), of("control_start"));
        for (seed, best) in best {
            let Some(start) = at(&start, seed) else { continue };
            let from = at(&control, seed).map_or(start, |c| start.min(c));
            let most = out.entry(seed).or_insert(0.0);
            *most = most.max(from - best);
        }
    }
    out.into_iter().collect()
}

/// What came back beyond what the same attacks teach the control, paired by seed; in the loss's unit.
pub(crate) fn beyond(run: &RunData, label: &str, arm: &str, control: &str) -> Option<Summary> {
    let both = |s: &&str| [arm, control].iter().all(|a| !finals(run, s, label, a, "attack_best").is_empty());
    let stages: Vec<&str> = run.attack_stages().into_iter().filter(both).collect();
    let [own, theirs] = [arm, control].map(|a| gained(run, &stages, label, a));
    stats::difference(&own, &theirs)
}

/// Share of what the removal took that the best attack brought back: (start − best) / (start − baseline),
/// on the attack's own tokens. Needs no control, and says nothing of hidden or removed.
pub(crate) fn undone(run: &RunData, label: &str, arm: &str) -> Option<Summary> {
    let mut out: BTreeMap<u64, f64> = BTreeMap::new();
    for stage in run.attack_stages() {
        let of = |metric| finals(run, stage, label, arm, metric);
        let (start, best, low) = (of("attack_start"), of("attack_best"), of("baseline_start"));
        for (seed, best) in best {
            let Some((start, low)) = at(&start, seed).zip(at(&low, seed)).filter(|(s, l)| s > l) else {
                continue;
            };
            let most = out.entry(seed).or_insert(f64::NEG_INFINITY);
            *most = most.max((start - best) / (start - low));
        }
    }
    stats::summarize(&out.into_values().collect::<Vec<_>>())
}
