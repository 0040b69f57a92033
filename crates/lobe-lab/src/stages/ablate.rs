//! Ablation: writes each arm's model without its region.

use lobe_core::Selection;
use lobe_methods::remove::ablate::{self, Ablate, How};
use lobe_nets::{Cut, Model};

use crate::error::LabError;
use crate::graph::{At, Change, Changed, Context, KeyParts, Place, Shares, Stage, StageEntry};
use crate::plan::{Experiment, in_recipe, in_section};
use crate::recipe::{self, PathError, StageFacts};

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    StageEntry::of::<Ablate>(&ablate::ABOUT, StageFacts { noun: Some("the cut"), ..StageFacts::default() })
}

impl Stage for Ablate {
    fn version(&self) -> u32 {
        5
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        let path = ["stage", stage.name.as_str()];
        let regions: Vec<String> = x.recipe.regions.iter().map(|r| r.name.clone()).collect();
        in_section(Ablate::check(self, &regions).map_err(|e| in_recipe(&e)), &path)?;
        if self.how == How::Mean && x.net.language().is_none() {
            let what = "\"mean\" needs a language model";
            return in_section(Err(PathError::new("how", what)), &path);
        }
        // A cut that changes no parameter would make every later number a lie.
        for (arm, a) in x.arms.iter().enumerate().filter(|(_, a)| stage.arms.contains(&a.arm.name)) {
            let x = x.at(stage, arm);
            let region = self.cuts(x, arm)?.pop().map(|(_, region)| region);
            if let (How::Mean, Some(r)) = (self.how, &region) {
                let foldable = ablate::foldable(x.layout(), r);
                in_section(foldable.map_err(|e| PathError::new("how", e.to_string())), &path)?;
            }
            if region.is_some_and(|r| x.layout().count_owned(&r) == 0) {
                let what = format!(
                    "the region of arm {:?} owns no parameter, so there is nothing to cut",
                    a.arm.name
                );
                return in_section(Err(PathError::new("region", what)), &path);
            }
        }
        Ok(())
    }

    fn cuts(&self, x: &Experiment, arm: usize) -> Result<Vec<(How, Selection)>, LabError> {
        let own = || x.arms[arm].region.clone();
        let region = if self.region.is_empty() { own() } else { Some(x.region(&self.region)?) };
        Ok(region.map(|region| (self.how, region)).into_iter().collect())
    }

    fn cut_regions(&self, arm: &recipe::Arm) -> Option<Vec<String>> {
        Some(if self.region.is_empty() { arm.regions.clone() } else { vec![self.region.clone()] })
    }

    fn depends(&self, c: &Context<'_>, _: &Place<'_>, key: &mut KeyParts) {
        // The arm's own regions are in every key.
        let named = c.experiment.recipe.regions.iter().find(|g| g.name == self.region);
        key.part("region", named.map(|g| &g.text));
    }

    fn shares(&self) -> Shares {
        Shares::Model
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Ablate {
    fn change(&self, c: &Context<'_>, at: &At<'_>, mut model: Model) -> Result<Changed, LabError> {
        let x = c.experiment;
        let Some((how, region)) = self.cuts(x, at.arm)?.pop() else { return Ok(Changed::to(model)) };
        let params = &mut model.params;
        match how {
            How::Zero => ablate::zero(x.layout(), params, &region),
            How::Reinit => ablate::reinit(x.layout(), params, &region, at.key.child("ablate")),
            How::Mean => {
                let means = mean_activations(c, params, &region)?;
                ablate::mean(x.layout(), params, &region, &|site| means[site].clone())?;
            }
        }
        let cut = Cut { how: how.word().to_owned(), region };
        // A cycle that cuts the same again has cut it once.
        model.cuts.retain(|earlier| *earlier != cut);
        model.cuts.push(cut);
        Ok(Changed::to(model))
    }
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
