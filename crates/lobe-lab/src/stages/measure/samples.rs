//! What models say: continuations of a few held-out beginnings, so that a reader sees what a loss means.
//!
//! Written by the first seed alone, and for language models only. Nothing is measured here: `results.csv` does not
//! know of it.

use lobe_engine::Workspace;
use lobe_nets::{Network, next_logits};

use crate::error::LabError;
use crate::graph::{Context, Work};
use crate::store::{Sample, SampleFile, SampledModel};

/// Beginnings per label.
const PROMPTS: usize = 2;
/// Labels that get any.
const LABELS: usize = 4;
/// A vocabulary up to this is one of bytes or letters: a word takes several of its tokens.
const LETTERS: usize = 320;

/// `samples.json` of one member.
#[derive(Debug, Default)]
pub(super) struct Samples(SampleFile);

/// How many tokens a beginning and a continuation have.
fn lengths(vocabulary: usize) -> (usize, usize) {
    if vocabulary <= LETTERS { (40, 90) } else { (12, 40) }
}

impl Samples {
    /// Adds what the model of `stage` says.
    pub(super) fn add(&mut self, stage: &str, texts: Vec<Sample>) {
        self.0.models.push(SampledModel { stage: stage.to_owned(), texts });
    }

    /// Writes the member's own `samples.json`, if there is anything in it.
    pub(super) fn write(&self, work: &Work) -> Result<(), LabError> {
        if self.0.models.iter().all(|m| m.texts.is_empty()) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&self.0).unwrap_or_default();
        Ok(work.dir.write("samples.json", |w| w.write_all(&bytes))?)
    }
}

/// The most likely continuations by a model; none of a network that is not a language model, or of a seed that is
/// not the first.
pub(super) fn of_model(c: &Context<'_>, work: &Work, params: &[f32]) -> Result<Vec<Sample>, LabError> {
    let x = c.experiment;
    let (Some(_), Some(tokenizer)) = (x.net.language(), &x.data.tokenizer) else { return Ok(Vec::new()) };
    let net = &*x.net;
    if x.recipe.seeds.first() != Some(&work.seed) {
        return Ok(Vec::new());
    }
    let (begin, go_on) = lengths(x.data.vocab);
    let mut prompts: Vec<(String, Vec<u32>)> = Vec::new();
    for label in x.test_labels().into_iter().take(LABELS) {
        let whole = |i: &usize| x.test_truth[*i] == label && x.data.test.targets(*i) > begin;
        for i in (0..x.data.test.len()).filter(whole).take(PROMPTS) {
            // A row that does not start with the mark is the middle of a document: the mark is what models expect.
            let (row, mark) = (x.data.test.row(i), tokenizer.bos());
            let own = usize::from(mark.is_some() && row.first() == mark.as_ref());
            let ids = mark.into_iter().chain(row[own..].iter().copied().take(begin)).collect();
            prompts.push((x.labels.name(label).to_owned(), ids));
        }
    }
    let said = c.runner.map(&prompts, |ws, (label, prompt)| -> Result<Sample, LabError> {
        let (text, marks) = (|ids: &[u32]| tokenizer.decode(ids), usize::from(tokenizer.bos().is_some()));
        let more = greedy(ws, net, params, prompt, (go_on, tokenizer.eos()))?;
        Ok(Sample { label: label.clone(), prompt: text(&prompt[marks..]), continuation: text(&more) })
    });
    said.into_iter().collect()
}

/// The most likely next tokens, one after another; of equally likely ones the lowest id.
fn greedy(
    ws: &mut Workspace,
    net: &dyn Network,
    params: &[f32],
    prompt: &[u32],
    (most, end): (usize, Option<u32>),
) -> Result<Vec<u32>, LabError> {
    let mut ids = prompt.to_vec();
    for _ in 0..most {
        let logits = next_logits(net, ws, params, &ids)?;
        let best = logits.iter().enumerate().rev().max_by(|a, b| a.1.total_cmp(b.1));
        let Some(next) = best.map(|(i, _)| i as u32).filter(|i| Some(*i) != end) else { break };
        ids.push(next);
    }
    Ok(ids.split_off(prompt.len()))
}
