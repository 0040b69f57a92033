//! Held-out facts: train on one half of the forget data, look at the other half.
//!
//! Equation: T and V are the forget data that tell only of one or of the other half of the names in it (of
//! examples, where data has no names); AdamW on T; the numbers are the held-out loss at each step, the
//! smallest mean loss on V, and the share of probes about V answered rightly before, after, and by the original.
//! Paper: Deeb and Roger 2024 (arXiv 2410.08827), "RTT": at least 88 % of the accuracy on V came back after
//! training on T, for methods that were said to remove the facts.
//! Unusual: V is training data of the model that the attacker never trains on. If its loss falls
//! further than that of text no model ever saw, or its probes are answered, the facts were still in the weights.
//! Fails: where the original knows no facts (`watched_accuracy_original` at chance): then T, told of others, only makes
//! wrong answers likelier. Where T tells about V (a shared language or style, or a fact told in both): then V is taught, not
//! recovered. Compare with the control that never saw either.

use super::tune::{self, FineTune, refuse};
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Case, Grid, Loot, Variant, WATCHED,
    WATCHED_ACCURACY, WATCHED_LOSS, cases_of,
};
use lobe_core::registry::About;

const ABOUT: About = About {
    name: "held-out-facts",
    summary: "trains on one half of the forget data; what returns of the other half was not removed",
    reference: "Deeb and Roger 2024, arXiv 2410.08827",
    unusual: "reports loss and knowledge of the half that the attacker never trains on, before and after",
    fails: "halves that share a language, a style or a fact teach each other; compare with the control",
};

/// The attack, with its parameters.
pub struct HeldOutFacts(pub FineTune);

impl HeldOutFacts {
    fn variants(&self, bench: &dyn Bench) -> Grid<Variant> {
        self.0.variants(bench.cut().is_some(), Loot::FirstHalf, Some(Loot::SecondHalf))
    }
}

impl Attack for HeldOutFacts {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn uses_original(&self) -> bool {
        true
    }

    fn cases(&self, bench: &dyn Bench) -> Vec<Case> {
        cases_of(self.variants(bench))
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let other = bench.examples(Loot::SecondHalf, WATCHED)?;
        let mut known = Vec::new();
        let models =
            [("before", Some(bench.victim().to_vec())), ("original", bench.original().map(<[f32]>::to_vec))];
        for (name, params) in models {
            let Some(params) = params else { continue };
            known.push((format!("{WATCHED_LOSS}_{name}"), bench.loss_on(&params, &other)?, "nat".into()));
            let right = bench.knowledge(&params, Loot::SecondHalf)?;
            known.extend(right.map(|v| (format!("{WATCHED_ACCURACY}_{name}"), v, "fraction".into())));
        }
        let variants = self.variants(bench);
        tune::each(bench, variants, cases, &known)
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::STEPS,
    battery: Battery::OnRequest,
    sweeps: tune::SWEEPS,
    params: || tune::params(&FineTune::default()),
    build: |v| {
        let (settings, full) = tune::settings(v, &FineTune::default())?;
        if settings.rank > 0 {
            refuse("rank", "must be 0: the other half is not looked at through adapters")?;
        }
        Ok((Box::new(HeldOutFacts(settings)) as Box<dyn Attack>, full))
    },
};
