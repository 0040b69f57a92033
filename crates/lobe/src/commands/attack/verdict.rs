//! What the attacks on one model came to, in a few lines: the report's judgement, and the facts that only
//! this command has.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use lobe_report::RunData;
use lobe_report::judge::{Judged, Judgement, judge};
use lobe_report::stats::mean;
use serde_json::{Value, json};

use super::Args;
use crate::commands::report;
use crate::failure::refuse;
use crate::table::wrap;

/// The label that is brought back, and the one that is to stay.
const FORGET: &str = "forget";
const RETAIN: &str = "retain";
/// The arm that is the model under attack.
const MODEL: &str = "model";
/// What an attack needed.
const BUDGET: [&str; 4] = ["steps", "tokens", "examples", "parameters"];

/// One attack on one arm; means over seeds.
struct Attacked {
    attack: String,
    variant: Option<String>,
    /// Forget and retain loss before and after.
    forget: (f64, f64),
    retain: (Option<f64>, Option<f64>),
    budget: [Option<f64>; 4],
    recovery: Option<f64>,
    /// The original's forget loss on the attack's own tokens.
    original: Option<f64>,
}

/// All attacks on one arm, in the order they were made.
struct Arm(Vec<Attacked>);

/// The result of a run of `lobe attack`.
pub(super) struct Verdict {
    seeds: usize,
    model: Arm,
    control: Option<Arm>,
    fresh: Arm,
    judgement: Judgement,
}

impl Arm {
    fn of(run: &RunData, arm: &str) -> Arm {
        Arm(run.attack_stages().into_iter().filter_map(|stage| attacked(run, stage, arm)).collect())
    }

    /// The attack that left the lowest forget loss.
    fn best(&self) -> Option<&Attacked> {
        self.0.iter().min_by(|a, b| a.forget.1.total_cmp(&b.forget.1))
    }
}

fn attacked(run: &RunData, stage: &str, arm: &str) -> Option<Attacked> {
    let over = |metric: &str, label: &str| {
        let finals = run.measured(stage, metric, label)?.finals(arm);
        mean(&finals.into_iter().map(|(_, v)| v).collect::<Vec<_>>())
    };
    let variants = run.results.keys().filter(|q| q.stage == stage && q.label == FORGET);
    let variant = variants
        .filter_map(|q| Some((q.metric.strip_prefix("attack_best@")?, over(&q.metric, FORGET)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    Some(Attacked {
        attack: run.does(stage).to_owned(),
        variant: variant.map(|(name, _)| name.to_owned()),
        forget: (over("attack_start", FORGET)?, over("attack_best", FORGET)?),
        retain: (over("attack_start", RETAIN), over("attack_retain", RETAIN)),
        budget: BUDGET.map(|b| over(&format!("budget_{b}"), FORGET)),
        recovery: over("recovery", FORGET),
        original: over("baseline_start", FORGET),
    })
}

impl Verdict {
    /// Reads it from a finished run.
    pub(super) fn of(run: &RunData) -> Result<Verdict> {
        let model = Arm::of(run, MODEL);
        if model.best().is_none() {
            return Err(refuse("none of these attacks ends in a loss, so there is no verdict"));
        }
        let control = run.control().map(|c| Arm::of(run, c)).filter(|c| c.best().is_some());
        let (seeds, fresh) = (run.manifest.seeds.len(), Arm::of(run, "fresh"));
        Ok(Verdict { seeds, model, control, fresh, judgement: judge(run).clone() })
    }

    fn best(&self) -> &Attacked {
        self.model.best().unwrap_or_else(|| unreachable!("a verdict is made from at least one attack"))
    }

    fn judged(&self) -> Option<&Judged> {
        self.judgement.arms.iter().find(|j| j.arm == MODEL)
    }

    /// The judgement in sentences, the answer first, then what limits it.
    fn words(&self) -> String {
        let mut out: Vec<String> = self.judged().map_or_else(Vec::new, |j| j.sentences.clone());
        if self.seeds > 1 {
            out.push("Seeds vary the attacks and not the models: this is about these models only.".into());
        }
        out.extend(self.judgement.scale.clone());
        out.join(" ")
    }

    /// For a terminal: the word, the numbers behind it, the sentences.
    pub(super) fn text(&self, args: &Args, width: usize) -> String {
        let best = self.best();
        let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let word = self.judged().map_or("not judged", |j| j.word.text());
        let symbol = self.judged().map_or("–", |j| j.word.symbol());
        let mut out = format!(
            "{symbol} {}: {word} ({}, {})\n\n",
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
        if let Some(loss) = best.original {
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
        json!({
            "run": dir.display().to_string(), "model": args.model.display().to_string(), "seeds": self.seeds,
            "best": value(self.best()), "attacks": arm(&self.model), "control": self.control.as_ref().map(arm),
            "fresh": arm(&self.fresh), "original_loss": self.best().original,
            "judgement": self.judged().map(report::judged), "scale": self.judgement.scale,
            "caveats": self.judgement.caveats, "verdict": self.words(),
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
