//! Knowledge probes: which of several continuations the model finds most likely, and whether it would say
//! the right one of itself.

use lobe_core::{LabelId, UNLABELLED};
use lobe_data::Probe;
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_nets::Batch;

use crate::error::LabError;
use crate::graph::Context;
use crate::plan::Experiment;
use crate::stages::attack::Half;
use crate::store::Metric;

/// Accuracy, chance level and cloze accuracy per label of the probes' classes, and the accuracies per class
/// where a label has several (`probe_accuracy@mul`), and apart for facts that training examples of the class
/// tell (`probe_accuracy@told`) and for those told in other classes only. Without probes, nothing.
pub(super) fn run(c: &Context<'_>, params: &[f32]) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let probes: Vec<&Probe> = x.data.probes.iter().collect();
    let Some(answers) = answers(c, params, &probes)? else { return Ok(Vec::new()) };
    let mut sums = vec![Sum::default(); x.labels.len()];
    let mut by_class = vec![Sum::default(); x.data.classes.len()];
    // Whether training examples of the class that asks tell the answer, or only those of another one.
    let mut by_source = vec![[Sum::default(); 2]; x.labels.len()];
    for (p, answer) in probes.into_iter().zip(answers) {
        sums[label_of(x, p.class).index()].add(p, answer);
        by_class[usize::from(p.class)].add(p, answer);
        if !p.told_in.is_empty() {
            let elsewhere = usize::from(!p.told_in.contains(&p.class));
            by_source[label_of(x, p.class).index()][elsewhere].add(p, answer);
        }
    }
    let fraction = |label: usize, metric: &str, value: f64| {
        Metric::new(&x.labels.names()[label], metric, value, "fraction")
    };
    let mut out = Vec::new();
    for (l, s) in sums.iter().enumerate().filter(|(_, s)| s.asked > 0.0) {
        out.push(fraction(l, "probe_accuracy", s.chosen / s.asked));
        out.push(fraction(l, "probe_chance", s.chance / s.asked));
        out.push(fraction(l, "cloze_accuracy", s.said / s.asked));
    }
    for (label, both) in by_source.iter().enumerate() {
        // Where all are told in the class itself, the label's accuracy has said it.
        for (s, name) in both.iter().zip(["told", "told-elsewhere"]).filter(|_| both[1].asked > 0.0) {
            if s.asked > 0.0 {
                out.push(fraction(label, &format!("probe_accuracy@{name}"), s.chosen / s.asked));
            }
        }
    }
    for (class, s) in by_class.iter().enumerate().filter(|(_, s)| s.asked > 0.0) {
        let label = label_of(x, class as u16).index();
        // A label's only class would say the same twice.
        if s.asked < sums[label].asked {
            let name = &x.data.classes[class];
            out.push(fraction(label, &format!("probe_accuracy@{name}"), s.chosen / s.asked));
            out.push(fraction(label, &format!("cloze_accuracy@{name}"), s.said / s.asked));
        }
    }
    Ok(out)
}

/// How a probe was answered.
#[derive(Debug, Clone, Copy)]
struct Answer {
    /// The true choice was the most likely of the choices.
    chosen: bool,
    /// Each of its tokens was the most likely of all tokens (cloze).
    said: bool,
}

/// Counts over probes.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    asked: f64,
    chosen: f64,
    chance: f64,
    said: f64,
}

impl Sum {
    fn add(&mut self, p: &Probe, answer: Answer) {
        self.asked += 1.0;
        self.chosen += f64::from(u8::from(answer.chosen));
        self.chance += 1.0 / p.choices.len() as f64;
        self.said += f64::from(u8::from(answer.said));
    }
}

/// Share of the probes answered rightly that are asked in a class of `label`, that training examples of that
/// class tell the answer to, and whose prompt `about` holds; `None` if there are none.
pub(in crate::stages) fn knowledge(
    c: &Context<'_>,
    params: &[f32],
    label: LabelId,
    about: &Half,
) -> Result<Option<f64>, LabError> {
    let x = c.experiment;
    let asked =
        |p: &&Probe| label_of(x, p.class) == label && p.told_in.contains(&p.class) && about.holds(&p.prompt);
    let probes: Vec<&Probe> = x.data.probes.iter().filter(asked).collect();
    let answers = answers(c, params, &probes)?.unwrap_or_default();
    let right = answers.iter().filter(|a| a.chosen).count();
    Ok((!answers.is_empty()).then(|| right as f64 / answers.len() as f64))
}

/// A probe is asked in a class (language); its label is that class's true label.
fn label_of(x: &Experiment, class: u16) -> LabelId {
    let hit = x.data.test.class.iter().position(|k| *k == class);
    hit.map_or(UNLABELLED, |i| x.test_truth[i])
}

/// How each of the probes is answered; `None` where there are none, they do not fit the
/// context, or the model gives no finite numbers.
fn answers(c: &Context<'_>, params: &[f32], probes: &[&Probe]) -> Result<Option<Vec<Answer>>, LabError> {
    let x = c.experiment;
    let Some((_, head)) = x.net.language() else { return Ok(None) };
    let longest = probes.iter().flat_map(|p| p.choices.iter().map(|c| p.prompt.len() + c.len())).max();
    let Some(longest) = longest.filter(|n| *n > 1 && *n <= x.net.context()) else { return Ok(None) };
    let mut batch = Batch::tokens(longest, 1);
    for p in probes {
        for choice in &p.choices {
            let all: Vec<u32> = p.prompt.iter().chain(choice).copied().collect();
            let mut inputs = all[..all.len() - 1].to_vec();
            let mut targets: Vec<u32> = vec![IGNORE; p.prompt.len() - 1];
            targets.extend_from_slice(choice);
            inputs.resize(longest, IGNORE);
            targets.resize(longest, IGNORE);
            batch.push_pair(&inputs, &targets, label_of(x, p.class), None);
        }
    }
    // Surprise of each choice, and how many of its tokens were the most likely ones.
    let scores = c.forward(params).each_shard(&batch, |tape, ran, s| -> Result<[f64; 2], LabError> {
        let targets = batch.text(s).1;
        let stats = tape.cross_entropy(ran.end(0)?, head, targets, RowWeights::One(0.0))?;
        let rows = tape.value(stats).chunks_exact(2).map(|v| [v[0], v[1]].map(f64::from));
        Ok(rows.fold([0.0; 2], |sum, v| [sum[0] + v[0], sum[1] + v[1]]))
    })?;
    // A broken model answers nothing; a number it is not.
    if scores.iter().any(|s| !s[0].is_finite()) {
        return Ok(None);
    }
    let mut rest = &scores[..];
    let one = |p: &&Probe| {
        let (choices, next) = rest.split_at(p.choices.len());
        rest = next;
        answer(p, choices)
    };
    Ok(Some(probes.iter().map(one).collect()))
}

/// How a probe is answered: of each choice its surprise and how many of its tokens were the most likely ones.
fn answer(p: &Probe, choices: &[[f64; 2]]) -> Answer {
    let best = (0..choices.len()).min_by(|a, b| choices[*a][0].total_cmp(&choices[*b][0]));
    let said = choices[p.answer][1] as usize == p.choices[p.answer].len();
    Answer { chosen: best == Some(p.answer), said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_chosen_by_surprise_and_said_only_as_a_whole() {
        let p = Probe {
            class: 0,
            prompt: vec![0],
            choices: vec![vec![1, 2], vec![3, 4]],
            answer: 1,
            kind: "pet".into(),
            fact: 0,
            told_in: vec![0],
        };
        let of = |choices: [[f64; 2]; 2]| {
            let a = answer(&p, &choices);
            (a.chosen, a.said)
        };
        assert_eq!(of([[3.0, 0.0], [2.0, 2.0]]), (true, true));
        assert_eq!(of([[3.0, 0.0], [2.0, 1.0]]), (true, false), "one of its two tokens was the likeliest");
        assert_eq!(of([[1.0, 1.0], [2.0, 2.0]]), (false, true));
        assert_eq!(of([[1.0, 2.0], [2.0, 0.0]]), (false, false));
        let mut sum = Sum::default();
        sum.add(&p, Answer { chosen: true, said: false });
        sum.add(&p, Answer { chosen: false, said: true });
        assert_eq!([sum.asked, sum.chosen, sum.chance, sum.said], [2.0, 1.0, 1.0, 1.0]);
    }
}
