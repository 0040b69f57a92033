//! The variants of an attack on one member: each has a key and a record of its own, so that one more, or one
//! fewer, computes nothing else again, and an interrupted sweep goes on at the next one.

use std::time::Instant;

use lobe_methods::{Case, Trial};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::graph::{Context, Work, variant_key};
use crate::recipe;
use crate::store::{Variant, Variants};

/// What is kept of a variant.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    key: String,
    /// Wall time since the variant before it.
    seconds: f64,
    /// `None` where the model left nothing to try.
    trial: Option<Trial>,
}

/// All variants that the recipe asks for, with what is known of each.
pub(super) struct Sweep {
    records: Variants,
    all: Vec<(Case, String, Option<Kept>)>,
    since: Instant,
}

impl Sweep {
    /// Looks up what is known of `cases`; `swept` are the attack's parameters that only list variants.
    pub(super) fn open(
        c: &Context<'_>,
        stage: &recipe::Stage,
        work: &Work,
        swept: &[&str],
        cases: Vec<Case>,
    ) -> Result<Sweep, LabError> {
        let records = work.dir.variants()?;
        let known = |case: Case| {
            let key = variant_key(c, stage, work, swept, &case);
            let kept = records.read::<Kept>(&key).filter(|k| k.key == key);
            (case, key, kept)
        };
        let all = cases.into_iter().map(known).collect();
        Ok(Sweep { all, records, since: Instant::now() })
    }

    /// The variants that have no record yet.
    pub(super) fn todo(&self) -> Vec<Case> {
        self.all.iter().filter(|(_, _, kept)| kept.is_none()).map(|(case, ..)| case.clone()).collect()
    }

    /// Writes down a variant that was not known.
    pub(super) fn keep(&mut self, trial: Trial) -> Result<(), LabError> {
        let at = self.all.iter().position(|(case, _, kept)| kept.is_none() && case.name == trial.variant);
        let Some(at) = at else {
            return Err(LabError::other(format!("no variant is called {:?}", trial.variant)));
        };
        self.record(at, Some(trial))
    }

    /// Writes down that nothing came of what is still not known.
    pub(super) fn close(&mut self) -> Result<(), LabError> {
        for at in 0..self.all.len() {
            if self.all[at].2.is_none() {
                self.record(at, None)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, at: usize, trial: Option<Trial>) -> Result<(), LabError> {
        let (_, key, slot) = &mut self.all[at];
        let kept = Kept { key: key.clone(), seconds: self.since.elapsed().as_secs_f64(), trial };
        self.records.write(key, &kept)?;
        *slot = Some(kept);
        self.since = Instant::now();
        Ok(())
    }

    /// What the variants reached, in their order and under the names that the recipe gives them.
    pub(super) fn trials(&self) -> Vec<Trial> {
        let named = |(case, _, kept): &(Case, String, Option<Kept>)| {
            Some(Trial { variant: case.name.clone(), ..kept.as_ref()?.trial.clone()? })
        };
        self.all.iter().filter_map(named).collect()
    }

    /// Wall time of all variants, whenever they were run.
    pub(super) fn seconds(&self) -> f64 {
        self.all.iter().filter_map(|(_, _, kept)| Some(kept.as_ref()?.seconds)).sum()
    }

    /// What the names stand for.
    pub(super) fn index(&self) -> Vec<Variant> {
        let of = |case: &Case| Variant {
            name: case.name.clone(),
            start: case.start.clone(),
            settings: case.settings.clone(),
        };
        self.all.iter().map(|(case, ..)| of(case)).collect()
    }
}
