//! Ablation: writes each arm's model without its region.

use std::time::Instant;

use lobe_core::Selection;
use lobe_methods::remove::ablate::{self, Ablate, How};
use serde_json::Value;

use super::{Work, write_model};
use crate::error::LabError;
use crate::exec::{Context, Experiment};
use crate::recipe::Stage;

pub(super) fn run(c: &Context<'_>, stage: &Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let mut params = work.parent(c, stage)?;
    if let Some(region) = region(x, stage, work.arm)? {
        match parameters(stage).how {
            How::Zero => ablate::zero(x.layout(), &mut params, &region),
            How::Reinit => {
                ablate::reinit(x.layout(), &mut params, &region, Experiment::key(work.seed).child("ablate"));
            }
            How::Mean => {
                let means = mean_activations(c, &params, &region)?;
                ablate::mean(x.layout(), &mut params, &region, &|site| means[site].clone())?;
            }
        }
    }
    write_model(c, &work.dir, &params, &work.key)?;
    work.finish(start, 1.0, "models/s")
}

fn parameters(stage: &Stage) -> Ablate {
    Ablate::read(&Value::Object(stage.params.clone())).map(|(a, _)| a).unwrap_or_default()
}

/// How the stage cuts.
pub(super) fn how(stage: &Stage) -> How {
    parameters(stage).how
}

/// The region the stage cuts out of an arm's model; `None` leaves the model whole.
pub(super) fn region(x: &Experiment, stage: &Stage, arm: usize) -> Result<Option<Selection>, LabError> {
    let named = parameters(stage).region;
    if named.is_empty() { Ok(x.arms[arm].region.clone()) } else { Ok(Some(x.region(&named)?)) }
}

/// Mean activation per column of every site the region names, over held-out data.
fn mean_activations(c: &Context<'_>, params: &[f32], region: &Selection) -> Result<Vec<Vec<f32>>, LabError> {
    let x = c.experiment;
    if x.net.language().is_none() {
        return Err(LabError::other("ablate: how = \"mean\" needs a language model"));
    }
    let batch = x.held_out(|_| true, 64);
    let sites = x.layout().sites().len();
    let parts = c.forward(params).each_shard(&batch, |tape, _, s| -> Result<_, LabError> {
        let mut out = vec![(Vec::new(), 0.0); sites];
        for (site, _) in region.sites() {
            let Some(v) = tape.at_site(lobe_engine::SiteId(site)) else { continue };
            let cols = tape.shape(v).1;
            let (mut sums, mut rows) = (vec![0.0; cols], 0.0);
            for row in batch.counted(s) {
                let row = &tape.value(v)[row * cols..][..cols];
                sums.iter_mut().zip(row).for_each(|(s, a)| *s += f64::from(*a));
                rows += 1.0;
            }
            out[site] = (sums, rows);
        }
        Ok(out)
    })?;
    let mut total = vec![(Vec::new(), 0.0); sites];
    for part in parts {
        for ((sums, n), (s, k)) in total.iter_mut().zip(part) {
            sums.resize(sums.len().max(s.len()), 0.0);
            sums.iter_mut().zip(&s).for_each(|(a, b)| *a += b);
            *n += k;
        }
    }
    Ok(total
        .into_iter()
        .map(|(s, n): (Vec<f64>, f64)| s.iter().map(|v| (v / n.max(1.0)) as f32).collect())
        .collect())
}
