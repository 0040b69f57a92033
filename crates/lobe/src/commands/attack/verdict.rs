//! What the attacks on one model came to, in a few lines.
//!
//! As in the report: without a control nothing is called removed, and what intervals do not tell apart
//! is not called different.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use lobe_report::RunData;
use lobe_report::stats::{self, Summary, mean};
use serde_json::{Value, json};

use super::Args;
use crate::failure::refuse;
use crate::table::wrap;

/// The label that is brought back, and the one that is to stay.
const FORGET: &str = "forget";
const RETAIN: &str = "retain";
/// A retain loss so many times the control's belongs to a broken model.
const BROKEN: f64 = 1.1;
/// What an attack needed.
const BUDGET: [&str; 4] = ["steps", "tokens", "examples", "parameters"];

/// One attack on one arm; means over seeds.
struct Attacked {
    attack: String,
    variant: Option<String>,
    /// Forget and retain loss before and after.
    forget: (f64, f64),
    /// Forget loss of the original and of the control on the attack's own tokens, where they were given.
    references: (Option<f64>, Option<f64>),
    retain: (Option<f64>, Option<f64>),
    budget: [Option<f64>; 4],
    recovery: Option<f64>,
    /// The forget loss after it, by seed.
    by_seed: Vec<(u64, f64)>,
}

/// All attacks on one arm, in the order they were made.
struct Arm(Vec<Attacked>);

/// How the model stands beside the control.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    NoControl,
    OneSeed,
    /// More than half of what the original has is there before any attack.
    There,
    Hidden,
    Alike,
    Below,
}

/// The result of a run of `lobe attack`.
pub(super) struct Verdict {
    seeds: usize,
    model: Arm,
    control: Option<Arm>,
    fresh: Arm,
    /// The original's forget loss on the first attack's tokens, where it was given.
    original: Option<f64>,
    /// Control − model after the best attacks, on the seeds both have.
    gap: Option<Summary>,
    standing: Standing,
}

impl Arm {
    fn of(run: &RunData, arm: &str) -> Arm {
        Arm(run.attack_stages().into_iter().filter_map(|stage| attacked(run, stage, arm)).collect())
    }

    /// The attack that left the lowest forget loss.
    fn best(&self) -> Option<&Attacked> {
        self.0.iter().min_by(|a, b| a.forget.1.total_cmp(&b.forget.1))
    }

    /// The forget loss before any attack.
    fn start(&self) -> Option<f64> {
        self.0.first().map(|a| a.forget.0)
    }

    /// The lowest forget loss of each seed, whatever the attack.
    fn by_seed(&self) -> Vec<(u64, f64)> {
        let mut out: BTreeMap<u64, f64> = BTreeMap::new();
        for (seed, loss) in self.0.iter().flat_map(|a| &a.by_seed) {
            let low = out.entry(*seed).or_insert(*loss);
            *low = low.min(*loss);
        }
        out.into_iter().collect()
    }
}

fn attacked(run: &RunData, stage: &str, arm: &str) -> Option<Attacked> {
    let finals = |metric: &str, label: &str| run.measured(stage, metric, label).map(|m| m.finals(arm));
    let over = |metric: &str, label: &str| {
        let values: Vec<f64> = finals(metric, label)?.into_iter().map(|(_, v)| v).collect();
        mean(&values)
    };
    let variants = run.results.keys().filter(|q| q.stage == stage && q.label == FORGET);
    let variant = variants
        .filter_map(|q| Some((q.metric.strip_prefix("attack_best@")?, over(&q.metric, FORGET)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    Some(Attacked {
        attack: run.does(stage).to_owned(),
        variant: variant.map(|(name, _)| name.to_owned()),
        forget: (over("attack_start", FORGET)?, over("attack_best", FORGET)?),
        references: (over("baseline_start", FORGET), over("control_start", FORGET)),
        retain: (over("attack_start", RETAIN), over("attack_retain", RETAIN)),
        budget: BUDGET.map(|b| over(&format!("budget_{b}"), FORGET)),
        recovery: over("recovery", FORGET),
        by_seed: finals("attack_best", FORGET)?,
    })
}

impl Verdict {
    /// Reads it from a finished run.
    pub(super) fn of(run: &RunData) -> Result<Verdict> {
        let model = Arm::of(run, "model");
        if model.best().is_none() {
            return Err(refuse("none of these attacks ends in a loss, so there is no verdict"));
        }
        let control = run.control().map(|c| Arm::of(run, c)).filter(|c| c.best().is_some());
        let gap = control.as_ref().and_then(|c| stats::difference(&c.by_seed(), &model.by_seed()));
        // All three on the tokens of the first attack: losses of other tokens are no scale.
        let (original, beside) = model.0.first().map_or((None, None), |a| a.references);
        let scale = model.start().zip(beside).zip(original);
        let standing = match (&control, gap.and_then(|g| g.interval)) {
            (None, _) => Standing::NoControl,
            // Without the original there is no scale: a loss below the control's may be a wrong prior's.
            _ if scale.is_some_and(|((own, c), o)| o < c && own < f64::midpoint(c, o)) => Standing::There,
            (_, None) => Standing::OneSeed,
            (_, Some((low, _))) if low > 0.0 => Standing::Hidden,
            (_, Some((_, high))) if high < 0.0 => Standing::Below,
            _ => Standing::Alike,
        };
        let fresh = Arm::of(run, "fresh");
        Ok(Verdict { seeds: run.manifest.seeds.len(), model, control, fresh, original, gap, standing })
    }

    fn best(&self) -> &Attacked {
        self.model.best().unwrap_or_else(|| unreachable!("a verdict is made from at least one attack"))
    }

    /// What it comes to.
    fn words(&self) -> String {
        let best = self.best();
        let (start, end) = best.forget;
        let fall = start - end;
        let moved = if fall > 0.0 {
            format!("The best attack took the forget loss down by {fall:.3} nat.")
        } else {
            "No attack took the forget loss below where it was.".to_owned()
        };
        let fresh = self.fresh.best().map_or_else(String::new, |f| {
            let side = if f.forget.1 < end { "above" } else { "below" };
            format!(
                " From random weights the same attacks reach {:.3}: the model ends {:.3} nat {side} what they teach \
                 from nothing.",
                f.forget.1,
                (f.forget.1 - end).abs()
            )
        });
        let beside = self.gap.map_or_else(String::new, |g| {
            let interval = g.interval.map_or_else(String::new, |(a, b)| format!(" [{a:.3}, {b:.3}]"));
            let side = if g.mean < 0.0 { "below" } else { "above" };
            format!(" The control under the same attacks ends {:.3}{interval} nat {side} it.", g.mean.abs())
        });
        let control = self.control.as_ref().and_then(Arm::best);
        let broken =
            control.and_then(|c| Some((best.retain.0?, c.retain.0?))).filter(|(own, c)| *own > BROKEN * c);
        let broken = broken.map_or_else(String::new, |(own, c)| {
            format!(
                " Its retain loss before the attacks is {own:.3}, the control's {c:.3}: it may be broken rather than rid \
                 of something."
            )
        });
        let few = match self.seeds {
            2.. if self.control.is_some() => " Seeds vary the attacks, not the models.",
            _ => "",
        };
        let judged = match self.standing {
            Standing::NoControl => {
                "No control was given (--control MODEL, one that never saw the forget text), so whether anything was \
                 removed or only hidden cannot be judged."
            }
            Standing::OneSeed => "One seed: this is not judged; --seeds 5 gives intervals.",
            Standing::There => {
                "Before any attack its forget loss is nearer to the original's than to the control's: it was not removed."
            }
            Standing::Hidden => "More comes back than the control learns: hidden rather than removed.",
            Standing::Alike => {
                "The seeds do not tell the two apart: no sign that it is only hidden, and no proof that it is gone."
            }
            Standing::Below => {
                "Less comes back than the control learns. That is more than forgetting asks for; see whether the retain \
                 loss says that the model is broken."
            }
        };
        let starts = self.control.as_ref().and_then(Arm::start).filter(|c| start < *c);
        let starts = starts.map_or_else(String::new, |c| {
            format!(" Before any attack it is {:.3} nat below the control.", c - start)
        });
        format!("{moved}{starts}{fresh}{beside} {judged}{broken}{few}")
    }

    /// For a terminal.
    pub(super) fn text(&self, args: &Args, width: usize) -> String {
        let best = self.best();
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let mut out = format!(
            "Verdict on {}: {}, {}\n\n",
            args.model.display(),
            plural(self.model.0.len(), "attack"),
            plural(self.seeds, "seed")
        );
        let mut line = |head: &str, what: &str| out += &format!("  {head:<14}  {what}\n");
        let retain = match best.retain {
            (Some(a), Some(b)) => format!(", retain loss {a:.3} → {b:.3}"),
            _ => String::new(),
        };
        line("best attack", &name(best));
        line("", &format!("forget loss {}{retain}", arrow(best)));
        let needed = BUDGET.iter().zip(best.budget).filter_map(|(b, v)| Some(format!("{:.0} {b}", v?)));
        line("its budget", &needed.collect::<Vec<_>>().join(", "));
        if let Some(r) = best.recovery {
            line("recovery", &format!("{:.0} % of the way from the control to the original", 100.0 * r));
        }
        if let Some(loss) = self.original {
            line("original", &format!("{loss:.3}, not attacked"));
        }
        let control = self.control.as_ref().and_then(Arm::best);
        for (head, a) in [("control", control), ("random weights", self.fresh.best())] {
            if let Some(a) = a {
                line(head, &format!("{} by {}", arrow(a), name(a)));
            }
        }
        format!("{out}\n{}", wrap(&self.words(), width, 0))
    }

    /// For programs.
    pub(super) fn json(&self, dir: &Path, args: &Args) -> Value {
        let arm = |a: &Arm| a.0.iter().map(value).collect::<Vec<_>>();
        let standing = match self.standing {
            Standing::NoControl => "no control",
            Standing::OneSeed => "not judged",
            Standing::There => "not removed",
            Standing::Hidden => "hidden",
            Standing::Alike => "like the control",
            Standing::Below => "below the control",
        };
        json!({
            "run": dir.display().to_string(), "model": args.model.display().to_string(), "seeds": self.seeds,
            "best": value(self.best()), "attacks": arm(&self.model), "control": self.control.as_ref().map(arm),
            "fresh": arm(&self.fresh), "original_loss": self.original,
            "control_minus_model": self.gap.map(|g| json!({ "n": g.n, "mean": g.mean, "interval": g.interval })),
            "standing": standing, "verdict": self.words(),
        })
    }
}

/// `relearn (whole,lr=0.001)`
fn name(a: &Attacked) -> String {
    a.variant.as_ref().map_or_else(|| a.attack.clone(), |v| format!("{} ({v})", a.attack))
}

fn arrow(a: &Attacked) -> String {
    format!("{:.3} → {:.3}", a.forget.0, a.forget.1)
}

fn value(a: &Attacked) -> Value {
    let budget: BTreeMap<&str, Option<f64>> = BUDGET.into_iter().zip(a.budget).collect();
    json!({ "attack": a.attack, "variant": a.variant, "forget_before": a.forget.0, "forget_after": a.forget.1,
        "retain_before": a.retain.0, "retain_after": a.retain.1, "budget": budget, "recovery": a.recovery })
}
