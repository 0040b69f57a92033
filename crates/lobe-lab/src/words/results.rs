//! The words of `results.csv`: its columns and the metrics in it. What a metric means stands here and nowhere else:
//! the pages, `lobe explain`, a run's `metrics.json` and with it the report take it from this list.

use std::collections::BTreeSet;

use lobe_core::registry::{List, Listed};
use lobe_methods::ATTACKS;

use crate::store::{Better, Catalogue, MetricInfo, ResultRow, Role, part};

/// The columns, in order, with what stands in them.
pub const COLUMNS: [(&str, &str); 8] = [
    ("stage", "the stage that made the model, or the attack stage, as named in the recipe"),
    ("arm", "the treatment, as named in the recipe"),
    ("seed", "the seed of the run; arms with the same seed share initial weights and data order"),
    ("label", "true class of the held-out data: forget, retain, unlabelled, a label of the recipe, or all"),
    ("metric", "what was measured; @VARIANT, @CLASS or @DECODER says of which part"),
    ("step", "optimiser step, or the point of an attack's axis; empty for a number about the whole stage"),
    ("value", "the number; what was not measured has no row and is never zero"),
    ("unit", "the unit of the value"),
];

/// One metric of `results.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name, without `@…`.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// What it says, in one line.
    pub meaning: &'static str,
    /// Its name in a heading; empty for the name itself.
    title: &'static str,
    /// What its steps count; empty for a number that has none.
    axis: &'static str,
    better: Better,
    role: Role,
    /// What stands behind `@`, if anything does.
    parts: &'static str,
    /// Whether a part is as much of an outcome as the whole.
    parts_count: bool,
    /// The metric that says what guessing gives.
    chance: &'static str,
}

/// An outcome with neither steps nor parts.
const fn m(name: &'static str, unit: &'static str, better: Better, meaning: &'static str) -> Metric {
    Metric {
        name,
        unit,
        meaning,
        title: "",
        axis: "",
        better,
        role: Role::Outcome,
        parts: "",
        parts_count: false,
        chance: "",
    }
}

impl Metric {
    /// An outcome with neither steps nor parts: its name, its unit, which way is better, and what it says in one
    /// line.
    pub const fn new(
        name: &'static str,
        unit: &'static str,
        better: Better,
        meaning: &'static str,
    ) -> Metric {
        m(name, unit, better, meaning)
    }

    /// With a name for headings.
    #[must_use]
    pub const fn titled(self, title: &'static str) -> Metric {
        Metric { title, ..self }
    }

    /// What kind of number it is, where it is no outcome.
    #[must_use]
    pub const fn is(self, role: Role) -> Metric {
        Metric { role, ..self }
    }

    /// What its steps count.
    #[must_use]
    pub const fn along(self, axis: &'static str) -> Metric {
        Metric { axis, ..self }
    }

    /// What stands behind `@` where there are several.
    #[must_use]
    pub const fn of(self, parts: &'static str) -> Metric {
        Metric { parts, ..self }
    }

    /// The entry of a run's `metrics.json`.
    pub fn info(&self) -> MetricInfo {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        MetricInfo {
            name: self.name.to_owned(),
            unit: self.unit.to_owned(),
            title: some(self.title).unwrap_or_else(|| self.name.replace('_', " ")),
            about: self.meaning.to_owned(),
            axis: some(self.axis),
            better: self.better,
            role: self.role,
            parts: some(self.parts),
            parts_count: self.parts_count,
            chance: some(self.chance),
        }
    }
}

impl Listed for Metric {
    fn name(&self) -> &'static str {
        self.name
    }
}

use Better::{Higher, Lower, Neither};
use Role::{Chance, Count, Curve, Derived, Setting};

/// All metrics that a run can write, except those of attacks that have names of their own, in the order in which
/// readers list them.
pub static METRICS: List<Metric> = List::new(&[
    m("loss", "nat", Lower, "held-out loss of a language model, per token and label")
        .titled("held-out loss"),
    Metric { parts_count: true, ..m("mse", "mse", Lower, "mean squared error per number on held-out rows (per pixel on images): of the first decoder, with @DECODER of each other one").titled("squared error").of("decoder") },
    Metric { parts_count: true, ..m("mae", "mae", Lower, "mean absolute error per number on held-out rows (per pixel on images): of the first decoder, with @DECODER of each other one").titled("absolute error").of("decoder") },
    m("mse_per_active", "mse", Lower, "mean squared error per active number of rows that are mostly zero: mse divided by the share of their numbers that is active").titled("squared error per active number"),
    m("one_hot", "number", Neither, "what a number comes out as that goes into the network as 1 where all others are 0: the mean over all numbers").titled("a single 1 comes out as"),
    m("argmax_accuracy", "fraction", Higher, "held-out examples whose largest unit has the number of their label").titled("largest unit is the label's"),
    m("argmax_purity", "fraction", Neither, "held-out examples of the label that their largest unit answers to most: the accuracy if units were given to labels afterwards").titled("largest unit, best assignment"),
    m("calibrated_loss", "nat", Lower, "held-out loss after a logit bias was fitted").titled("loss, calibrated"),
    m("accuracy", "fraction", Higher, "held-out tokens whose most likely prediction is right"),
    Metric { chance: "probe_chance", ..m("probe_accuracy", "fraction", Higher, "knowledge probes answered correctly among given choices; @CLASS where a label has several classes, @told for facts that training examples of the class state, @told-elsewhere for facts that only another class states").titled("probes answered").of("class") },
    m("probe_chance", "fraction", Neither, "knowledge probes that guessing answers correctly").is(Chance),
    m("cloze_accuracy", "fraction", Higher, "knowledge probes whose answer is, token by token, the most likely of all tokens, without choices being given").titled("probes completed").of("class"),
    m("gap_closed", "fraction", Neither, "(loss after the cut − baseline) / (control − baseline), per seed and per label that the arm is to be without").is(Derived),
    m("recovery", "fraction", Neither, "(control_start − attack_best) / (control_start − baseline_start), per seed: 0 is as ignorant as the control, 1 as able as the baseline").of("variant"),
    m("attack_best", "nat", Neither, "lowest loss on the attacked label that any variant reached").of("variant"),
    m("attack_retain", "nat", Lower, "loss of the other labels at the point where attack_best was reached"),
    m("steps_to_baseline", "steps", Neither, "attack steps until the loss, at each step the lowest of all variants, is steps_target; if the budget ends first, the value is the budget and the unit is \"> steps\": a lower bound").is(Derived).of("variant"),
    m("steps_budget", "steps", Neither, "steps that an attack which trains has").is(Setting),
    m("steps_target", "nat", Neither, "loss that an attack which trains has to reach: baseline_start").is(Setting),
    m("leakage", "fraction", Lower, "forget tokens that a plain model needs for the same forget loss / undiscovered forget tokens").is(Derived),
    m("control_agreement", "fraction", Higher, "held-out tokens on which model and control predict the same token").titled("same top token as the control"),
    m("control_kl", "nat", Lower, "KL divergence from the control's outputs to the model's").titled("KL from the control"),
    m("gradient_region", "ratio", Neither, "relative gradient norm of single examples on the region's parameters, after training and before the cut").titled("gradient in the region"),
    m("gradient_rest", "ratio", Neither, "relative gradient norm of single examples on all other parameters, after training and before the cut").titled("gradient elsewhere"),
    m("region_units", "count", Neither, "units of the arm's region").is(Setting),
    m("region_params", "count", Neither, "parameters that the units of the arm's region own").is(Setting),
    m("params", "count", Neither, "parameters of the network").is(Count),
    m("targets", "count", Neither, "targets the network was trained on").is(Count),
    m("forget_targets", "count", Neither, "training targets that truly belong to forget data").is(Count),
    m("undiscovered_targets", "count", Neither, "training targets of forget data that the labeller missed").is(Count),
    m("train_loss", "nat", Lower, "running training loss").is(Curve).along("optimiser steps"),
    m("objective", "nat", Lower, "objective of a post-hoc removal while it trains").along("optimiser steps"),
    m("treated_weights", "count", Neither, "single weights that a treatment changed").is(Setting),
    m("fitted_params", "count", Neither, "parameters of the adapters that were fitted").is(Count),
    m("located_weights", "count", Neither, "single weights that were found").is(Setting),
    m("located_share", "fraction", Neither, "share of the scores of all weights that were looked at which the found ones have"),
    m("removal_steps", "steps", Neither, "optimiser steps of a post-hoc removal, or of coherence training after a cut").is(Count),
    m("removal_tokens", "tokens", Neither, "target tokens of a post-hoc removal, or of coherence training after a cut"),
    m("attack_start", "nat", Neither, "loss per label before the attack, on the examples that the attack is judged by"),
    m("baseline_start", "nat", Neither, "baseline's loss as trained or loaded, on the examples that the attack is judged by"),
    m("control_start", "nat", Neither, "control's loss as trained or loaded, on the examples that the attack is judged by"),
    m("budget_steps", "steps", Neither, "optimiser steps that the winning variant used: a step takes a batch, or every example once if there are no more").is(Count).of("variant"),
    m("budget_tokens", "tokens", Neither, "target tokens that the winning variant was trained on").is(Count).of("variant"),
    m("budget_examples", "examples", Neither, "different examples that the steps of the winning variant can have drawn").is(Count).of("variant"),
    m("budget_parameters", "parameters", Neither, "parameters that the winning variant changed").is(Count).of("variant"),
    m("watched_loss", "nat", Neither, "held-out-facts: loss on the half of the forget data that the attack never trains on"),
    m("watched_loss_before", "nat", Neither, "held-out-facts: the same before the attack"),
    m("watched_loss_original", "nat", Neither, "held-out-facts: the same for the model that has the capability"),
    m("watched_accuracy", "fraction", Neither, "held-out-facts: probes about the half that the attack never trains on"),
    m("watched_accuracy_before", "fraction", Neither, "held-out-facts: the same before the attack"),
    m("watched_accuracy_original", "fraction", Neither, "held-out-facts: the same for the model that has the capability"),
]);

/// The metric that a word of the column `metric` names: `relearn_loss@zero,lr=0.001` is the loss under an
/// attack.
pub fn metric(word: &str) -> Option<MetricInfo> {
    let (name, _) = part(word);
    if let Some(m) = METRICS.iter().find(|m| m.name == name) {
        return Some(m.info());
    }
    let attack = name.strip_suffix("_loss")?;
    let entry = ATTACKS.iter().find(|e| e.about.name == attack)?;
    Some(MetricInfo {
        name: name.to_owned(),
        unit: "nat".to_owned(),
        title: format!("loss under {attack}"),
        about: format!(
            "loss under the attack {attack}: at each point of its axis, the lowest of all variants; with @VARIANT of one"
        ),
        axis: Some(entry.axis.name.to_owned()),
        role: Curve,
        parts: Some("variant".to_owned()),
        ..MetricInfo::default()
    })
}

/// What the metrics of these rows mean, in the order of the list; losses of attacks last.
pub(crate) fn catalogue(rows: &[ResultRow]) -> Catalogue {
    let found: BTreeSet<&str> = rows.iter().map(|r| part(&r.metric).0).collect();
    let listed = METRICS.iter().filter(|m| found.contains(m.name)).map(Metric::info);
    let other = found.iter().filter(|f| METRICS.iter().all(|m| m.name != **f)).filter_map(|f| metric(f));
    Catalogue { metrics: listed.chain(other).collect() }
}
