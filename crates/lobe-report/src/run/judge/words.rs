//! A judgement in sentences: the answer first, then what it rests on.

use crate::RunData;
use crate::format::{difference, interval, number, percent, percent_interval};
use crate::run::judge::gap::{self, Gap};
use crate::run::judge::rule::{Kept, MARGIN, Present, RETAIN_TOLERANCE, Returns, Word};
use crate::run::judge::{Judged, Measure, Role, Versus};
use crate::run::summary;
use crate::stats::{self, Side};

/// Less than this share of the gap before a cut means that the cut had little to remove.
const LEARNT: f64 = 0.5;

/// All that is said of one arm.
pub(crate) fn sentences(run: &RunData, j: &Judged, gap: Gap) -> Vec<String> {
    let mut out = Vec::new();
    if j.role == Role::Judged {
        out.push(answer(run, j, gap));
    }
    out.extend(unattacked(run, j));
    out.extend(never_learnt(run, j));
    out.extend(under_attack(run, j));
    out.extend(beside_control(run, j));
    out.extend(undone(run, j));
    out.extend(retained(run, j));
    out
}

/// The conclusion.
fn answer(run: &RunData, j: &Judged, gap: Gap) -> String {
    let control = run.control().unwrap_or("the control");
    let margin = percent(MARGIN);
    match (j.word, gap) {
        (Word::NotJudged, _) if run.control().is_none() => {
            "Not judged: without a control arm nobody can say whether the capability is gone or hidden."
                .into()
        }
        (Word::NotJudged, _) if run.baseline().is_none() => {
            "Not judged: without the original (a baseline that has the capability) a gain has no scale."
                .into()
        }
        (Word::NotJudged, _) => format!("Not judged: the gap to {control} was not measured."),
        (Word::Nothing, _) => {
            format!("Nothing to remove: {control} is no worse at it than the baseline.")
        }
        (_, Gap::Uncertain) => {
            format!("Undecided: the seeds do not show that {control} is worse at it than the baseline.")
        }
        (Word::OneSeed, _) => "Not judged: one seed has no spread; five are a useful number.".into(),
        (Word::StillThere, _) => "Not removed: it is still there without any attack.".into(),
        (Word::Hidden, _) => {
            format!("Hidden, not removed: gone without an attack, but more comes back than {control} gains.")
        }
        (Word::NotRemoved, _) => format!(
            "Not removed: more comes back than {control} gains. Whether it was gone before the attack is undecided."
        ),
        (Word::GoneUntilAttacked, _) => format!(
            "Gone without an attack. Whether more comes back than {control} gains is undecided: no sign that it is \
             hidden, no proof that it is removed."
        ),
        (Word::Untested, _) => format!(
            "Gone without an attack. Nothing attacked it and {control} alike, so hidden and removed look the same."
        ),
        (Word::Damaged, _) => format!(
            "Gone, and it does not come back, but the model {} damaged: its retain loss is {}more than {} % above \
             that of every reference.",
            if j.retain.as_ref().is_some_and(|r| r.kept == Kept::No) { "is" } else { "may be" },
            if j.retain.as_ref().is_some_and(|r| r.kept == Kept::No) { "" } else { "perhaps " },
            percent(RETAIN_TOLERANCE)
        ),
        (Word::Removed, _) => format!(
            "Removed at this scale: attacks bring back no more than {control} gains (to within {margin} % of the gap)."
        ),
        (Word::Undecided, _) => match j.returns {
            Some(Returns::NoMore) => format!(
                "Undecided: no more comes back than {control} gains, but the seeds disagree on how much was left \
                 before the attack."
            ),
            _ => "Undecided: the seeds disagree too much, both without an attack and under it.".into(),
        },
    }
}

/// What was done to an arm last, as a noun.
fn treatment<'a>(run: &'a RunData, arm: &str) -> &'a str {
    let last = run.before_after(arm, "loss").and_then(|(_, last)| run.manifest.stage(last));
    last.and_then(|s| s.noun.as_deref()).unwrap_or("the removal")
}

/// The first question, with its numbers.
fn unattacked(run: &RunData, j: &Judged) -> Option<String> {
    let after = summary(&run.after(&j.arm, "loss", &j.label))?;
    let before = summary(&run.before(&j.arm, "loss", &j.label)).filter(|b| *b != after);
    let unit = run.unit("loss");
    let loss = format!("{} loss", j.label);
    let mut text = match before {
        Some(b) if run.changed(&j.arm, "loss") => {
            format!(
                "After {} its {loss} is {} {unit} (before: {})",
                treatment(run, &j.arm),
                interval(&after),
                number(b.mean)
            )
        }
        _ => format!("Without an attack its {loss} is {} {unit}", interval(&after)),
    };
    if let (Some(closed), Some(baseline), Some(control)) = (&j.closed, run.baseline(), run.control())
        && j.role == Role::Judged
    {
        text = format!(
            "{}: {} of the gap from {baseline} to {control}",
            text.trim_end(),
            percent_interval(closed)
        );
        let least = percent(1.0 - MARGIN);
        match j.present {
            Some(Present::There) => text += &format!(", clearly less than {least} %"),
            Some(Present::Gone) => text += &format!(", clearly at least {least} %"),
            Some(Present::Undecided) => {
                text += &format!("; the interval holds {least} %, so this is undecided");
            }
            None => {}
        }
    }
    Some(text.trim_end().to_owned() + ".")
}

/// That an arm hardly had the capability before the cut, so that the cut is no removal of it.
fn never_learnt(run: &RunData, j: &Judged) -> Option<String> {
    if j.role != Role::Judged || !run.changed(&j.arm, "loss") {
        return None;
    }
    let before = summary(&gap::closed_before(run, &j.arm, &j.label))?;
    let clearly = before.beyond(1.0 - LEARNT) == Some(Side::Above);
    (clearly && before.mean > 1.0 - LEARNT).then(|| {
        format!(
            "Before {} the model already lacked {} of the gap, so that step had little to remove.",
            treatment(run, &j.arm),
            percent_interval(&before)
        )
    })
}

/// The second question, with its numbers.
fn under_attack(run: &RunData, j: &Judged) -> Option<String> {
    let worst = j.attacks.get(j.worst?)?;
    let n = j.attacks.len();
    let mut text = if n == 1 {
        format!("Under {}", worst.stage)
    } else {
        format!("Under {}, the worst of {n} attacks,", worst.stage)
    };
    match (&worst.steps, &worst.returned, &worst.reached) {
        (Some(steps), _, _) => text += &format!(" it is back at the baseline's loss after {steps}"),
        (None, Some(share), _) if share.mean <= 0.0 => text += " nothing comes back",
        (None, Some(share), _) => text += &format!(" {} of the gap comes back", percent_interval(share)),
        (None, None, Some(share)) => text += &format!(" {} of the gap is there", percent_interval(share)),
        (None, None, None) => return None,
    }
    let others: Vec<String> = [run.filter(), run.control()]
        .into_iter()
        .flatten()
        .filter(|o| *o != j.arm)
        .filter_map(|o| Some(resists(j.beside(o)?)))
        .collect();
    if !others.is_empty() {
        text += &format!("; {}", others.join(", and "));
    }
    Some(text + ".")
}

/// The second question in the loss's unit, where shares of the gap are not known.
fn beside_control(run: &RunData, j: &Judged) -> Option<String> {
    let beyond = j.beyond.as_ref().filter(|_| run.baseline().is_none())?;
    let unit = run.unit("loss");
    let side = match beyond.beyond(0.0) {
        Some(Side::Above) => "clearly more",
        Some(Side::Below) => "clearly less",
        Some(Side::Either) => "not distinguishable",
        None => "one seed",
    };
    let control = run.control()?;
    Some(format!("Attacks gain {} {unit} more on it than on {control} ({side}).", difference(beyond)))
}

/// What a run without a control can still say.
fn undone(run: &RunData, j: &Judged) -> Option<String> {
    let undone = j.undone.as_ref().filter(|_| run.control().is_none() && j.role == Role::Judged)?;
    Some(format!(
        "The best attack brings back {} of what the removal took from the original.",
        percent_interval(undone)
    ))
}

/// `it holds out 4 [−13, 5] steps more than filter`, for a sentence.
fn resists(v: &Versus) -> String {
    let down = v.by.mean < 0.0;
    let least = if v.bounded { "at least " } else { "" };
    let scale = if v.measure == Measure::Share { 100.0 } else { 1.0 };
    let size = interval(&v.by.scaled(if down { -scale } else { scale }));
    let words = match v.measure {
        Measure::Steps => {
            format!(
                "it holds out {least}{size} steps {} than {}",
                if down { "less" } else { "more" },
                v.other
            )
        }
        Measure::Share => {
            format!("{size} % of the gap {} is there than of {}", if down { "more" } else { "less" }, v.other)
        }
    };
    let told = match v.by.beyond(0.0) {
        Some(Side::Either) => " (not distinguishable)",
        None => " (one seed)",
        _ => "",
    };
    words + told
}

/// What it costs.
fn retained(run: &RunData, j: &Judged) -> Option<String> {
    if j.role != Role::Judged {
        return None;
    }
    let retain = j.retain.as_ref()?;
    let unit = run.unit("loss");
    let size = format!("{} {unit}", difference(&retain.by)).trim_end().to_owned();
    let n = retain.by.n;
    let over = format!("paired over {n} {}", if n == 1 { "seed" } else { "seeds" });
    let told = match retain.by.beyond(0.0) {
        Some(Side::Above) => "is higher than",
        Some(Side::Below) => "is lower than",
        Some(Side::Either) => "is not distinguishable from",
        None => "beside",
    };
    Some(format!("Its retain loss {told} that of {}: {size}, {over}.", retain.against))
}

/// What limits a run's judgement.
pub(crate) fn caveats(run: &RunData, judged: &[Judged]) -> Vec<String> {
    let mut out = Vec::new();
    let none = !judged.iter().any(|j| j.role == Role::Judged);
    // Whoever removes nothing and attacks nothing asks another question, and needs no control for it.
    let other =
        none && run.attack_stages().is_empty() && !run.manifest.arms.iter().any(|a| !a.removes.is_empty());
    if other {
        out.push("There was no cut and no attack in this run, so there is no verdict.".to_owned());
    } else if none {
        out.push("No arm was measured after a removal, so there is nothing to judge.".to_owned());
    }
    if run.control().is_none() && !other {
        out.push(
            "This run has no control arm that never had the capability. It can show that a loss went up, not that the \
             capability is gone rather than hidden."
                .to_owned(),
        );
    }
    let n = run.manifest.seeds.len();
    match stats::detectable(n) {
        None if n == 1 => {
            out.push("One seed: there are no intervals, and every difference may be chance.".to_owned());
        }
        Some(sds) if n < 5 => out.push(format!(
            "{n} seeds: a paired difference is told from chance only beyond {} standard deviations between seeds \
             (5 seeds: 1.2).",
            number((sds * 10.0).round() / 10.0)
        )),
        _ => {}
    }
    if let Some(state) = run.manifest.state.unfinished() {
        out.push(format!("The run is not finished (state: {state}); numbers may still change."));
    }
    out
}

/// Most names in one sentence.
const NAMES: usize = 6;

/// All arms at once, where several attacks make a matrix.
pub(crate) fn overview(run: &RunData, judged: &[Judged]) -> Vec<String> {
    let attacks = run.attack_stages().len();
    let own: Vec<&Judged> = judged.iter().filter(|j| j.role == Role::Judged).collect();
    if attacks < 2 || own.len() < 2 {
        return Vec::new();
    }
    let mut words: Vec<Word> = own.iter().map(|j| j.word).collect();
    words.sort_unstable();
    words.dedup();
    let each = words.into_iter().map(|word| {
        let names: Vec<&str> = own.iter().filter(|j| j.word == word).map(|j| j.arm.as_str()).collect();
        let more = names.len().saturating_sub(NAMES);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "{} of {} {}: {}{tail}.",
            names.len(),
            own.len(),
            word.text(),
            names[..names.len().min(NAMES)].join(", ")
        )
    });
    let head = format!("{} arms met {attacks} attacks.", own.len());
    std::iter::once(head).chain(each).chain(leader(&own)).collect()
}

/// The arm of which least comes back among those that keep their retain loss.
fn leader(own: &[&Judged]) -> Option<String> {
    let whole = |j: &&&Judged| j.retain.as_ref().is_some_and(|r| r.kept == Kept::Yes);
    let share = |j: &Judged| Some(j.attacks.get(j.worst?)?.reached?.mean);
    let attacked = own.iter().filter(whole).filter_map(|j| Some((*j, share(j)?)));
    let (best, _) = attacked.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let worst = best.attacks.get(best.worst?)?;
    Some(format!(
        "Of the arms that keep their retain loss, {} lets least come back: at worst ({}) it is at {} of the gap.",
        best.arm,
        worst.stage,
        percent_interval(&worst.reached?)
    ))
}
