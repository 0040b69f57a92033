//! Measures: what is read off a model, and how numbers of several models become one.

pub mod absorption;
pub mod agreement;
pub mod calibrate;
pub mod compute_penalty;
pub mod confusion;
pub mod gap;
pub mod leakage;
pub mod recovery;
pub mod steps;

use lobe_core::registry::{About, List};

/// All measures, in the order they are listed.
pub static MEASURES: List<About> = List::new(&[
    About {
        name: "loss",
        summary: "held-out loss per label: nats per token, or mean squared and absolute error per pixel",
        reference: "—",
        unusual: "sums and counts over all targets; never a mean of means",
        fails: "a wrong token prior can inflate raw forget loss cheaply; see calibrated-loss",
    },
    About {
        name: "accuracy",
        summary: "fraction of held-out tokens whose most likely prediction is correct, per label",
        reference: "—",
        unusual: "ties count as correct",
        fails: "says nothing about knowledge, because most tokens are grammar",
    },
    About {
        name: "probe-accuracy",
        summary: "fraction of knowledge probes answered correctly, by comparing the likelihoods of the choices",
        reference: "multiple choice by log-likelihood, as in MMLU harnesses",
        unusual: "probes of the same facts in both languages separate knowledge from language",
        fails: "the chance level differs between probes; probe_chance reports it",
    },
    About {
        name: "cloze-accuracy",
        summary: "fraction of knowledge probes whose true answer the model produces token by token, without choices",
        reference: "cloze questions: Petroni et al. 2019, arXiv 1909.01066",
        unusual: "there are no choices to rule out, so chance is close to 0",
        fails: "a model that knows the fact but words it differently counts as ignorant",
    },
    calibrate::ABOUT,
    steps::ABOUT,
    gap::ABOUT,
    leakage::ABOUT,
    recovery::ABOUT,
    agreement::ABOUT,
    confusion::ABOUT,
    absorption::ABOUT,
    compute_penalty::ABOUT,
]);
