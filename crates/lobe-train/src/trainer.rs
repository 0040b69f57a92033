//! The training loop: members side by side, logged, evaluated, saved and resumed to the bit.

use std::sync::Arc;
use std::time::Instant;

use lobe_core::LabelSet;
use lobe_engine::{Buf, EngineError, Member, Optimiser, Plan, Program, Runner, StepReport};
use lobe_methods::objective::{Examples, Minimise, Term};
use lobe_nets::{Batch, Network};

use crate::drive::Driver;
use crate::error::{Diverged, TrainError};
use crate::journal::Journal;
use crate::payload::{State, pack, unpack};
use crate::reading::Reading;
use crate::scores::{Job, Scores, evaluate};

/// Where a member is when it asks for data.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The step, from 0.
    pub step: u64,
    /// The member's parameters: a source that acts by them may read them.
    pub params: &'a [f32],
    /// Workers.
    pub runner: &'a Runner,
}

/// What a member trains on, step by step.
pub trait Source {
    /// Prepares the examples of a step; returns the number of rows that count.
    ///
    /// # Errors
    /// If the data refuses.
    fn load(&mut self, at: At<'_>) -> Result<usize, TrainError>;
    /// The examples last prepared.
    fn examples(&self) -> Box<dyn Examples + '_>;
    /// What a saved state keeps of it, so that the rest follows to the bit.
    fn state(&self) -> Vec<u8> {
        Vec::new()
    }
    /// Takes such a state up; whether it is one.
    fn restore(&mut self, state: &[u8]) -> bool {
        state.is_empty()
    }
}

/// How a member is trained.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The optimiser with its schedule.
    pub optimiser: Optimiser,
    /// Number of steps.
    pub steps: u64,
    /// Gradient lanes.
    pub lanes: usize,
    /// Log the running loss every so many steps.
    pub log_every: u64,
    /// Evaluate every so many steps, and at the end.
    pub eval_every: u64,
    /// Save a checkpoint every so many seconds; `None` never.
    pub checkpoint_secs: Option<u64>,
}

/// What a member follows, and how a step is made of it.
pub enum Follows {
    /// One gradient of all terms; the mean loss of each label is logged.
    Loss,
    /// A driver makes the step; the objective is logged.
    Driven(Box<Driver>),
}

/// Ends training as soon as it holds of an evaluation.
pub type Goal<'a> = Box<dyn Fn(&Scores) -> bool + 'a>;

/// One member on its way through training.
pub struct Trainee<'a> {
    /// What it is.
    pub net: Arc<dyn Network>,
    /// Its parameters and moments.
    pub member: Member,
    /// What it minimises.
    pub terms: Arc<Vec<Term>>,
    /// Its data.
    pub source: Box<dyn Source + 'a>,
    /// How it is trained.
    pub spec: Spec,
    /// Where its numbers go.
    pub journal: Box<dyn Journal + 'a>,
    /// How a step is made.
    pub follows: Follows,
    /// What is evaluated along the way.
    pub eval: Option<&'a Batch>,
    /// Examples whose mean loss is taken as well, as `watched_loss`.
    pub watch: Option<&'a Batch>,
    /// Ends it early.
    pub goal: Option<Goal<'a>>,
    /// Rows that counted so far.
    pub targets: u64,
    /// Why it ended early, if it did: the others went on without it.
    pub failed: Option<Diverged>,
    next: u64,
    reached: bool,
    /// Whether it took part in the last step: a member that resumed further on waits.
    moved: bool,
    sums: Vec<(f64, f64)>,
}

impl<'a> Trainee<'a> {
    /// A member that trains from `params` under `plan`, keeps its numbers in `journal`, and goes on from the state
    /// that is saved there.
    ///
    /// # Errors
    /// If the journal cannot be read, or the lanes are too many.
    pub fn new(
        (net, params): (Arc<dyn Network>, Buf),
        plan: Plan,
        terms: Arc<Vec<Term>>,
        source: Box<dyn Source + 'a>,
        spec: Spec,
        journal: Box<dyn Journal + 'a>,
    ) -> Result<Trainee<'a>, TrainError> {
        let member = Member::new(params, plan, spec.lanes)?;
        let mut out = Trainee {
            net,
            member,
            terms,
            source,
            spec,
            journal,
            follows: Follows::Loss,
            eval: None,
            watch: None,
            goal: None,
            targets: 0,
            failed: None,
            next: 0,
            reached: false,
            moved: true,
            sums: Vec::new(),
        };
        out.open()?;
        Ok(out)
    }

    /// Closes the journal: the caller has written the model.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn close(&mut self) -> Result<(), TrainError> {
        self.journal.close((self.next, self.spec.steps))
    }

    /// Number of steps already done.
    pub fn done(&self) -> u64 {
        self.next
    }

    fn open(&mut self) -> Result<(), TrainError> {
        let saved = self.journal.saved()?;
        let rule = &*self.spec.optimiser.rule;
        let state = saved.and_then(|bytes| unpack(&mut self.member, rule, &bytes));
        let state = state.filter(|state| self.source.restore(&state.source));
        let written = state.as_ref().map(|s| s.written);
        if let Some(s) = state {
            (self.next, self.targets, self.sums) = (s.step, s.targets, s.sums);
        }
        self.journal.begin(written, (self.next, self.spec.steps))
    }

    /// Whether it has steps left to take.
    fn going(&self) -> bool {
        self.next < self.spec.steps && self.failed.is_none() && !self.reached
    }

    /// Whether something that happens every so many steps, and at the end, happens at `step`.
    fn due(&self, step: u64, every: u64) -> bool {
        step.is_multiple_of(every) || step == self.spec.steps
    }

    /// Ends it where `result` says that a number is not finite, seen at `step`; another error is passed on.
    fn guard(&mut self, result: Result<(), TrainError>, step: u64) -> Result<(), TrainError> {
        let Err(error) = result else { return Ok(()) };
        let Some(why) = error.diverged(step) else { return Err(error) };
        self.journal.failed(&why, (self.next, self.spec.steps))?;
        self.failed = Some(why);
        Ok(())
    }

    /// Saves a state from which the rest follows to the bit.
    fn save(&mut self) -> Result<(), TrainError> {
        if self.failed.is_some() {
            return Ok(());
        }
        let (sums, source) = (self.sums.clone(), self.source.state());
        let (step, targets, written) = (self.next, self.targets, self.journal.len());
        let state = State { step, targets, written, sums, source };
        self.journal.save(&pack(&self.member, &state), (self.next, self.spec.steps))
    }
}

/// Trains all `trainees` to their last step, side by side; `tell` hears how many member steps are done, and `stop`
/// is asked after each. One whose numbers are no longer finite ends there ([`Trainee::failed`]) and the others
/// go on.
///
/// # Errors
/// [`TrainError::Interrupted`] after saving, when asked to stop; otherwise what went wrong.
pub fn train(
    runner: &Runner,
    labels: &LabelSet,
    trainees: &mut [Trainee<'_>],
    stop: &dyn Fn() -> bool,
    tell: &dyn Fn(u64, &str),
) -> Result<(), TrainError> {
    let mut done: u64 = trainees.iter().map(|t| t.next).sum();
    let mut saved = Instant::now();
    let unfinished = trainees.iter().filter(|t| t.going());
    let last = trainees.iter().map(|t| t.spec.steps).max().unwrap_or(0);
    let mut step = unfinished.map(|t| t.next).min().unwrap_or(last);
    if step == 0 {
        held_out(runner, labels, trainees, 0)?;
    }
    while step < last && trainees.iter().any(Trainee::going) {
        for t in trainees.iter_mut() {
            t.moved = t.next == step && t.going();
        }
        let mut active: Vec<&mut Trainee<'_>> = trainees.iter_mut().filter(|t| t.moved).collect();
        for t in &mut active {
            t.targets += t.source.load(At { step, params: &t.member.params, runner })? as u64;
        }
        let loss = one_step(runner, labels, &mut active, step)?;
        done += active.len() as u64;
        step += 1;
        for t in active.into_iter().filter(|t| t.failed.is_none()) {
            t.next = step;
        }
        held_out(runner, labels, trainees, step)?;
        tell(done, &loss.map_or(String::new(), |l| format!("loss {l:.3}")));
        let stopped = stop();
        let due = |t: &Trainee<'_>| t.spec.checkpoint_secs.is_some_and(|s| saved.elapsed().as_secs() >= s);
        if stopped || trainees.iter().any(due) {
            for t in trainees.iter_mut().filter(|t| t.spec.checkpoint_secs.is_some()) {
                t.save()?;
            }
            saved = Instant::now();
        }
        if stopped {
            return Err(TrainError::Interrupted);
        }
    }
    Ok(())
}

/// Moves every member one step and logs it; returns the mean of their training losses, if any had a target.
fn one_step(
    runner: &Runner,
    labels: &LabelSet,
    active: &mut [&mut Trainee<'_>],
    step: u64,
) -> Result<Option<f64>, TrainError> {
    let mut losses = Vec::new();
    for (i, report) in side_by_side(runner, active, step) {
        let t = &mut *active[i];
        let taken = report.map_err(TrainError::from).map(|report| {
            losses.extend(mean_loss(&report.records, labels.len()));
            add(&mut t.sums, &report.records);
        });
        t.guard(taken, step + 1)?;
        if t.failed.is_none() {
            let logged = log_loss(t, labels, step + 1);
            t.guard(logged, step + 1)?;
        }
    }
    for t in active.iter_mut() {
        let Trainee { net, member, terms, source, spec, follows, .. } = &mut **t;
        let Follows::Driven(driver) = follows else { continue };
        let taken =
            driver.step(runner, &**net, member, (&spec.optimiser, step), (terms, &*source.examples()));
        let noted = taken.and_then(|value| {
            losses.push(value);
            if !t.due(step + 1, t.spec.log_every) {
                return Ok(());
            }
            t.journal.note(Reading::new("all", "objective", value, "nat").at(step + 1))
        });
        t.guard(noted, step + 1)?;
    }
    Ok((!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64))
}

/// One plain step of every member that follows its loss, those of one network together.
fn side_by_side(
    runner: &Runner,
    active: &mut [&mut Trainee<'_>],
    step: u64,
) -> Vec<(usize, Result<StepReport, EngineError>)> {
    let mut out = Vec::with_capacity(active.len());
    let plain = |t: &Trainee<'_>| matches!(t.follows, Follows::Loss);
    let mut left: Vec<usize> = (0..active.len()).filter(|i| plain(active[*i])).collect();
    while let Some(first) = left.first().copied() {
        let net = active[first].net.clone();
        let mine: Vec<usize> = left.iter().copied().filter(|i| Arc::ptr_eq(&active[*i].net, &net)).collect();
        left.retain(|i| !mine.contains(i));
        let (mut members, mut parts) = (Vec::new(), Vec::new());
        for (i, t) in active.iter_mut().enumerate().filter(|(i, _)| mine.contains(i)) {
            let Trainee { member, terms, source, spec, .. } = &mut **t;
            members.push((i, member, &spec.optimiser));
            parts.push((&**terms, &**source));
        }
        let programs: Vec<Box<dyn Program + '_>> = parts
            .iter()
            .map(|(terms, source)| {
                Box::new(Minimise::new(&*net, terms, source.examples())) as Box<dyn Program + '_>
            })
            .collect();
        let (ids, mut jobs): (Vec<usize>, Vec<_>) =
            members.into_iter().zip(&programs).map(|((i, m, o), p)| (i, (m, &**p, o))).unzip();
        out.extend(ids.into_iter().zip(runner.step_each(net.layout(), &mut jobs, step)));
    }
    out.sort_by_key(|(i, _)| *i);
    out
}

fn add(sums: &mut Vec<(f64, f64)>, records: &[(f64, f64)]) {
    if sums.len() < records.len() {
        sums.resize(records.len(), (0.0, 0.0));
    }
    for (sum, r) in sums.iter_mut().zip(records) {
        *sum = (sum.0 + r.0, sum.1 + r.1);
    }
}

/// The loss of a step's first output over all labels.
fn mean_loss(records: &[(f64, f64)], labels: usize) -> Option<f64> {
    let (sum, count) = records.iter().take(labels).fold((0.0, 0.0), |a, s| (a.0 + s.0, a.1 + s.1));
    (count > 0.0).then_some(sum / count)
}

/// Logs the running training loss of the first output per label.
fn log_loss(t: &mut Trainee<'_>, labels: &LabelSet, step: u64) -> Result<(), TrainError> {
    if !t.due(step, t.spec.log_every) {
        return Ok(());
    }
    let Some(read) = t.net.outputs().first().map(|o| o.read) else { return Ok(()) };
    let unit = read.metrics()[read.logged()].1;
    for (name, (sum, count)) in labels.names().iter().zip(t.sums.clone()).filter(|(_, s)| s.1 > 0.0) {
        t.journal.note(Reading::new(name, "train_loss", sum / count, unit).at(step))?;
    }
    t.sums.iter_mut().for_each(|s| *s = (0.0, 0.0));
    Ok(())
}

/// Held-out numbers of the members that are due at `step`, all in one parallel pass.
fn held_out(
    runner: &Runner,
    labels: &LabelSet,
    trainees: &mut [Trainee<'_>],
    step: u64,
) -> Result<(), TrainError> {
    let due =
        |t: &Trainee<'_>| t.moved && t.failed.is_none() && t.next == step && t.due(step, t.spec.eval_every);
    let taken = |watched: bool| -> Result<Vec<Scores>, EngineError> {
        let mut jobs = Vec::new();
        for t in trainees.iter().filter(|t| due(t)) {
            let batch = if watched { t.watch } else { t.eval };
            jobs.extend(batch.map(|batch| Job { net: &*t.net, params: &t.member.params[..], batch }));
        }
        evaluate(runner, labels, None, &jobs)
    };
    let (scores, watched) = (taken(false)?, taken(true)?);
    for (t, s) in trainees.iter_mut().filter(|t| due(t) && t.eval.is_some()).zip(scores) {
        let readings = s.readings(&*t.net, labels, Some(step));
        let noted = readings.into_iter().try_for_each(|r| t.journal.note(r));
        t.guard(noted, step)?;
        t.reached |= step > 0 && t.goal.as_ref().is_some_and(|goal| goal(&s));
    }
    for (t, s) in trainees.iter_mut().filter(|t| due(t) && t.watch.is_some()).zip(watched) {
        // Mean over all of them, whatever their labels are.
        let all = s.sums[0].iter().fold((0.0, 0.0), |a, s| (a.0 + s[0], a.1 + s[2]));
        if all.1 > 0.0 {
            let reading =
                Reading::new("all", lobe_methods::attack::WATCHED_LOSS, all.0 / all.1, "nat").at(step);
            let noted = t.journal.note(reading);
            t.guard(noted, step)?;
        }
    }
    Ok(())
}
