//! What every source yields: examples with their true class, and probes of knowledge.

use serde::{Deserialize, Serialize};

use crate::drawn::DrawnRows;
use crate::error::{Result, setting};
use crate::tokenizer::Tokenizer;

/// In a row of ids: this position is not a target.
pub const PAD: u32 = u32::MAX;

/// A loaded data set. Arms share it; labels are laid over it per arm.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// The source's name, for reports.
    pub name: String,
    /// Training examples.
    pub train: Examples,
    /// Held-out examples.
    pub test: Examples,
    /// Names of the true classes, indexed by [`Examples::class`].
    pub classes: Vec<String>,
    /// The tokenizer, for token data.
    pub tokenizer: Option<Tokenizer>,
    /// Number of token ids (0 for rows of numbers).
    pub vocab: usize,
    /// Questions that measure knowledge rather than language.
    pub probes: Vec<Probe>,
    /// Token ids of the names whose bearers the facts are about; empty where nobody knows. Examples that
    /// share none of them state no common fact about anyone.
    pub names: Vec<u32>,
    /// Documents per class, of the training and of the held-out split: a sequence may hold several or part of one.
    pub documents: [Vec<usize>; 2],
    /// Share of the numbers of held-out rows that are not zero, where a source draws most of them as zeros.
    pub active: Option<f64>,
    /// Remarks for whoever reads the results: what was left out, which held-out text is no secret.
    pub notes: Vec<String>,
    /// Hash of all the above except for the names, the number of documents, the active share and the remarks, which follow from the source. Equal fingerprints mean equal data.
    pub fingerprint: u128,
}

/// Examples of one split.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    /// The content.
    pub payload: Payload,
    /// True class of each example.
    pub class: Vec<u16>,
}

/// The content of `n` examples.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// Rows of `seq + 1` ids, so that inputs and next-token targets overlap.
    Tokens {
        /// Positions per row.
        seq: usize,
        /// `n × (seq + 1)` ids; [`PAD`] after the end of a row's text.
        ids: Vec<u32>,
    },
    /// Rows of numbers: images, features, activations.
    Rows {
        /// Numbers per row.
        width: usize,
        /// `n × width` values; of an image channel by channel, row by row.
        values: Vec<f32>,
        /// What a row is to come out as, where that is not the row itself.
        wanted: Option<Wanted>,
        /// Channels, height, width, where a row is an image.
        image: Option<(usize, usize, usize)>,
    },
    /// Rows of numbers that exist only when they are asked for, with what they are to come out as.
    Drawn(DrawnRows),
}

/// What rows are to come out as.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Numbers per row.
    pub width: usize,
    /// `n × width` values.
    pub values: Vec<f32>,
}

/// One multiple-choice question about a fact: the answer is the choice with the highest
/// log-likelihood after the prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Class (language) of the question.
    pub class: u16,
    /// Token ids, the start mark included.
    pub prompt: Vec<u32>,
    /// Continuations, all of the same length.
    pub choices: Vec<Vec<u32>>,
    /// Index of the true choice.
    pub answer: usize,
    /// What is asked: `home`, `pet`, …
    pub kind: String,
    /// Number of the fact; the same fact asked in two languages carries the same number.
    pub fact: u32,
    /// Classes whose training examples state the fact. Where `class` is not among them, a right
    /// answer is knowledge carried over from another language.
    pub told_in: Vec<u16>,
}

impl Examples {
    /// Number of examples.
    pub fn len(&self) -> usize {
        self.class.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.class.is_empty()
    }

    /// The ids of example `i`, `seq + 1` long with [`PAD`]; empty for images.
    pub fn row(&self, i: usize) -> &[u32] {
        match &self.payload {
            Payload::Tokens { seq, ids } => &ids[i * (seq + 1)..(i + 1) * (seq + 1)],
            Payload::Rows { .. } | Payload::Drawn(_) => &[],
        }
    }

    /// How its rows are drawn, where they exist only when they are asked for.
    pub fn drawn(&self) -> Option<&DrawnRows> {
        match &self.payload {
            Payload::Drawn(drawn) => Some(drawn),
            _ => None,
        }
    }

    /// The numbers of example `i`; empty for tokens and for rows that are drawn.
    pub fn numbers(&self, i: usize) -> &[f32] {
        match &self.payload {
            Payload::Tokens { .. } | Payload::Drawn(_) => &[],
            Payload::Rows { width, values, .. } => &values[i * width..(i + 1) * width],
        }
    }

    /// What example `i` is to come out as; empty where that is the example itself, and for rows that are drawn.
    pub fn wanted(&self, i: usize) -> &[f32] {
        match &self.payload {
            Payload::Rows { wanted: Some(w), .. } => &w.values[i * w.width..(i + 1) * w.width],
            _ => &[],
        }
    }

    /// Number of targets of example `i` (tokens to predict, or numbers).
    pub fn targets(&self, i: usize) -> usize {
        match &self.payload {
            Payload::Tokens { .. } => self.row(i)[1..].iter().filter(|&&t| t != PAD).count(),
            Payload::Rows { width, .. } => *width,
            Payload::Drawn(drawn) => drawn.width(),
        }
    }

    /// Appends inputs and targets (`seq` each) of the `indices`. A padded input becomes `fill`,
    /// a valid id; a padded target stays [`PAD`].
    pub fn tokens_into(&self, indices: &[u32], fill: u32, inputs: &mut Vec<u32>, targets: &mut Vec<u32>) {
        for &i in indices {
            let row = self.row(i as usize);
            let Some((_, next)) = row.split_first() else { continue };
            inputs.extend(row[..next.len()].iter().map(|&t| if t == PAD { fill } else { t }));
            targets.extend_from_slice(next);
        }
    }

    /// Indices of the examples for which `keep(index, class)` holds, in order.
    pub fn select(&self, mut keep: impl FnMut(usize, u16) -> bool) -> Vec<u32> {
        (0..self.len()).filter(|&i| keep(i, self.class[i])).map(|i| i as u32).collect()
    }

    fn absorb(&self, hash: &mut blake3::Hasher) {
        let mut words = |w: &mut dyn Iterator<Item = u32>| {
            let mut block = [0u8; 4096];
            let mut used = 0;
            for word in w {
                block[used..used + 4].copy_from_slice(&word.to_le_bytes());
                used += 4;
                if used == block.len() {
                    hash.update(&block);
                    used = 0;
                }
            }
            hash.update(&block[..used]);
        };
        words(&mut [self.len() as u32].into_iter());
        words(&mut self.class.iter().map(|&c| u32::from(c)));
        match &self.payload {
            Payload::Tokens { seq, ids } => {
                words(&mut [0, *seq as u32].into_iter());
                words(&mut ids.iter().copied());
            }
            Payload::Drawn(drawn) => words(&mut [3].into_iter().chain(drawn.words())),
            Payload::Rows { values, image, wanted, width } => {
                match image {
                    Some((c, h, w)) => words(&mut [1, *c as u32, *h as u32, *w as u32].into_iter()),
                    None => words(&mut [2, *width as u32].into_iter()),
                }
                words(&mut values.iter().map(|p| p.to_bits()));
                if let Some(wanted) = wanted {
                    words(&mut [wanted.width as u32].into_iter());
                    words(&mut wanted.values.iter().map(|p| p.to_bits()));
                }
            }
        }
    }
}

impl Dataset {
    /// Assembles a data set, checks it and computes its fingerprint. Each example counts as one document;
    /// a source that packs several into a sequence says how many there are.
    ///
    /// # Errors
    /// If a split is empty, or a class or id is out of range.
    pub fn new(
        name: &str,
        train: Examples,
        test: Examples,
        classes: Vec<String>,
        tokenizer: Option<Tokenizer>,
        probes: Vec<Probe>,
    ) -> Result<Dataset> {
        let vocab = tokenizer.as_ref().map_or(0, Tokenizer::vocab_size);
        for (split, x) in [("training", &train), ("test", &test)] {
            if x.is_empty() {
                return setting(format!("{name}: no {split} examples"));
            }
            if let Some(c) = x.class.iter().find(|&&c| c as usize >= classes.len()) {
                return setting(format!("{name}: class {c} of {} in the {split} examples", classes.len()));
            }
            if let Payload::Tokens { ids, .. } = &x.payload
                && let Some(t) = ids.iter().find(|&&t| t != PAD && t as usize >= vocab)
            {
                return setting(format!("{name}: token {t} in a vocabulary of {vocab}"));
            }
        }
        let mut hash = blake3::Hasher::new();
        let head = (name, &classes, &probes, vocab, tokenizer.as_ref().map(Tokenizer::to_json));
        match serde_json::to_vec(&head) {
            Ok(bytes) => hash.update(&bytes),
            Err(e) => return setting(format!("{name}: {e}")),
        };
        train.absorb(&mut hash);
        test.absorb(&mut hash);
        let documents = [&train, &test].map(|x| {
            let mut each = vec![0; classes.len()];
            x.class.iter().for_each(|&c| each[usize::from(c)] += 1);
            each
        });
        let mut low = [0u8; 16];
        low.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Ok(Dataset {
            name: name.into(),
            train,
            test,
            classes,
            tokenizer,
            vocab,
            probes,
            names: Vec::new(),
            active: None,
            documents,
            notes: Vec::new(),
            fingerprint: u128::from_le_bytes(low),
        })
    }

    /// The index of a class by name.
    ///
    /// # Errors
    /// If there is no such class; the message names the nearest.
    pub fn class(&self, name: &str) -> Result<u16> {
        match self.classes.iter().position(|c| c == name) {
            Some(i) => Ok(i as u16),
            None => setting(format!(
                "{} has no class {name:?}{}",
                self.name,
                lobe_core::did_you_mean(name, self.classes.iter().map(String::as_str))
            )),
        }
    }

    /// Per class, in order: its name and the number of training examples, training targets and
    /// test examples.
    pub fn counts(&self) -> Vec<(&str, [usize; 3])> {
        let mut out: Vec<(&str, [usize; 3])> = self.classes.iter().map(|c| (c.as_str(), [0; 3])).collect();
        for (i, &c) in self.train.class.iter().enumerate() {
            let n = &mut out[c as usize].1;
            n[0] += 1;
            n[1] += self.train.targets(i);
        }
        for &c in &self.test.class {
            out[c as usize].1[2] += 1;
        }
        out
    }

    /// Whether the examples are text, else rows of numbers.
    pub fn is_text(&self) -> bool {
        matches!(self.train.payload, Payload::Tokens { .. })
    }

    /// What an example consists of, in a word.
    pub fn unit(&self) -> &'static str {
        match &self.train.payload {
            Payload::Tokens { .. } => "token",
            Payload::Rows { image: Some(_), .. } => "pixel",
            Payload::Rows { .. } | Payload::Drawn(_) => "number",
        }
    }

    /// Ids or numbers per example.
    pub fn width(&self) -> usize {
        match &self.train.payload {
            Payload::Tokens { seq, .. } => *seq,
            Payload::Rows { width, .. } => *width,
            Payload::Drawn(drawn) => drawn.width(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(class: Vec<u16>, id: u32) -> Examples {
        let ids = class.iter().flat_map(|_| [256, id, 256, PAD]).collect();
        Examples { payload: Payload::Tokens { seq: 3, ids }, class }
    }

    fn load(train: Examples, test: Examples) -> Result<Dataset> {
        Dataset::new("toy", train, test, vec!["a".into(), "b".into()], Some(Tokenizer::Byte), Vec::new())
    }

    #[test]
    fn batches_have_valid_inputs_and_marked_targets() {
        let data = load(rows(vec![0, 1, 0], 7), rows(vec![1], 7)).unwrap();
        let (mut x, mut y) = (Vec::new(), Vec::new());
        data.train.tokens_into(&[2, 0], 9, &mut x, &mut y);
        assert_eq!(x, [256, 7, 256, 256, 7, 256]);
        assert_eq!(y, [7, 256, PAD, 7, 256, PAD]);
        assert_eq!(data.counts(), [("a", [2, 4, 0]), ("b", [1, 2, 1])]);
        assert_eq!((data.width(), data.train.select(|_, c| c == 0)), (3, vec![0, 2]));
    }

    #[test]
    fn inconsistent_data_are_refused() {
        let err = |train, test| load(train, test).unwrap_err().to_string();
        let good = || rows(vec![0], 7);
        assert_eq!(err(rows(vec![], 7), good()), "data: toy: no training examples");
        assert_eq!(err(good(), rows(vec![], 7)), "data: toy: no test examples");
        assert_eq!(err(rows(vec![2], 7), good()), "data: toy: class 2 of 2 in the training examples");
        assert_eq!(err(good(), rows(vec![0], 300)), "data: toy: token 300 in a vocabulary of 257");
    }

    #[test]
    fn any_change_changes_the_fingerprint() {
        let of = |a, b| load(a, b).unwrap().fingerprint;
        let base = of(rows(vec![0, 1], 7), rows(vec![0], 7));
        assert_eq!(base, of(rows(vec![0, 1], 7), rows(vec![0], 7)));
        for other in [
            of(rows(vec![1, 0], 7), rows(vec![0], 7)),
            of(rows(vec![0, 1], 8), rows(vec![0], 7)),
            of(rows(vec![0], 7), rows(vec![0, 1], 7)),
        ] {
            assert_ne!(base, other);
        }
    }
}
