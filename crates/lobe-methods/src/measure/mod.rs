//! Measures: what is read off a model, and how numbers of several models become one.

pub mod absorption;
pub mod agreement;
pub mod calibrate;
pub mod compute_penalty;
pub mod gap;
pub mod leakage;
pub mod recovery;
pub mod steps;

use crate::registry::About;

/// All measures, in the order they are listed.
pub static MEASURES: &[About] = &[
    About {
        name: "loss",
        summary: "held-out loss per label: nats per token, or mean squared and absolute error per pixel",
        reference: "—",
        unusual: "sums and counts over all targets, never a mean of means",
        fails: "raw forget loss can be inflated cheaply by a wrong token prior; see calibrated-loss",
    },
    About {
        name: "accuracy",
        summary: "share of held-out tokens whose most likely prediction is right, per label",
        reference: "—",
        unusual: "ties count as right",
        fails: "says nothing about knowledge: most tokens are grammar",
    },
    About {
        name: "probe-accuracy",
        summary: "share of knowledge probes answered right, by comparing the likelihood of the choices",
        reference: "multiple choice by log-likelihood, as in MMLU harnesses",
        unusual: "probes of the same facts in both languages keep knowledge apart from language",
        fails: "chance level differs between probes; it is reported as probe_chance",
    },
    About {
        name: "cloze-accuracy",
        summary: "share of knowledge probes whose true answer the model would say of itself, token by token",
        reference: "cloze questions: Petroni et al. 2019, arXiv 1909.01066",
        unusual: "no choices to compare, so nothing is gained by ruling wrong ones out; chance is next to nothing",
        fails: "a model that knows the fact and would put it in other words is counted as ignorant",
    },
    calibrate::ABOUT,
    steps::ABOUT,
    gap::ABOUT,
    leakage::ABOUT,
    recovery::ABOUT,
    agreement::ABOUT,
    absorption::ABOUT,
    compute_penalty::ABOUT,
];
