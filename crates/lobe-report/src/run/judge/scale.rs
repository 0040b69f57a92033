//! The scale at which a judgement holds: size of the model, size of the attacks, and what the same attacks
//! teach a model that never had the capability. Small models learn quickly, so at a small scale attacks undo
//! even perfect filtering, and resistance beyond that cannot be seen.

use crate::RunData;
use crate::format::number;
use crate::run::judge::steps::{Steps, forgotten};
use crate::run::summary;

/// Two or three sentences; `None` where nothing is known of either size.
pub(crate) fn words(run: &RunData) -> Option<String> {
    let size = size(run);
    let budget = budget(run);
    let head = match (&size, &budget) {
        (None, None) => return None,
        (Some(size), None) => format!("Scale: {size}; nothing attacked it."),
        (None, Some(budget)) => format!("Scale: attacks of at most {budget}."),
        (Some(size), Some(budget)) => format!("Scale: {size}; attacks of at most {budget}."),
    };
    let control = run.control().and_then(|c| control(run, c));
    Some(control.map_or(head.clone(), |c| format!("{head} {c}")))
}

/// `0.61 M parameters`.
fn size(run: &RunData) -> Option<String> {
    let most = run.results.iter().filter(|(q, _)| q.metric == "params");
    let values = most.flat_map(|(_, m)| run.arms().iter().filter_map(|a| Some(m.summary(&a.name)?.mean)));
    values.reduce(f64::max).map(|n| format!("{} parameters", compact(n)))
}

/// The largest number of steps and examples any attack had.
fn budget(run: &RunData) -> Option<String> {
    let most = |metric: &str| {
        let stages = run.attack_stages().into_iter();
        let all = stages.filter_map(|s| forgotten(run, s, metric));
        let values = all.flat_map(|m| run.arms().iter().filter_map(|a| Some(m.summary(&a.name)?.mean)));
        values.reduce(f64::max).filter(|v| *v > 0.0)
    };
    let parts = [
        most("steps_budget").or_else(|| most("budget_steps")).map(|n| format!("{} steps", number(n.round()))),
        most("budget_examples").map(|n| format!("{} sequences", compact(n))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" and "))
}

/// How soon the control learns what it never saw, where it does.
fn control(run: &RunData, control: &str) -> Option<String> {
    let mut soonest: Option<(&str, f64)> = None;
    for stage in run.attack_stages() {
        let Some(steps) = Steps::of(run, stage, control).filter(|s| s.missed() == 0) else { continue };
        let Some(reached) = summary(&steps.reached) else { continue };
        if soonest.is_none_or(|(_, least)| reached.mean < least) {
            soonest = Some((stage, reached.mean));
        }
    }
    let (stage, mean) = soonest?;
    Some(format!(
        "At this scale {} steps of {stage} undo even {control}, which never saw the data.",
        number(mean.ceil())
    ))
}

/// A count in few characters.
pub(crate) fn compact(v: f64) -> String {
    match v.abs() {
        s if s >= 1e9 => format!("{} G", number((v / 1e7).round() / 1e2)),
        s if s >= 1e6 => format!("{} M", number((v / 1e4).round() / 1e2)),
        s if s >= 1e4 => format!("{} k", number((v / 1e2).round() / 1e1)),
        _ => number((v * 10.0).round() / 10.0),
    }
}
