//! What a data set holds, in numbers: per class the documents, sequences and targets of both splits.

use serde::Serialize;

use crate::dataset::{Dataset, Examples};

/// One class of one split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Documents as the source gave them, or images.
    pub documents: usize,
    /// Rows that a network reads: sequences of text, or images.
    pub sequences: usize,
    /// What is predicted: tokens of text (the mark at the end of a document is one), or pixels.
    pub targets: usize,
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            documents: self.documents + other.documents,
            sequences: self.sequences + other.sequences,
            targets: self.targets + other.targets,
        }
    }
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCensus {
    /// Its name.
    pub class: String,
    /// What there is to train on.
    pub train: Counts,
    /// What is held out.
    pub test: Counts,
}

/// A data set in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Census {
    /// The classes, in the order of [`Dataset::classes`].
    pub classes: Vec<ClassCensus>,
    /// Number of token ids; 0 for images.
    pub vocab: usize,
}

impl Census {
    /// All classes together: to train on, held out.
    pub fn total(&self) -> (Counts, Counts) {
        let add = |(a, b): (Counts, Counts), c: &ClassCensus| (a.plus(c.train), b.plus(c.test));
        self.classes.iter().fold(Default::default(), add)
    }

    /// How often `steps` steps of `batch` sequences go through the training data.
    pub fn epochs(&self, steps: u64, batch: usize) -> f64 {
        steps as f64 * batch as f64 / self.total().0.sequences.max(1) as f64
    }
}

impl Dataset {
    /// The data set in numbers.
    pub fn census(&self) -> Census {
        let split = |x: &Examples, documents: &[usize]| {
            let mut out: Vec<Counts> =
                documents.iter().map(|&documents| Counts { documents, ..Counts::default() }).collect();
            for (i, &class) in x.class.iter().enumerate() {
                out[usize::from(class)].sequences += 1;
                out[usize::from(class)].targets += x.targets(i);
            }
            out
        };
        let (train, test) = (split(&self.train, &self.documents[0]), split(&self.test, &self.documents[1]));
        let one = |((class, train), test): ((&String, Counts), Counts)| ClassCensus {
            class: class.clone(),
            train,
            test,
        };
        Census { classes: self.classes.iter().zip(train).zip(test).map(one).collect(), vocab: self.vocab }
    }
}

#[cfg(test)]
mod tests {
    use lobe_core::Key;

    use super::*;
    use crate::text::{TextConfig, TextSource};
    use crate::{BilingualConfig, GlyphsConfig, Packing};

    #[test]
    fn documents_sequences_and_targets_are_counted_per_class() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        // 4 + 5 bytes, 3 bytes, 12 bytes; a document adds its end mark.
        put("a.txt", "abcd<|endoftext|>efghi");
        put("b.txt", "xyz");
        put("held.txt", "twelve bytes");
        let source = |path: &str, class: &str| TextSource {
            test_path: Some("held.txt".into()),
            ..TextSource::new(path, class)
        };
        let config = TextConfig {
            sources: vec![source("a.txt", "first"), source("b.txt", "second")],
            seq: 8,
            packing: Packing::Pack,
            ..TextConfig::default()
        };
        let census = config.load(dir.path(), Key::root(1)).unwrap().census();
        let counts = |documents, sequences, targets| Counts { documents, sequences, targets };
        let class = |name: &str, train, test| ClassCensus { class: name.into(), train, test };
        assert_eq!(census.vocab, 257);
        // Eleven targets fill one row of eight and part of a second.
        let held = counts(1, 2, 13);
        assert_eq!(
            census.classes,
            [class("first", counts(2, 2, 11), held), class("second", counts(1, 1, 4), held)]
        );
        assert_eq!(census.total(), (counts(3, 3, 15), counts(2, 4, 26)));
        assert!((census.epochs(6, 4) - 8.0).abs() < 1e-12);
    }

    #[test]
    fn generators_count_their_stories_and_images_too() {
        let packed = BilingualConfig {
            stories: 12,
            test_stories: 4,
            proportion: 0.5,
            packing: Packing::Pack,
            ..BilingualConfig::default()
        };
        let census = packed.load(Key::root(1)).unwrap().census();
        let documents: Vec<_> =
            census.classes.iter().map(|c| (c.train.documents, c.test.documents)).collect();
        assert_eq!(documents, [(12, 4), (6, 4)]);
        assert!(census.total().0.sequences < 18, "several stories share a sequence");

        let images = GlyphsConfig { train: 20, test: 10, ..GlyphsConfig::default() };
        let census = images.load(Key::root(1)).unwrap().census();
        let (train, test) = census.total();
        assert_eq!((census.vocab, train.documents, test.documents), (0, 20, 10));
        assert_eq!((train.sequences, train.targets), (20, 20 * 784));
    }
}
