//! How long training will take, from a few steps of it.

use std::time::{Duration, Instant};

use lobe_engine::{Member, Program, Runner};
use lobe_methods::objective::Minimise;
use lobe_train::Source;

use crate::error::LabError;
use crate::plan::{Experiment, Feed, optimiser};

/// Measured steps, and the time after which no further one is begun.
const STEPS: u64 = 4;
const ENOUGH: Duration = Duration::from_millis(1500);
/// Parameters from which even one step takes too long to be measured in passing.
const LARGE: usize = 50_000_000;

/// What training will take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// Seconds for one step of one network, with as many side by side as there are threads for.
    pub step: f64,
    /// Steps of all networks together.
    pub steps: u64,
}

impl Estimate {
    /// Seconds for all of training.
    pub fn seconds(&self) -> f64 {
        self.step * self.steps as f64
    }
}

/// Times a few steps of the first seed. `None` if nothing is trained from scratch, or the network is so
/// large that even this would take long.
///
/// # Errors
/// If a step fails.
pub fn estimate(x: &Experiment, threads: usize) -> Result<Option<Estimate>, LabError> {
    let Some(seed) = x.recipe.seeds.first().copied() else { return Ok(None) };
    let arms: Vec<usize> = (0..x.arms.len()).filter(|i| trains(x, *i)).collect();
    let all = arms.iter().map(|i| x.recipe.train_of(&x.arms[*i].arm).steps).sum::<u64>();
    let steps = all * x.recipe.seeds.len() as u64;
    if arms.is_empty() || x.layout().len() > LARGE {
        return Ok(None);
    }
    let runner = Runner::new(threads)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if threads == 0 { workers } else { threads };
    let lanes = x.recipe.train_of(&x.arms[arms[0]].arm).lanes;
    let beside = workers.div_ceil(lanes).min(arms.len() * x.recipe.seeds.len());
    let mut jobs = Vec::new();
    for i in arms.iter().cycle().take(beside.max(1)) {
        let t = x.recipe.train_of(&x.arms[*i].arm);
        let rule = optimiser(t)?;
        let params = x.layout().init(Experiment::key(seed).child("weights"));
        let member = Member::new(params, x.arms[*i].plan.clone(), t.lanes)?;
        jobs.push((member, Feed::new(x, *i, seed)?, rule, &x.arms[*i].terms));
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    for step in 0..STEPS {
        let begun = Instant::now();
        for (_, feed, ..) in &mut jobs {
            feed.fill(step)?;
        }
        let mut work: Vec<(&mut Member, Box<dyn Program + '_>, &_)> = jobs
            .iter_mut()
            .map(|(member, feed, rule, terms)| {
                let program = Minimise::new(&*x.net, terms, feed.examples());
                (member, Box::new(program) as Box<dyn Program + '_>, &*rule)
            })
            .collect();
        let mut work: Vec<_> = work.iter_mut().map(|(m, p, o)| (&mut **m, &**p, *o)).collect();
        runner.step(x.layout(), &mut work, step)?;
        times.push(begun.elapsed().as_secs_f64() / beside.max(1) as f64);
        if start.elapsed() > ENOUGH {
            break;
        }
    }
    // The first step allocates its buffers.
    let warm = if times.len() > 1 { &mut times[1..] } else { &mut times[..] };
    warm.sort_by(f64::total_cmp);
    Ok(Some(Estimate { step: warm[warm.len() / 2], steps }))
}

/// Whether an arm is trained from scratch, on some data, and no other arm is the same network.
fn trains(x: &Experiment, arm: usize) -> bool {
    let a = &x.arms[arm];
    let stage = x.recipe.origin_of(&a.arm.name).is_some_and(crate::recipe::Stage::trains);
    stage && a.same_as.is_none() && a.arm.data != crate::recipe::ArmData::Nothing
}
