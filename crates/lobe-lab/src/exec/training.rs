//! The training loop: members side by side, logged, evaluated, saved and resumed to the bit.

use std::time::Instant;

use lobe_engine::optim::Rule;
use lobe_engine::{Buf, Member, Optimiser, Plan, Program};

use super::Context;
use super::evaluate::EvalSet;
use super::experiment::Experiment;
use crate::error::LabError;
use crate::store::{Failure, MemberDir, Metric, MetricsLog, State, Status};

/// Version of the checkpoint's payload.
const CHECKPOINT: u32 = 2;

/// What a member trains on, step by step.
pub trait Source {
    /// Prepares the batch of `step`; returns the number of counted targets.
    ///
    /// # Errors
    /// If the data refuses.
    fn load(&mut self, x: &Experiment, step: u64) -> Result<usize, LabError>;
    /// The program of the step last loaded.
    fn program<'a>(&'a self, x: &'a Experiment) -> Box<dyn Program + 'a>;
}

impl Source for super::feed::Feed {
    fn load(&mut self, x: &Experiment, step: u64) -> Result<usize, LabError> {
        super::feed::Feed::load(self, x, step)?;
        Ok(self.size().1)
    }
    fn program<'a>(&'a self, x: &'a Experiment) -> Box<dyn Program + 'a> {
        super::feed::Feed::program(self, x)
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

/// One member on its way through training.
pub struct Trainee<'a> {
    /// Its network.
    pub member: Member,
    /// Its data.
    pub source: Box<dyn Source + Send + 'a>,
    /// How it is trained.
    pub spec: Spec,
    /// Where it is saved; `None` keeps everything in memory.
    pub dir: Option<MemberDir>,
    /// Hash of everything its result depends on.
    pub key: String,
    /// What is evaluated along the way.
    pub eval: Option<&'a EvalSet>,
    /// Examples whose mean loss is taken as well, as `watched_loss`.
    pub watch: Option<&'a EvalSet>,
    /// Evaluations, (step, label index, loss), when there is no directory.
    pub curve: Vec<Metric>,
    /// Counted targets so far.
    pub targets: u64,
    /// Why it ended early, if it did: the others went on without it.
    pub failed: Option<Failure>,
    next: u64,
    /// Whether it took part in the last step: a member that resumed further on waits.
    moved: bool,
    log: Option<MetricsLog>,
    sums: Vec<(f64, f64)>,
}

impl<'a> Trainee<'a> {
    /// A member that starts from `params`, or goes on from its directory's checkpoint.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn new(
        params: Buf,
        plan: Plan,
        source: Box<dyn Source + Send + 'a>,
        spec: Spec,
        dir: Option<MemberDir>,
        key: String,
        eval: Option<&'a EvalSet>,
    ) -> Result<Trainee<'a>, LabError> {
        let member = Member::new(params, plan, spec.lanes)?;
        let mut out = Trainee {
            member,
            source,
            spec,
            dir,
            key,
            eval,
            watch: None,
            curve: Vec::new(),
            targets: 0,
            failed: None,
            next: 0,
            moved: true,
            log: None,
            sums: Vec::new(),
        };
        out.open()?;
        Ok(out)
    }

    /// Number of steps already done when it was opened.
    pub fn done(&self) -> u64 {
        self.next
    }

    fn open(&mut self) -> Result<(), LabError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let same = dir.status()?.is_some_and(|s| s.key == self.key);
        let checkpoint = if same { dir.load_checkpoint(CHECKPOINT)? } else { None };
        let restored = checkpoint.and_then(|c| {
            if let Some(w) = &c.warning {
                tracing::warn!("{w}");
            }
            restore(&mut self.member, &*self.spec.optimiser.rule, &c.payload)
        });
        if restored.is_none() {
            dir.reset()?;
        }
        let mut log = dir.metrics()?;
        if let Some(r) = restored {
            (self.next, self.targets, self.sums) = (r.step, r.targets, r.sums);
            log.truncate_to(r.log_len)?;
        }
        self.log = Some(log);
        self.status(State::Running)
    }

    fn status(&self, state: State) -> Result<(), LabError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let log = (state == State::Done).then(|| dir.log_bytes());
        let (key, step, steps) = (self.key.clone(), self.next, self.spec.steps);
        let failed = self.failed.clone();
        Ok(dir.set_status(&Status { key, state, step, steps, log, same_as: None, failed })?)
    }

    /// Whether it has steps left to take.
    fn going(&self) -> bool {
        self.next < self.spec.steps && self.failed.is_none()
    }

    /// Ends it where `result` says that a number is not finite, seen at `step`; another error is passed on.
    fn guard(&mut self, result: Result<(), LabError>, step: u64) -> Result<(), LabError> {
        let Err(error) = result else { return Ok(()) };
        let Some(failure) = error.diverged(step) else { return Err(error) };
        self.failed = Some(failure);
        let Some(dir) = &self.dir else { return Ok(()) };
        dir.clear_checkpoints()?;
        if let Some(log) = &mut self.log {
            log.sync()?;
        }
        self.status(State::Failed)
    }

    fn note(&mut self, metric: Metric) -> Result<(), LabError> {
        if let Some(log) = &mut self.log {
            return Ok(log.append(&metric)?);
        }
        self.curve.push(metric);
        Ok(())
    }

    /// Saves a checkpoint from which the rest follows to the bit.
    fn save(&mut self) -> Result<(), LabError> {
        let (Some(dir), Some(log)) = (&self.dir, &mut self.log) else { return Ok(()) };
        if self.failed.is_some() {
            return Ok(());
        }
        log.sync()?;
        dir.save_checkpoint(
            CHECKPOINT,
            &payload(&self.member, self.next, self.targets, log.len(), &self.sums),
        )?;
        self.status(State::Running)
    }

    /// Closes the log and marks the work as done. The caller writes the model first.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn close(&mut self) -> Result<(), LabError> {
        if let Some(log) = &mut self.log {
            log.sync()?;
        }
        self.status(State::Done)?;
        if let Some(dir) = &self.dir {
            dir.clear_checkpoints()?;
        }
        Ok(())
    }
}

struct Restored {
    step: u64,
    targets: u64,
    log_len: u64,
    sums: Vec<(f64, f64)>,
}

fn payload(m: &Member, step: u64, targets: u64, log_len: u64, sums: &[(f64, f64)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 * 3 * m.params.len() + 128);
    for n in [step, targets, log_len, m.state.updates, sums.len() as u64] {
        out.extend_from_slice(&n.to_le_bytes());
    }
    for (a, b) in sums {
        out.extend_from_slice(&a.to_le_bytes());
        out.extend_from_slice(&b.to_le_bytes());
    }
    for buf in std::iter::once(&m.params).chain(&m.state.slots) {
        out.extend_from_slice(&(buf.len() as u64).to_le_bytes());
        buf.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes()));
    }
    out
}

/// `None` if the payload is not of this member, which then starts anew.
fn restore(m: &mut Member, rule: &dyn Rule, bytes: &[u8]) -> Option<Restored> {
    let mut rest = bytes;
    let mut word = || -> Option<[u8; 8]> {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        rest = tail;
        Some(*head)
    };
    let mut number = || word().map(u64::from_le_bytes);
    let (step, targets, log_len, updates, n) = (number()?, number()?, number()?, number()?, number()?);
    if n > 1 << 16 {
        return None;
    }
    let mut sums = Vec::new();
    for _ in 0..n {
        sums.push((f64::from_le_bytes(word()?), f64::from_le_bytes(word()?)));
    }
    m.state.fit(rule, m.plan.gradients().len());
    for buf in std::iter::once(&mut m.params).chain(&mut m.state.slots) {
        let (head, tail) = rest.split_first_chunk::<8>()?;
        let len = u64::from_le_bytes(*head) as usize;
        if len != buf.len() || tail.len() < 4 * len {
            return None;
        }
        for (x, b) in buf.iter_mut().zip(tail.chunks_exact(4)) {
            *x = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        }
        rest = &tail[4 * len..];
    }
    m.state.updates = updates;
    Some(Restored { step, targets, log_len, sums })
}

/// Trains all `trainees` to their last step, side by side; `tell` hears how many member steps are done. One
/// whose numbers are no longer finite ends there ([`Trainee::failed`]) and the others go on.
///
/// # Errors
/// [`LabError::Interrupted`] after saving, when asked to stop; otherwise what went wrong.
pub(crate) fn train(
    c: &Context<'_>,
    trainees: &mut [Trainee<'_>],
    tell: &dyn Fn(u64, &str),
) -> Result<(), LabError> {
    let x = c.experiment;
    let mut done: u64 = trainees.iter().map(|t| t.next).sum();
    let mut saved = Instant::now();
    let unfinished = trainees.iter().filter(|t| t.going());
    let last = trainees.iter().map(|t| t.spec.steps).max().unwrap_or(0);
    let mut step = unfinished.map(|t| t.next).min().unwrap_or(last);
    if step == 0 {
        evaluate(c, trainees, 0)?;
    }
    while step < last && trainees.iter().any(Trainee::going) {
        for t in trainees.iter_mut() {
            t.moved = t.next == step && t.going();
        }
        let mut active: Vec<&mut Trainee<'_>> = trainees.iter_mut().filter(|t| t.moved).collect();
        for t in &mut active {
            t.targets += t.source.load(x, step)? as u64;
        }
        let loss = one_step(c, &mut active, step)?;
        done += active.len() as u64;
        step += 1;
        for t in active.into_iter().filter(|t| t.failed.is_none()) {
            t.next = step;
            let logged = log_loss(x, t, step);
            t.guard(logged, step)?;
        }
        evaluate(c, trainees, step)?;
        tell(done, &loss.map_or(String::new(), |l| format!("loss {l:.3}")));
        let stop = c.options.check_stop();
        let due = |t: &Trainee<'_>| t.spec.checkpoint_secs.is_some_and(|s| saved.elapsed().as_secs() >= s);
        if stop.is_err() || trainees.iter().any(due) {
            for t in trainees.iter_mut().filter(|t| t.spec.checkpoint_secs.is_some()) {
                t.save()?;
            }
            saved = Instant::now();
        }
        stop?;
    }
    Ok(())
}

/// Moves every member one step; returns the mean of their training losses, if any had a target.
fn one_step(c: &Context<'_>, active: &mut [&mut Trainee<'_>], step: u64) -> Result<Option<f64>, LabError> {
    let x = c.experiment;
    let programs: Vec<Box<dyn Program + '_>>;
    let reports = {
        let mut members = Vec::with_capacity(active.len());
        let mut sources = Vec::with_capacity(active.len());
        for t in active.iter_mut() {
            let Trainee { member, source, spec, .. } = &mut **t;
            members.push((member, &spec.optimiser));
            sources.push(&**source);
        }
        programs = sources.iter().map(|s| s.program(x)).collect();
        let mut jobs: Vec<_> = members.into_iter().zip(&programs).map(|((m, o), p)| (m, &**p, o)).collect();
        c.runner.step_each(x.layout(), &mut jobs, step)
    };
    drop(programs);
    let losses: Vec<f64> = reports.iter().flatten().filter_map(|r| mean_loss(x, &r.records)).collect();
    let loss = (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64);
    for (t, report) in active.iter_mut().zip(reports) {
        let report = match report {
            Ok(report) => report,
            Err(e) => {
                t.guard(Err(e.into()), step + 1)?;
                continue;
            }
        };
        if t.sums.len() < report.records.len() {
            t.sums.resize(report.records.len(), (0.0, 0.0));
        }
        for (sum, r) in t.sums.iter_mut().zip(&report.records) {
            *sum = (sum.0 + r.0, sum.1 + r.1);
        }
    }
    Ok(loss)
}

/// Where the main loss of each label stands among the sums of a step: (of the first label, distance).
fn main_loss(x: &Experiment) -> (usize, usize) {
    // An autoencoder keeps squared and absolute error of each label.
    if x.net.autoencoder().is_some() { (1, 2) } else { (0, 1) }
}

/// The loss of a step over all labels.
fn mean_loss(x: &Experiment, sums: &[(f64, f64)]) -> Option<f64> {
    let (first, stride) = main_loss(x);
    let slots = (0..x.labels.len()).filter_map(|l| sums.get(first + l * stride));
    let (sum, count) = slots.fold((0.0, 0.0), |a, s| (a.0 + s.0, a.1 + s.1));
    (count > 0.0).then_some(sum / count)
}

/// Logs the running training loss of the main output per label.
fn log_loss(x: &Experiment, t: &mut Trainee<'_>, step: u64) -> Result<(), LabError> {
    if !step.is_multiple_of(t.spec.log_every) && step != t.spec.steps {
        return Ok(());
    }
    let unit = if x.net.autoencoder().is_some() { "mae" } else { "nat" };
    let (first, stride) = main_loss(x);
    for (i, name) in x.labels.names().iter().enumerate() {
        let slot = first + i * stride;
        let Some((sum, count)) = t.sums.get(slot).copied().filter(|s| s.1 > 0.0) else { continue };
        t.note(Metric::new(name, "train_loss", sum / count, unit).at(Some(step)))?;
    }
    t.sums.iter_mut().for_each(|s| *s = (0.0, 0.0));
    Ok(())
}

/// Held-out numbers of the members that are due at `step`, all in one parallel pass.
fn evaluate(c: &Context<'_>, trainees: &mut [Trainee<'_>], step: u64) -> Result<(), LabError> {
    let x = c.experiment;
    let due = |t: &Trainee<'_>| {
        t.eval.is_some()
            && t.moved
            && t.failed.is_none()
            && t.next == step
            && (step.is_multiple_of(t.spec.eval_every) || step == t.spec.steps)
    };
    let mut jobs = Vec::new();
    for t in trainees.iter().filter(|t| due(t)) {
        if let Some(set) = t.eval {
            jobs.push((&t.member.params[..], set));
        }
    }
    let scores = super::evaluate::evaluate(x, c.runner, &jobs)?;
    drop(jobs);
    for (t, s) in trainees.iter_mut().filter(|t| due(t)).zip(scores) {
        let noted = s.metrics(x, Some(step)).into_iter().try_for_each(|m| t.note(m));
        t.guard(noted, step)?;
    }
    watched(c, trainees, step, &due)
}

/// The watched examples of the members that are due.
fn watched(
    c: &Context<'_>,
    trainees: &mut [Trainee<'_>],
    step: u64,
    due: &dyn Fn(&Trainee<'_>) -> bool,
) -> Result<(), LabError> {
    for t in trainees.iter_mut().filter(|t| due(t)) {
        let Some(set) = t.watch else { continue };
        let scores = super::evaluate::evaluate(c.experiment, c.runner, &[(&t.member.params, set)])?;
        let sum = scores[0].sums[0].iter().fold([0.0; 2], |a, s| [a[0] + s[0], a[1] + s[2]]);
        if sum[1] > 0.0 {
            let noted = t.note(Metric::new("all", "watched_loss", sum[0] / sum[1], "nat").at(Some(step)));
            t.guard(noted, step)?;
        }
    }
    Ok(())
}
