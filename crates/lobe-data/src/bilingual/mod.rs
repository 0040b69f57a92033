//! `bilingual`: short stories told in English and Spanish from one shared world of facts.
//!
//! A seed fixes a world: who lives where, works as what, owns which animal, fears which. Stories
//! in both languages tell of it, with proper grammar (articles, gender, number, contractions),
//! over a closed vocabulary. Names are shared, all other words differ. Some facts are told in
//! one language only, so knowledge can be measured apart from language: a model that answers
//! in English what only Spanish stories told has carried the fact across.

mod grammar;
mod lexicon;
mod probe;
mod story;
mod world;

use std::path::Path;

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::{Dataset, Examples, Payload};
use crate::error::{Result, setting};
use crate::pack::{Packing, rows};
use crate::source::{DataSource, SourceEntry};
use crate::tokenizer::Tokenizer;
use lexicon::Lang;
use story::Teller;
use world::World;

/// Settings of the generator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BilingualConfig {
    /// English training stories.
    pub stories: usize,
    /// Spanish training stories per English one.
    pub proportion: f64,
    /// Held-out stories per language.
    pub test_stories: usize,
    /// Positions per sequence.
    pub seq: usize,
    /// One story per sequence, or stories of one language packed end to end.
    pub packing: Packing,
    /// People in the world, 4 to 64. Each has twelve facts.
    pub people: usize,
    /// Towns in the world, 4 to 32. Each has two facts.
    pub towns: usize,
    /// Fraction of facts that only English stories tell.
    pub english_only: f64,
    /// Fraction of facts that only Spanish stories tell.
    pub spanish_only: f64,
    /// How many facts are asked about, each in both languages.
    pub probes: usize,
}

impl Default for BilingualConfig {
    fn default() -> Self {
        BilingualConfig {
            stories: 8000,
            proportion: 1.0,
            test_stories: 256,
            seq: 96,
            packing: Packing::Document,
            people: 48,
            towns: 24,
            english_only: 0.2,
            spanish_only: 0.2,
            probes: 256,
        }
    }
}

impl DataSource for BilingualConfig {
    fn load(&self, _: &Path, key: Key) -> Result<Dataset> {
        BilingualConfig::load(self, key)
    }
}

/// The registered source.
pub(crate) const ENTRY: SourceEntry =
    SourceEntry::of::<BilingualConfig>("bilingual", "stories in English and Spanish from one world of facts");

impl BilingualConfig {
    fn check(&self) -> Result<()> {
        let within = |what: &str, n: usize, lo: usize, hi: usize| {
            if (lo..=hi).contains(&n) {
                Ok(())
            } else {
                setting(format!("bilingual: {what} = {n}, outside of {lo} to {hi}"))
            }
        };
        within("people", self.people, 4, 64)?;
        within("towns", self.towns, 4, 32)?;
        within("seq", self.seq, 48, 4096)?;
        within("stories", self.stories, 1, 10_000_000)?;
        within("test_stories", self.test_stories, 1, 1_000_000)?;
        let (en, es) = (self.english_only, self.spanish_only);
        if !(en >= 0.0 && es >= 0.0 && en + es <= 1.0) {
            return setting(format!(
                "bilingual: english_only {en} and spanish_only {es} must be fractions of one whole"
            ));
        }
        if !(0.0..=1000.0).contains(&self.proportion) || self.stories as f64 * self.proportion > 1e7 {
            return setting(format!("bilingual: proportion = {}, outside of 0 to 1000", self.proportion));
        }
        Ok(())
    }

    /// Generates the data set: classes `en` and `es`, word-level tokens. Story `i` of a language
    /// depends on the key and `i` only, so more stories extend a smaller set.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn load(&self, key: Key) -> Result<Dataset> {
        self.check()?;
        let teller = Teller::new(World::new(self, key.child("world")));
        let spanish = (self.stories as f64 * self.proportion).round() as usize;
        let train = self.split(&teller, key.child("train"), [self.stories, spanish]);
        let test = self.split(&teller, key.child("test"), [self.test_stories; 2]);
        let probes = probe::probes(&teller, self.probes, key.child("probe"));
        let names = teller.names();
        let tokenizer = Tokenizer::Words(teller.words);
        let classes = vec!["en".into(), "es".into()];
        let documents = [vec![self.stories, spanish], vec![self.test_stories; 2]];
        let data = Dataset::new("bilingual", train, test, classes, Some(tokenizer), probes)?;
        Ok(Dataset { names, documents, ..data })
    }

    fn split(&self, teller: &Teller, key: Key, counts: [usize; 2]) -> Examples {
        let (mut ids, mut class) = (Vec::new(), Vec::new());
        for (lang, name) in [(Lang::En, "en"), (Lang::Es, "es")] {
            let tell = |i: usize| teller.story(lang, key.child(name).index(i as u64), self.seq - 1);
            let stories = (0..counts[lang as usize]).map(tell);
            let added = rows(stories, self.seq, self.packing, (0, 0), &mut ids);
            class.resize(class.len() + added, lang as u16);
        }
        Examples { payload: Payload::Tokens { seq: self.seq, ids }, class }
    }
}

#[cfg(test)]
mod tests;
