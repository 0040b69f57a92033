//! What a recipe will not be able to say, known before anything is trained.

use lobe_core::LabelId;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use crate::plan::{ArmPlan, Experiment, same_training};
use crate::recipe::Stage;

/// A number of seeds from which paired differences of an ordinary size can be told from chance.
const USEFUL_SEEDS: usize = 5;

/// What an advice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concern {
    /// No arm never saw the data of a label that others are to be without.
    NoControl,
    /// An attack on arms without a label leaves out the arm that never saw it.
    ControlNotAttacked,
    /// Two arms are one network.
    SameTraining,
    /// How small a difference the seeds can tell from chance.
    Seeds,
}

/// One remark about an experiment that is right, and may still disappoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What it is about.
    pub concern: Concern,
    /// Whether the experiment cannot answer its question like this; otherwise it is good to know.
    pub warning: bool,
    /// One or two sentences, with what to write instead.
    pub text: String,
}

/// Everything worth saying about an experiment before it is paid for, warnings first.
pub fn advice(x: &Experiment) -> Vec<Advice> {
    let mut out = controls(x);
    out.extend(attacks(x));
    out.extend(seeds(x.recipe.arms.len(), x.recipe.seeds.len()));
    out.extend(alike(x));
    out.sort_by_key(|a| !a.warning);
    out
}

/// The smallest paired difference that Student's t at 95 % tells from chance, in standard deviations of the
/// differences: t(n − 1) / √n. `None` below two seeds, which have no spread.
pub fn smallest_difference(seeds: usize) -> Option<f64> {
    let freedom = seeds.checked_sub(1).filter(|f| *f > 0)?;
    Some(student_quantile(freedom)? / (seeds as f64).sqrt())
}

/// Arms that are to be without `label` and are no control of it.
fn removers(x: &Experiment, label: LabelId) -> impl Iterator<Item = &ArmPlan> {
    x.arms.iter().filter(move |a| !a.arm.control && a.removes.contains(&label))
}

/// Labels that some arm is to be without.
fn removed(x: &Experiment) -> impl Iterator<Item = LabelId> {
    let all = (0..x.labels.len()).map(|l| LabelId(l as u8));
    all.filter(|l| removers(x, *l).next().is_some())
}

fn controls(x: &Experiment) -> Vec<Advice> {
    let without = |l: &LabelId| x.recipe.control_of(x.labels.name(*l)).is_none();
    let one = |label: LabelId| {
        let name = x.labels.name(label);
        let data = if name == "forget" {
            "\"retain only\"".to_owned()
        } else {
            format!("{{ without = [{name:?}] }}")
        };
        let text = format!(
            "no arm never saw {name:?}: without a control nothing will be called removed. Add one, for example \
             [arms.oracle] with method = \"none\" and data = {data}"
        );
        Advice { concern: Concern::NoControl, warning: true, text }
    };
    removed(x).filter(without).map(one).collect()
}

fn attacks(x: &Experiment) -> Vec<Advice> {
    let one = |stage: &Stage| {
        let label = x.labels.find(stage.label())?;
        let control = &x.recipe.control_of(stage.label())?.name;
        let victim = removers(x, label).find(|a| stage.arms.contains(&a.arm.name))?;
        if stage.arms.contains(control) {
            return None;
        }
        let text = format!(
            "stage {:?} attacks {:?} and not the control {control:?}: nothing says how much of what comes back is \
             learnt anew. Add {control:?} to its arms",
            stage.name, victim.arm.name
        );
        Some(Advice { concern: Concern::ControlNotAttacked, warning: true, text })
    };
    x.recipe.stages.iter().filter(|s| s.is_attack()).filter_map(one).collect()
}

fn alike(x: &Experiment) -> Vec<Advice> {
    let one = |a: &ArmPlan| {
        let text = same_training(&x.arms[a.same_as?].arm.name, &a.arm.name);
        Some(Advice { concern: Concern::SameTraining, warning: false, text })
    };
    x.arms.iter().filter_map(one).collect()
}

fn seeds(arms: usize, seeds: usize) -> Option<Advice> {
    if arms < 2 {
        return None;
    }
    let least = |n| smallest_difference(n).map_or(String::new(), |d| format!("{d:.2}"));
    let useful = format!("{USEFUL_SEEDS} seeds: from {} on", least(USEFUL_SEEDS));
    let text = match seeds {
        0 | 1 => format!(
            "one seed has no spread, so no difference between arms can be told from chance ({useful} standard \
             deviations of the differences)"
        ),
        n => {
            let more = match n {
                2 => format!(": almost nothing ({useful})"),
                n if n < USEFUL_SEEDS => format!(" ({useful})"),
                _ => String::new(),
            };
            format!(
                "{n} seeds tell a paired difference from chance if it is at least {} standard deviations of the \
                 differences{more}",
                least(n)
            )
        }
    };
    Some(Advice { concern: Concern::Seeds, warning: seeds < 3, text })
}

/// The 97.5 % quantile of Student's t with `freedom` ≥ 1 degrees.
fn student_quantile(freedom: usize) -> Option<f64> {
    Some(StudentsT::new(0.0, 1.0, freedom as f64).ok()?.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_seeds_can_decide_follows_students_t() {
        // t(n − 1) of the tables over √n.
        for (n, least) in [(2, 8.98), (3, 2.48), (4, 1.59), (5, 1.24), (8, 0.84), (10, 0.72)] {
            assert!(
                (smallest_difference(n).unwrap() - least).abs() < 0.005,
                "{n}: {:?}",
                smallest_difference(n)
            );
        }
        assert_eq!((smallest_difference(0), smallest_difference(1)), (None, None));
        for (freedom, t) in
            [(1, 12.706_205), (2, 4.302_653), (9, 2.262_157), (30, 2.042_272), (999, 1.962_341)]
        {
            assert!(
                (student_quantile(freedom).unwrap() - t).abs() < 1e-5,
                "{freedom}: {:?}",
                student_quantile(freedom)
            );
        }
    }

    #[test]
    fn few_seeds_are_a_warning_and_enough_are_a_remark() {
        let of = |n| seeds(2, n).unwrap();
        assert!(of(1).warning && of(1).text.starts_with("one seed has no spread"), "{}", of(1).text);
        assert!(of(2).warning && of(2).text.contains("8.98") && of(2).text.contains("almost nothing"));
        assert!(
            !of(3).warning && of(3).text.contains("2.48") && of(3).text.contains("5 seeds: from 1.24 on")
        );
        assert!(!of(5).warning && of(5).text.contains("1.24") && !of(5).text.contains("5 seeds: from"));
        assert_eq!(seeds(1, 2), None, "one arm has no differences");
    }
}
