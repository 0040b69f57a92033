//! Stories: an opening, some facts about the hero, a plot of several steps, an ending.

use std::collections::BTreeMap;

use lobe_core::{Key, Rng};

use super::grammar::{Template, embedded, literal_words};
use super::lexicon::Lang;
use super::world::{Cast, Fact, PERSON, World};
use crate::tokenizer::Words;

/// Tells stories about a world.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    pub(crate) world: World,
    pub(crate) words: Words,
    groups: BTreeMap<&'static str, Vec<Template>>,
    /// Steps of each plot.
    plots: Vec<Vec<&'static str>>,
}

impl Teller {
    pub(crate) fn new(world: World) -> Teller {
        let groups = embedded();
        let words = Words::new(literal_words(&groups, &world.lexicon));
        let mut plots: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
        for name in groups.keys() {
            if let Some((plot, _)) = name.split_once('.') {
                plots.entry(plot).or_default().push(name);
            }
        }
        Teller { world, words, groups, plots: plots.into_values().collect() }
    }

    /// The templates of a group; the first of a fact's group ends in the fact.
    pub(crate) fn group(&self, name: &str) -> &[Template] {
        self.groups.get(name).map_or(&[], Vec::as_slice)
    }

    /// The ids of one story, at most `longest`.
    pub(crate) fn story(&self, lang: Lang, key: Key, longest: usize) -> Vec<u32> {
        let mut rng = key.rng();
        let cast = Cast::new(&self.world, lang, &mut rng);
        let mut plan: Vec<&str> = Vec::new();
        if rng.uniform() < 0.5 {
            plan.push("opening");
        }
        // Each language tells only its facts, the same number of them per story.
        let mut told: Vec<usize> = (0..PERSON.len()).collect();
        let is_told = |f: &Fact| f.told[lang as usize];
        told.retain(|&a| is_told(&self.world.people[cast.p][a]));
        rng.shuffle(&mut told);
        plan.extend(told.iter().take(1 + rng.below(4)).map(|&a| PERSON[a].0));
        let of_town = ["mark", "crop"][rng.below(2)];
        if rng.uniform() < 0.25 {
            plan.push(of_town);
        }
        let plot = rng.choose(&self.plots);
        let aside = rng.below(plot.len() * 2);
        for (i, step) in plot.iter().enumerate() {
            plan.push(step);
            if i == aside {
                plan.push("aside");
            }
        }
        if rng.uniform() < 0.7 {
            plan.push("ending");
        }
        let mut out = Vec::new();
        for group in plan {
            let Some(sentence) = self.sentence(self.group(group), lang, &cast, &mut rng) else { continue };
            if out.len() + sentence.len() > longest {
                break;
            }
            out.extend(sentence);
        }
        out
    }

    /// One of the group's sentences that this language may tell.
    fn sentence(&self, group: &[Template], lang: Lang, cast: &Cast<'_>, rng: &mut Rng) -> Option<Vec<u32>> {
        let possible: Vec<Vec<String>> = group.iter().filter_map(|t| t.render(lang, cast)).collect();
        let chosen = possible.get(rng.below(possible.len().max(1)))?;
        Some(self.ids(chosen))
    }

    /// The ids of the people's names, which both languages share.
    pub(crate) fn names(&self) -> Vec<u32> {
        let people = &self.world.lexicon.section("person")[..self.world.people.len()];
        people.iter().filter_map(|p| self.words.id(p.noun(Lang::En))).collect()
    }

    pub(crate) fn ids(&self, words: &[String]) -> Vec<u32> {
        words.iter().map(|w| self.words.id(w).unwrap_or(1)).collect()
    }
}
