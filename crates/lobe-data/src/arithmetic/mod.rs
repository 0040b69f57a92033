//! `arithmetic`: sums, differences, products and quotients, as equations and as word problems.
//!
//! The task of UNDO (Lee et al. 2025, arXiv 2506.06278) in small: + and − with operands to 50, the
//! larger one first; × and ÷ with operands to 20, division always exact. Classes are the operations, so
//! a recipe forgets `["mul", "div"]` and retains `["add", "sub"]`. Differences to the reference:
//!
//! * Quotients are whole numbers; its equations print `3.0`, its word problems `3`.
//! * Problems are drawn evenly from the list of all problems, and a share of that list never occurs in
//!   training, in either form; held-out word problems use templates of their own, too.
//! * A number is one token. A result is then one prediction, and a network of two blocks learns in
//!   minutes; digit by digit it would have to learn to carry before anything could be removed.
//! * There is no text beside it: the network is trained on arithmetic alone.

mod problem;
mod template;

use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Examples, Payload, Probe};
use crate::error::{Result, setting};
use crate::pack::{Packing, rows};
use crate::source::{DataSource, SourceEntry};
use crate::tokenizer::{Tokenizer, Words};
use problem::{Op, Problem, Problems};
use template::{Template, Templates, embedded, fillers};

/// Choices per question.
const CHOICES: usize = 4;

/// Settings of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArithmeticConfig {
    /// Training documents per operation.
    pub documents: usize,
    /// Held-out documents per operation.
    pub test_documents: usize,
    /// Fraction of the documents, and of the questions, that are word problems.
    pub word_problems: f64,
    /// Fraction of each operation's problems that never occur in training.
    pub held_out: f64,
    /// Largest operand of + and −, 4 to 500.
    pub largest_term: usize,
    /// Largest operand of × and ÷, 4 to 50.
    pub largest_factor: usize,
    /// Positions per sequence: an equation takes 6, the longest word problem 23.
    pub seq: usize,
    /// One document per sequence, or documents of one operation packed end to end.
    pub packing: Packing,
    /// Questions per operation about held-out problems.
    pub probes: usize,
}

impl Default for ArithmeticConfig {
    fn default() -> Self {
        ArithmeticConfig {
            documents: 8000,
            test_documents: 128,
            word_problems: 0.5,
            held_out: 0.1,
            largest_term: 50,
            largest_factor: 20,
            seq: 24,
            packing: Packing::Document,
            probes: 100,
        }
    }
}

/// One of the two splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Train,
    Test,
}

/// Everything that documents and questions are made of.
struct Generator<'a> {
    config: &'a ArithmeticConfig,
    problems: [Problems; 4],
    templates: [Templates; 4],
    words: Words,
}

impl DataSource for ArithmeticConfig {
    fn load(&self, _: &Path, key: Key) -> Result<Dataset> {
        ArithmeticConfig::load(self, key)
    }
}

/// The registered source.
pub(crate) const ENTRY: SourceEntry = SourceEntry::of::<ArithmeticConfig>(
    "arithmetic",
    "sums, differences, products and quotients, as equations and word problems",
);

impl ArithmeticConfig {
    fn check(&self, templates: &[Templates; 4]) -> Result<()> {
        let within = |what: &str, n: usize, lo: usize, hi: usize| {
            if (lo..=hi).contains(&n) {
                Ok(())
            } else {
                setting(format!("arithmetic: {what} = {n}, outside of {lo} to {hi}"))
            }
        };
        if !(0.0..=1.0).contains(&self.word_problems) {
            return setting(format!("arithmetic: word_problems = {}, outside of 0 to 1", self.word_problems));
        }
        if !(self.held_out > 0.0 && self.held_out <= 0.9) {
            return setting(format!("arithmetic: held_out = {}, not above 0 and up to 0.9", self.held_out));
        }
        within("documents", self.documents, 1, 10_000_000)?;
        within("test_documents", self.test_documents, 1, 1_000_000)?;
        within("largest_term", self.largest_term, 4, 500)?;
        within("largest_factor", self.largest_factor, 4, 50)?;
        within("probes", self.probes, 0, 100_000)?;
        // The result and the end mark follow; `a + b =` has four words.
        let all = templates.iter().flat_map(|t| t.train.iter().chain(&t.held_out));
        let longest = if self.word_problems > 0.0 { all.map(Template::len).max().unwrap_or(4) } else { 4 };
        within("seq", self.seq, longest + 2, 4096)
    }

    /// Generates the data set: classes `add`, `sub`, `mul` and `div`, word-level tokens. Document `i` of
    /// an operation depends on the key and `i` only, so more documents extend a smaller set.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn load(&self, key: Key) -> Result<Dataset> {
        let templates = embedded();
        self.check(&templates)?;
        let words = self.words(&templates);
        let problems = Op::ALL.map(|op| {
            let largest =
                if matches!(op, Op::Add | Op::Sub) { self.largest_term } else { self.largest_factor };
            Problems::new(op, largest, self.held_out, key.child("problems").child(op.name()))
        });
        let generator = Generator { config: self, problems, templates, words };
        let train = generator.split(Split::Train, self.documents, key.child("train"));
        let test = generator.split(Split::Test, self.test_documents, key.child("test"));
        let probes = Op::ALL.iter().flat_map(|op| generator.probes(*op, key.child("probe"))).collect();
        let classes = Op::ALL.iter().map(|op| op.name().to_owned()).collect();
        let tokenizer = Tokenizer::Words(generator.words);
        let data = Dataset::new("arithmetic", train, test, classes, Some(tokenizer), probes)?;
        let documents = [self.documents, self.test_documents].map(|n| vec![n; Op::ALL.len()]);
        Ok(Dataset { documents, ..data })
    }

    /// All numbers that can occur, the signs, and the words of word problems if there are any.
    fn words(&self, templates: &[Templates; 4]) -> Words {
        let largest = (2 * self.largest_term).max(self.largest_factor * self.largest_factor);
        let mut all: Vec<String> = (0..=largest).map(|n| n.to_string()).collect();
        all.extend(Op::ALL.iter().map(|op| op.sign().to_owned()).chain(["=".to_owned()]));
        if self.word_problems > 0.0 {
            let of = templates.iter().flat_map(|t| t.train.iter().chain(&t.held_out));
            all.extend(of.flat_map(Template::words).chain(fillers()));
        }
        Words::new(all)
    }
}

impl Generator<'_> {
    /// The examples of a split, one operation after the other in turn, so that the first few are of
    /// all operations.
    fn split(&self, split: Split, documents: usize, key: Key) -> Examples {
        let seq = self.config.seq;
        let of = |op: &Op| {
            let mut ids = Vec::new();
            let documents = (0..documents).map(|i| self.document(*op, split, i, key.child(op.name())));
            rows(documents, seq, self.config.packing, (0, 0), &mut ids);
            ids
        };
        let by_op: Vec<Vec<u32>> = Op::ALL.iter().map(of).collect();
        let most = by_op.iter().map(|ids| ids.len() / (seq + 1)).max().unwrap_or(0);
        let (mut ids, mut class) = (Vec::new(), Vec::new());
        for i in 0..most {
            for (c, rows) in by_op.iter().enumerate() {
                if let Some(row) = rows.chunks_exact(seq + 1).nth(i) {
                    ids.extend_from_slice(row);
                    class.push(c as u16);
                }
            }
        }
        Examples { payload: Payload::Tokens { seq, ids }, class }
    }

    fn document(&self, op: Op, split: Split, i: usize, key: Key) -> Vec<u32> {
        let mut rng = key.index(i as u64).rng();
        let (problems, templates) = (&self.problems[op as usize], &self.templates[op as usize]);
        let (problem, templates) = match split {
            Split::Train => (*rng.choose(&problems.train), &templates.train),
            Split::Test => (problems.held_out[i % problems.held_out.len()], &templates.held_out),
        };
        let mut words = if rng.uniform() < self.config.word_problems {
            rng.choose(templates).render(problem, &mut rng)
        } else {
            equation(problem)
        };
        words.push(problem.result.to_string());
        self.ids(&words)
    }

    /// Questions about the held-out problems of an operation: each once as an equation as far as they go,
    /// and as word problems from held-out templates.
    fn probes(&self, op: Op, key: Key) -> Vec<Probe> {
        let problems = &self.problems[op as usize];
        let held_out = &problems.held_out;
        let before: usize = self.problems[..op as usize].iter().map(|p| p.held_out.len()).sum();
        let told = (self.config.probes as f64 * self.config.word_problems).round() as usize;
        let equations = (self.config.probes - told).min(held_out.len());
        let ask = |i: usize, as_words: bool| {
            let kind = if as_words { "word problem" } else { "equation" };
            let mut rng = key.child(op.name()).child(kind).index(i as u64).rng();
            let at = i % held_out.len();
            let problem = held_out[at];
            let words = if as_words {
                rng.choose(&self.templates[op as usize].held_out).render(problem, &mut rng)
            } else {
                equation(problem)
            };
            let (choices, answer) = problems.choices(problem.result, CHOICES, &mut rng);
            Probe {
                class: op as u16,
                prompt: [0].into_iter().chain(self.ids(&words)).collect(),
                choices: choices.iter().map(|c| self.ids(&[c.to_string()])).collect(),
                answer,
                kind: kind.into(),
                fact: (before + at) as u32,
                told_in: Vec::new(),
            }
        };
        (0..equations).map(|i| ask(i, false)).chain((0..told).map(|i| ask(i, true))).collect()
    }

    fn ids(&self, words: &[String]) -> Vec<u32> {
        words.iter().map(|w| self.words.id(w).unwrap_or(1)).collect()
    }
}

/// `a op b =`, the result not yet said.
fn equation(p: Problem) -> Vec<String> {
    vec![p.a.to_string(), p.op.sign().into(), p.b.to_string(), "=".into()]
}

#[cfg(test)]
mod tests;
