//! Arms that come to the same network: with a labeller that misses nothing, leaving out what is labelled
//! and leaving out what is true are one training.

use super::{ArmPlan, Experiment, Feed};
use crate::error::LabError;
use crate::recipe::Train;

impl Experiment {
    /// Fills in [`ArmPlan::same_as`].
    pub(crate) fn find_alike(&mut self) -> Result<(), LabError> {
        for i in 0..self.arms.len() {
            let earlier = (0..i).filter(|j| self.arms[*j].same_as.is_none());
            let mut twin = None;
            for j in earlier {
                if self.set_up_alike(i, j) && self.shown_alike(i, j)? {
                    twin = Some(j);
                    break;
                }
            }
            self.arms[i].same_as = twin;
        }
        Ok(())
    }

    /// Whether two arms train from scratch in the same stage with the same routes, objective and settings.
    fn set_up_alike(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.arms[a], &self.arms[b]);
        let stage = |p: &ArmPlan| {
            let origin = self.recipe.origin_of(&p.arm.name).filter(|s| s.trains());
            origin.map(|s| s.name.as_str())
        };
        let settings = |p: &ArmPlan| Train { checkpoint_secs: 0, ..self.recipe.train_of(&p.arm).clone() };
        let plain = |p: &ArmPlan| p.table.rows.iter().all(|r| r.route.is_plain());
        stage(a).is_some()
            && stage(a) == stage(b)
            && a.table == b.table
            // Routes name regions by their number.
            && (plain(a) || self.region_texts(&a.arm) == self.region_texts(&b.arm))
            && a.asks == b.asks
            && a.objective == b.objective
            && a.arm.model == b.arm.model
            && a.arm.weights == b.arm.weights
            && a.arm.from == b.arm.from
            && a.label_weight == b.label_weight
            && settings(a) == settings(b)
    }

    /// Whether two arms see the same examples under the same labels, in every step of every seed. Arms that
    /// differ mostly do so in the first steps.
    fn shown_alike(&self, a: usize, b: usize) -> Result<bool, LabError> {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for seed in &self.recipe.seeds {
            let (mut first, mut second) = (Feed::new(self, a, *seed)?, Feed::new(self, b, *seed)?);
            for step in 0..self.recipe.train_of(&self.arms[a].arm).steps {
                first.note(step, &mut one)?;
                second.note(step, &mut other)?;
                if one != other {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}
