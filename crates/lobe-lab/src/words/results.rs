//! The words of `results.csv`: its columns and the metrics in it.

use lobe_methods::ATTACKS;

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
}

const fn m(name: &'static str, unit: &'static str, meaning: &'static str) -> Metric {
    Metric { name, unit, meaning }
}

/// All metrics that a run can write, except those of attacks that have names of their own.
pub const METRICS: &[Metric] = &[
    m("train_loss", "nat", "running training loss"),
    m("loss", "nat", "held-out loss of a language model, per token"),
    m("mse", "mse", "mean squared error per pixel on held-out images; mse@DECODER for further decoders"),
    m("mae", "mae", "mean absolute error per pixel on held-out images; mae@DECODER for further decoders"),
    m("calibrated_loss", "nat", "held-out loss after a logit bias was fitted"),
    m("accuracy", "fraction", "held-out tokens whose most likely prediction is right"),
    m("cloze_accuracy", "fraction", "knowledge probes that the model answers without being given choices"),
    m("probe_accuracy", "fraction", "knowledge probes answered correctly among given choices"),
    m("probe_chance", "fraction", "knowledge probes that guessing answers correctly"),
    m("attack_start", "nat", "loss before the attack, on the examples that the attack is judged by"),
    m("attack_best", "nat", "lowest loss on the attacked label that any variant reached"),
    m("attack_retain", "nat", "loss of the other labels at the point where attack_best was reached"),
    m(
        "baseline_start",
        "nat",
        "baseline's loss before any attack, on the examples that the attack is judged by",
    ),
    m(
        "control_start",
        "nat",
        "control's loss before any attack, on the examples that the attack is judged by",
    ),
    m(
        "recovery",
        "fraction",
        "(control_start − attack_best) / (control_start − baseline_start): 0 is the control, 1 the baseline",
    ),
    m("budget_steps", "steps", "optimiser steps that the winning variant used"),
    m("budget_tokens", "tokens", "target tokens that the winning variant was trained on"),
    m("budget_examples", "examples", "different examples that the winning variant had"),
    m("budget_parameters", "parameters", "parameters that the winning variant changed"),
    m("steps_target", "nat", "loss that an attack which trains has to reach: baseline_start"),
    m("steps_budget", "steps", "steps that an attack which trains has"),
    m(
        "steps_to_baseline",
        "steps",
        "attack steps until the loss is steps_target; no row if it is never reached",
    ),
    m(
        "removal_steps",
        "steps",
        "optimiser steps of a post-hoc removal, or of coherence training after a cut",
    ),
    m(
        "removal_tokens",
        "tokens",
        "target tokens of a post-hoc removal, or of coherence training after a cut",
    ),
    m("objective", "nat", "objective of a post-hoc removal while it trains"),
    m("gap_closed", "fraction", "(loss after the cut − baseline) / (control − baseline), per seed"),
    m("leakage", "fraction", "how much of the undiscovered forget data was learnt"),
    m("control_agreement", "fraction", "held-out tokens on which model and control predict the same token"),
    m("control_kl", "nat", "KL divergence from the control's outputs to the model's"),
    m("gradient_region", "ratio", "relative gradient norm of single examples on the region's parameters"),
    m("gradient_rest", "ratio", "relative gradient norm of single examples on all other parameters"),
    m(
        "watched_loss",
        "nat",
        "held-out-facts: loss on the half of the forget data that the attack never trains on",
    ),
    m("watched_loss_before", "nat", "held-out-facts: the same before the attack"),
    m("watched_loss_original", "nat", "held-out-facts: the same for the model that has the capability"),
    m(
        "watched_accuracy",
        "fraction",
        "held-out-facts: probes about the half that the attack never trains on",
    ),
    m("watched_accuracy_before", "fraction", "held-out-facts: the same before the attack"),
    m(
        "watched_accuracy_original",
        "fraction",
        "held-out-facts: the same for the model that has the capability",
    ),
    m("params", "count", "parameters of the network"),
    m("targets", "count", "targets the network was trained on"),
    m("forget_targets", "count", "training targets that truly belong to forget data"),
    m("undiscovered_targets", "count", "training targets of forget data that the labeller missed"),
    m("region_units", "count", "units of the arm's region"),
    m("region_params", "count", "parameters that the units of the arm's region own"),
];

/// The metric that a word of the column `metric` names: `relearn_loss@zero,lr=0.001` is the loss under an
/// attack. Returns its name, unit and meaning.
pub fn metric(word: &str) -> Option<(String, &'static str, String)> {
    let name = word.split('@').next().unwrap_or(word);
    if let Some(m) = METRICS.iter().find(|m| m.name == name) {
        return Some((m.name.to_owned(), m.unit, m.meaning.to_owned()));
    }
    let attack = name.strip_suffix("_loss")?;
    let about = ATTACKS.iter().map(|e| e.about).find(|a| a.name == attack)?;
    let meaning = format!(
        "loss under the attack {}: at each point of its axis, the lowest of all variants; with @VARIANT of one",
        about.name
    );
    Some((name.to_owned(), "nat", meaning))
}
