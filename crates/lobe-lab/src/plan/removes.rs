//! What each arm is to be without: the labels that its regions, its filter or its method stand for.

use lobe_core::{FORGET, LabelId, RETAIN, RouteTable, Target, UNLABELLED};
use lobe_methods::TrainsOn;

use super::{ArmPlan, Experiment};
use crate::recipe::{Arm, ArmKind};

impl Experiment {
    /// Fills in [`ArmPlan::removes`]; `cuts` are the names of the regions that stages cut out of an arm's model.
    pub(crate) fn find_removed(&mut self, cuts: &dyn Fn(&Arm) -> Vec<String>) {
        let all: Vec<Vec<LabelId>> = (0..self.arms.len()).map(|i| self.removed(i, cuts)).collect();
        for (arm, mut removes) in self.arms.iter_mut().zip(all) {
            removes.sort_unstable();
            removes.dedup();
            arm.removes = removes;
        }
    }

    fn removed(&self, index: usize, cuts: &dyn Fn(&Arm) -> Vec<String>) -> Vec<LabelId> {
        let plan = &self.arms[index];
        let arm = &plan.arm;
        let reference = self.recipe.reference();
        if arm.control {
            return if plan.unseen.is_empty() { vec![FORGET] } else { plan.unseen.clone() };
        }
        if [&reference.baseline, &reference.fresh].into_iter().flatten().any(|n| *n == arm.name) {
            return Vec::new();
        }
        if arm.kind == ArmKind::PostHoc {
            return vec![FORGET];
        }
        match &plan.trains_on {
            TrainsOn::Without(topics) => return topics.clone(),
            TrainsOn::Context(of, _) => return vec![*of],
            TrainsOn::All => {}
        }
        cuts(arm).iter().flat_map(|region| self.held(arm, region)).collect()
    }

    /// The labels that a region of an arm, or of the arm it is a profile of, was trained to hold. A region
    /// that no route singles out stands for what every experiment is about.
    fn held(&self, arm: &Arm, region: &str) -> Vec<LabelId> {
        let mut at = Some(arm);
        while let Some(arm) = at {
            if let Some(plan) = self.arms.iter().find(|a| a.arm.name == arm.name)
                && let Some(held) = self.routed_into(plan, region)
            {
                return held;
            }
            at = arm.from.as_ref().filter(|_| arm.is_profile()).and_then(|f| self.recipe.arm(f));
        }
        vec![FORGET]
    }

    /// The labels whose data trains the region, but not all of the rest in the ordinary way.
    fn routed_into(&self, plan: &ArmPlan, region: &str) -> Option<Vec<LabelId>> {
        let at = Target::Region(plan.arm.regions.iter().position(|r| r == region)? as u8);
        let names = self.labels.names().iter().enumerate().filter(|(_, n)| !n.contains(':'));
        let labels = names.map(|(i, _)| LabelId(i as u8)).filter(|l| ![RETAIN, UNLABELLED].contains(l));
        let held: Vec<LabelId> = labels.filter(|l| holds(&plan.table, *l, at)).collect();
        (!held.is_empty()).then_some(held)
    }
}

fn holds(table: &RouteTable, label: LabelId, region: Target) -> bool {
    let own = table.get(label, region);
    let elsewhere = table.rows.iter().filter(|r| r.label == label && r.target != region);
    own.forward != 0.0 && own.update != 0.0 && elsewhere.into_iter().any(|r| !r.route.is_plain())
}
