//! Mean absolute activity of a region's units per label: what the region does.

use std::collections::BTreeMap;

use lobe_engine::SiteId;

use crate::error::LabError;
use crate::graph::{Context, Work};
use crate::store::{Activity, ActivityFile};

/// Held-out examples per label that are looked at.
const EXAMPLES: usize = 48;

/// Writes the member's own `activity.json`.
pub(super) fn run(c: &Context<'_>, work: &Work, stage: &str, params: &[f32]) -> Result<(), LabError> {
    let x = c.experiment;
    let arm = &x.arms[work.arm];
    let mut file = ActivityFile::default();
    for name in &arm.arm.regions {
        let region = x.region(name)?;
        let sums = sums(c, params, &region)?;
        let labels = x.test_labels();
        for (site, ranges) in region.sites().filter(|(_, r)| !r.is_empty()) {
            let units: Vec<u32> = ranges.iter().flat_map(Clone::clone).collect();
            let mean = |l: &lobe_core::LabelId| {
                let one = |u: &u32| {
                    let (s, n) = sums.get(&(site, l.index()))?;
                    (*n > 0.0).then(|| s[*u as usize] / n)
                };
                units.iter().map(one).collect()
            };
            file.regions.push(Activity {
                arm: arm.arm.name.clone(),
                seed: work.seed,
                region: name.clone(),
                stage: stage.to_owned(),
                site: x.layout().sites()[site].name.clone(),
                labels: labels.iter().map(|l| x.labels.name(*l).to_owned()).collect(),
                mean_abs: labels.iter().map(mean).collect(),
                units,
            });
        }
    }
    let bytes = serde_json::to_vec(&file).unwrap_or_default();
    Ok(work.dir.write("activity.json", |w| w.write_all(&bytes))?)
}

type Sums = BTreeMap<(usize, usize), (Vec<f64>, f64)>;

/// Per (site, label): summed |activation| per unit, averaged over the unit's columns, and rows.
fn sums(c: &Context<'_>, params: &[f32], region: &lobe_core::Selection) -> Result<Sums, LabError> {
    let x = c.experiment;
    let batch = x.held_out(|_| true, EXAMPLES);
    let parts = c.forward(params).each_shard(&batch, |tape, _, s| -> Result<Sums, LabError> {
        let mut out = Sums::new();
        for (site, _) in region.sites() {
            let Some(v) = tape.at_site(SiteId(site)) else { continue };
            let (_, cols) = tape.shape(v);
            let units = x.layout().sites()[site].units as usize;
            let width = cols / units.max(1);
            for r in batch.counted(s) {
                let row = &tape.value(v)[r * cols..][..cols];
                let label = batch.row_label(s, r);
                let sum = out.entry((site, label.index())).or_insert_with(|| (vec![0.0; units], 0.0));
                for (u, cols) in row.chunks_exact(width.max(1)).enumerate() {
                    sum.0[u] += cols.iter().map(|a| f64::from(a.abs())).sum::<f64>() / width as f64;
                }
                sum.1 += 1.0;
            }
        }
        Ok(out)
    })?;
    let mut total = Sums::new();
    for part in parts {
        for (k, (s, n)) in part {
            let sum = total.entry(k).or_insert_with(|| (vec![0.0; s.len()], 0.0));
            sum.0.iter_mut().zip(s).for_each(|(a, b)| *a += b);
            sum.1 += n;
        }
    }
    Ok(total)
}
