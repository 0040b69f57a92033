//! A data source: the alphabet, forwards and backwards.
//!
//! Two classes, `up` and `down`, whose sequences begin with a random letter and go through the alphabet in one
//! direction. Which of them is to be forgotten is said in the recipe: a source knows no labels.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use lobe_core::Key;
use lobe_core::registry::Taken;
use lobe_data::{
    DataSource, Dataset, Examples, Payload, Result as DataResult, SOURCES, SourceEntry, Tokenizer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Alphabet {
    /// Training sequences of each class.
    sequences: usize,
    /// Held-out sequences of each class.
    test_sequences: usize,
    /// Letters of a sequence.
    seq: usize,
}

impl Default for Alphabet {
    fn default() -> Self {
        Alphabet { sequences: 200, test_sequences: 20, seq: 16 }
    }
}

impl Alphabet {
    /// So many sequences of each class, in turn. Each has one letter more than it has inputs: the last target.
    fn examples(&self, each: usize, key: Key) -> Examples {
        let mut rng = key.rng();
        let (mut ids, mut class) = (Vec::new(), Vec::new());
        for i in 0..2 * each {
            let down = i % 2 == 1;
            let first = rng.below(26);
            let letter = |n: usize| if down { first + 26 * (n + 1) - n } else { first + n } % 26;
            ids.extend((0..=self.seq).map(|n| u32::from(b'a') + letter(n) as u32));
            class.push(u16::from(down));
        }
        Examples { payload: Payload::Tokens { seq: self.seq, ids }, class }
    }
}

impl DataSource for Alphabet {
    fn load(&self, _: &Path, key: Key) -> DataResult<Dataset> {
        let train = self.examples(self.sequences, key.child("train"));
        let test = self.examples(self.test_sequences, key.child("test"));
        let classes = vec!["up".to_owned(), "down".to_owned()];
        Dataset::new("alphabet", train, test, classes, Some(Tokenizer::Byte), Vec::new())
    }
}

/// The registered source.
static OWN: SourceEntry = SourceEntry::of::<Alphabet>("alphabet", "the alphabet forwards and backwards");

/// A network that knows both directions loses one with the region.
pub(crate) const RECIPE: &str = r#"
name = "own-data"

[data]
kind = "alphabet"
forget = { classes = ["down"] }
retain = { classes = ["up"] }

[model]
kind = "gpt"
layers = 1
width = 32
heads = 2
mlp = 64

[regions]
module = "blocks.*.mlp.post[-16..]"

[train]
steps = 80
batch = 16
lr = 0.01

[arms]
baseline = { method = "none" }
experts = { method = "experts", region = "module" }

[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "measure"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    SOURCES.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
