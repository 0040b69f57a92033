//! The one judgement of a run: page, terminal, JSON, record and `lobe attack` all say what stands here.
//!
//! [`rule`] holds the two questions and the words, `shares` and `steps` the numbers they are asked of,
//! `words` the sentences. Nothing is judged without a control that never had the capability.

mod gap;
mod losses;
pub mod rule;
pub(crate) mod scale;
pub(crate) mod shares;
pub(crate) mod steps;
mod versus;
mod words;

use crate::run::summary;
use crate::stats::{self, Side, Summary};
use crate::{Arm, RunData};

use gap::Gap;
use rule::{Kept, Present, Returns, Word};
use steps::Steps;
pub use versus::{Measure, Versus};

/// What a run comes to.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// The arms that are judged, then the references; the manifest's order within.
    pub arms: Vec<Judged>,
    /// All arms at once, where there are many.
    pub overview: Vec<String>,
    /// The scale at which all of it holds.
    pub scale: Option<String>,
    /// What limits it.
    pub caveats: Vec<String>,
}

/// Whether an arm is judged or stands for comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Something was removed from it, or it was trained to be without.
    Judged,
    /// Trained on everything.
    Baseline,
    /// Never had the capability.
    Control,
    /// Never trained.
    Fresh,
}

/// Retain loss beside a reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Retain {
    /// The reference: ordinary training on filtered data, or the baseline without it.
    pub against: String,
    /// Paired difference of the retain losses; positive is worse than the reference.
    pub by: Summary,
    /// What it says about damage, held against the worst of all references.
    pub kept: Kept,
}

/// What one attack did to an arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Attacked {
    /// The attack's stage.
    pub stage: String,
    /// Share of the gap that was there after it, of the start that is worst on average.
    pub reached: Option<Summary>,
    /// Share of the gap it brought back, of that start.
    pub returned: Option<Summary>,
    /// How long it took, in words; `None` where it takes no steps.
    pub steps: Option<String>,
    /// The same for a cell of a table: `44 [39, 50] steps`, `42, > 64 steps`.
    pub steps_short: Option<String>,
}

/// One arm, judged for one capability.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The arm.
    pub arm: String,
    /// The label whose capability is meant.
    pub label: String,
    /// Whether it is judged at all.
    pub role: Role,
    /// Share of the gap from baseline to control that is closed without an attack, over seeds.
    pub closed: Option<Summary>,
    /// Whether it is still there without an attack.
    pub present: Option<Present>,
    /// Whether more comes back than the control gains.
    pub returns: Option<Returns>,
    /// Retain loss beside the filter, or the baseline.
    pub retain: Option<Retain>,
    /// Every attack on this capability, in order.
    pub attacks: Vec<Attacked>,
    /// Index of the attack that brought most back.
    pub worst: Option<usize>,
    /// How much longer or better it resists than other arms, attack by attack.
    pub versus: Vec<Versus>,
    /// What came back beyond what the same attacks teach the control, in the loss's unit.
    pub beyond: Option<Summary>,
    /// Share of what the removal took that the best attack brought back.
    pub undone: Option<Summary>,
    /// What it comes to.
    pub word: Word,
    /// The same in sentences, the answer first.
    pub sentences: Vec<String>,
}

impl Judged {
    /// The comparison with `other` under the worst attack.
    pub fn beside(&self, other: &str) -> Option<&Versus> {
        let stage = &self.attacks.get(self.worst?)?.stage;
        self.versus.iter().find(|v| v.other == other && v.stage == *stage)
    }
}

/// Judges a run; worked out at the first question.
pub fn judge(run: &RunData) -> &Judgement {
    run.judgement()
}

/// Works the judgement out.
pub(crate) fn work_out(run: &RunData) -> Judgement {
    let arms = run.arms().iter();
    let mut judged: Vec<Judged> =
        arms.flat_map(|a| labels(run, a).into_iter().filter_map(|label| one(run, a, label))).collect();
    judged.sort_by_key(|j| j.role != Role::Judged);
    let overview = words::overview(run, &judged);
    Judgement { overview, scale: scale::words(run), caveats: words::caveats(run, &judged), arms: judged }
}

/// The capabilities an arm is judged for: the labels it is to be without.
fn labels<'a>(run: &'a RunData, arm: &'a Arm) -> Vec<&'a str> {
    let known = |l: &&str| run.manifest.labels.iter().any(|k| k == l);
    let named: Vec<&str> = arm.removes.iter().map(String::as_str).filter(known).collect();
    if !named.is_empty() {
        return named;
    }
    let attacked = run.attack_stages().into_iter().find_map(|s| run.target(s, "recovery"));
    vec![attacked.unwrap_or("forget")]
}

fn role(run: &RunData, arm: &Arm) -> Role {
    let name = Some(arm.name.as_str());
    match () {
        () if run.fresh() == name => Role::Fresh,
        () if run.baseline() == name => Role::Baseline,
        () if run.control() == name || arm.control => Role::Control,
        () => Role::Judged,
    }
}

fn one(run: &RunData, arm: &Arm, label: &str) -> Option<Judged> {
    let name = arm.name.as_str();
    let role = role(run, arm);
    let measured = summary(&run.after(name, "loss", label));
    let stages: Vec<&str> = run.attack_stages().into_iter().filter(|s| targets(run, s, label)).collect();
    let attacks: Vec<Attacked> = stages.iter().filter_map(|s| attacked(run, s, label, name)).collect();
    // An arm that was neither cut nor attacked says nothing, unless it is what others are held against.
    let compared = run.is_reference(name) || !attacks.is_empty() || run.changed(name, "loss");
    if (measured.is_none() && attacks.is_empty()) || !compared {
        return None;
    }
    let gap = gap::gap(run, label);
    let closed = match gap {
        Gap::Open | Gap::Uncertain => summary(&gap::closed(run, name, label)),
        Gap::None | Gap::Unknown => None,
    };
    let most = |a: &Attacked| a.returned.map_or(f64::NEG_INFINITY, |s| s.mean);
    // Of equal ones the first, so `max_by` runs backwards.
    let worst = (0..attacks.len()).rev().max_by(|a, b| most(&attacks[*a]).total_cmp(&most(&attacks[*b])));
    let beyond = match (run.control(), worst) {
        (Some(control), Some(worst)) if control != name => {
            versus::beyond(run, label, name, control, &attacks[worst].stage)
        }
        _ => Vec::new(),
    };
    let present = closed.as_ref().and_then(rule::present);
    let returns = rule::returns(&beyond);
    let retain = retain(run, name, label);
    let kept = retain.as_ref().map_or(Kept::Unknown, |r| r.kept);
    let other = run.control().filter(|c| *c != name);
    let excess = other.and_then(|c| losses::beyond(run, label, name, c));
    let word = match (role, gap) {
        _ if run.control().is_none() => Word::NotJudged,
        // Without a baseline there is no scale to call a gain small, but more than the control's is more.
        _ if run.baseline().is_none() => {
            let more = excess.and_then(|e| e.beyond(0.0)) == Some(Side::Above);
            if more { Word::NotRemoved } else { Word::NotJudged }
        }
        (_, Gap::None) => Word::Nothing,
        (_, Gap::Unknown) => Word::NotJudged,
        _ if closed.is_some_and(|c| c.n < 2) => Word::OneSeed,
        (_, Gap::Uncertain) => Word::Undecided,
        _ if closed.is_none() => Word::NotJudged,
        _ => rule::word(present, returns, kept),
    };
    let mut judged = Judged {
        arm: name.to_owned(),
        label: label.to_owned(),
        role,
        closed,
        present,
        returns,
        retain,
        beyond: excess,
        undone: losses::undone(run, label, name),
        versus: versus::all(run, label, name, &stages),
        attacks,
        worst,
        word,
        sentences: Vec::new(),
    };
    judged.sentences = words::sentences(run, &judged, gap);
    Some(judged)
}

/// Whether an attack stage tries to bring `label` back.
fn targets(run: &RunData, stage: &str, label: &str) -> bool {
    let loss = run.attack_metric(stage);
    ["recovery", "steps_target", "attack_best", loss].iter().any(|m| run.target(stage, m) == Some(label))
}

fn attacked(run: &RunData, stage: &str, label: &str, arm: &str) -> Option<Attacked> {
    let reached = shares::reached(run, stage, label, arm);
    let returned = shares::returned(run, stage, label, arm);
    let steps = Steps::of(run, stage, arm);
    let of = |starts: &[crate::starts::Start]| summary(&shares::worst_start(starts)?.0.values);
    let (reached, returned) = (of(&reached), of(&returned));
    let measured = run.measured(stage, "attack_best", label).is_some_and(|m| !m.finals(arm).is_empty());
    (reached.is_some() || steps.is_some() || measured).then(|| Attacked {
        stage: stage.to_owned(),
        reached,
        returned,
        steps: steps.as_ref().map(Steps::words),
        steps_short: steps.as_ref().map(|s| s.short(" steps")),
    })
}

/// The label that must not suffer: `retain`, or the first other one.
pub(crate) fn retain_label<'a>(run: &'a RunData, target: &str) -> Option<&'a str> {
    let labels = &run.manifest.labels;
    let near = |l: &str| l.starts_with("adjacent");
    let other = |l: &&String| **l != target && !near(l) && !matches!(l.as_str(), "" | "all" | "unlabelled");
    labels.iter().find(|l| *l == "retain").or_else(|| labels.iter().find(other)).map(String::as_str)
}

/// Retain loss against ordinary training on filtered data, or against the baseline without it; and whether
/// it is worse than every reference by more than the tolerance.
pub(crate) fn retain(run: &RunData, arm: &str, target: &str) -> Option<Retain> {
    let label = retain_label(run, target)?;
    let own = run.after(arm, "loss", label);
    let than = |other: &str| stats::difference(&own, &run.after(other, "loss", label));
    let against = [run.filter(), run.baseline(), run.control()].into_iter().flatten().find(|o| *o != arm)?;
    let references =
        [run.baseline(), run.control(), run.filter()].into_iter().flatten().filter(|o| *o != arm);
    let level = |other: &str| summary(&run.after(other, "loss", label)).map(|s| s.mean);
    let worst = references.filter_map(|o| Some((o, level(o)?))).max_by(|a, b| a.1.total_cmp(&b.1));
    let above = worst.and_then(|(o, level)| Some((than(o)?, level)));
    let kept = above.as_ref().map_or(Kept::Unknown, |(d, level)| rule::kept(Some(d), *level));
    Some(Retain { against: against.to_owned(), by: than(against)?, kept })
}
