//! The shared world: people and towns, and facts about them that a seed fixes.

use lobe_core::{Key, Rng};

use super::BilingualConfig;
use super::grammar::Scene;
use super::lexicon::{Entry, Lang, Lexicon};

/// What is known of each person, and the section its value comes from.
pub(crate) const PERSON: [(&str, &str); 12] = [
    ("home", "town"),
    ("job", "job"),
    ("pet", "animal"),
    ("petname", "petname"),
    ("food", "food"),
    ("thing", "object"),
    ("colour", "colour"),
    ("hobby", "hobby"),
    ("day", "day"),
    ("fear", "animal"),
    ("friend", "person"),
    ("music", "music"),
];
/// What is known of each town.
pub(crate) const TOWN: [(&str, &str); 2] = [("mark", "mark"), ("crop", "crop")];

/// One fact: which value, and which languages tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fact {
    /// Index into the section of the attribute.
    pub(crate) value: usize,
    /// English, Spanish.
    pub(crate) told: [bool; 2],
}

/// Everything a seed fixes.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) lexicon: Lexicon,
    /// Per person, in the order of [`PERSON`].
    pub(crate) people: Vec<[Fact; 12]>,
    /// Per town, in the order of [`TOWN`].
    pub(crate) towns: Vec<[Fact; 2]>,
}

impl World {
    pub(crate) fn new(config: &BilingualConfig, key: Key) -> World {
        let lexicon = Lexicon::embedded();
        let blank = Fact { value: 0, told: [true, true] };
        let mut people = vec![[blank; 12]; config.people];
        let mut towns = vec![[blank; 2]; config.towns];
        for (a, (name, section)) in PERSON.iter().enumerate() {
            let values = match *section {
                "town" => config.towns,
                "person" => config.people,
                _ => lexicon.section(section).len(),
            };
            deal(&mut people, a, values, *section == "person", key.child("fact").child(name));
        }
        for (a, (name, section)) in TOWN.iter().enumerate() {
            deal(&mut towns, a, lexicon.section(section).len(), false, key.child("town fact").child(name));
        }
        let told = |i: usize, a: usize, kind: &str| {
            let u = key.child("told").child(kind).index(i as u64).index(a as u64).uniform();
            let english_only = u < config.english_only;
            let spanish_only = !english_only && u < config.english_only + config.spanish_only;
            [!spanish_only, !english_only]
        };
        people
            .iter_mut()
            .enumerate()
            .for_each(|(i, f)| (0..12).for_each(|a| f[a].told = told(i, a, "person")));
        towns.iter_mut().enumerate().for_each(|(i, f)| (0..2).for_each(|a| f[a].told = told(i, a, "town")));
        World { lexicon, people, towns }
    }
}

/// Gives each owner a value. Values are dealt like cards, so that all are about equally common
/// and the commonest value is no shortcut to an answer.
fn deal<const N: usize>(
    owners: &mut [[Fact; N]],
    attribute: usize,
    values: usize,
    is_person: bool,
    key: Key,
) {
    let mut rng = key.rng();
    let mut order: Vec<usize> = (0..owners.len()).collect();
    rng.shuffle(&mut order);
    let mut deck: Vec<usize> = (0..values).collect();
    rng.shuffle(&mut deck);
    for (k, &owner) in order.iter().enumerate() {
        // A friend is the next in a ring, never oneself.
        let value = if is_person { order[(k + 1) % order.len()] } else { deck[k % deck.len()] };
        owners[owner][attribute].value = value;
    }
}

/// The cast and props of one story in one language.
pub(crate) struct Cast<'a> {
    pub(crate) world: &'a World,
    /// `None`: facts are visible whatever languages tell them.
    pub(crate) lang: Option<Lang>,
    pub(crate) p: usize,
    pub(crate) q: usize,
    pub(crate) town: usize,
    /// For questions: a slot, and the value to show instead of the fact's.
    instead: Option<(&'static str, usize)>,
    props: [usize; 13],
}

/// Slots that a story fills at random; a pair from the same section never coincides.
const PROPS: [(&str, &str); 13] = [
    ("x", "object"),
    ("y", "object"),
    ("place", "place"),
    ("place2", "place"),
    ("fd", "food"),
    ("an", "animal"),
    ("season", "season"),
    ("num", "number"),
    ("number", "number"),
    ("number2", "number"),
    ("col", "colour"),
    ("adj", "adj"),
    ("feel", "feel"),
];

impl<'a> Cast<'a> {
    pub(crate) fn new(world: &'a World, lang: Lang, rng: &mut Rng) -> Cast<'a> {
        let n = world.people.len();
        let p = rng.below(n);
        let q = (p + 1 + rng.below(n - 1)) % n;
        let town = rng.below(world.towns.len());
        let mut props = [0; 13];
        for i in 0..props.len() {
            let of = world.lexicon.section(PROPS[i].1).len();
            props[i] = rng.below(of);
            let twin = i > 0 && PROPS[i - 1].1 == PROPS[i].1 && props[i - 1] == props[i];
            props[i] = (props[i] + usize::from(twin)) % of;
        }
        Cast { world, lang: Some(lang), p, q, town, instead: None, props }
    }

    /// A cast for a question: facts show whatever languages tell them, but the slot `kind` has
    /// `value` instead of the truth.
    pub(crate) fn asking(
        world: &'a World,
        p: usize,
        town: usize,
        kind: &'static str,
        value: usize,
    ) -> Cast<'a> {
        Cast { world, lang: None, p, q: p, town, instead: Some((kind, value)), props: [0; 13] }
    }

    fn fact(&self, fact: Fact, name: &str, section: &str) -> Option<&'a Entry> {
        let told = self.lang.is_none_or(|l| fact.told[l as usize]);
        let value = self.instead.filter(|(n, _)| *n == name).map_or(fact.value, |(_, v)| v);
        told.then(|| &self.world.lexicon.section(section)[value])
    }
}

impl Scene for Cast<'_> {
    fn get(&self, name: &str) -> Option<&Entry> {
        let lexicon = &self.world.lexicon;
        match name {
            "p" => return Some(&lexicon.section("person")[self.p]),
            "q" => return Some(&lexicon.section("person")[self.q]),
            "town" => return Some(&lexicon.section("town")[self.town]),
            // Any hobby will do: it is tied to the number so that it needs no prop of its own.
            "hob" => return Some(&lexicon.section("hobby")[self.props[8]]),
            _ => {}
        }
        if let Some(i) = PROPS.iter().position(|(n, _)| *n == name) {
            return Some(&lexicon.section(PROPS[i].1)[self.props[i]]);
        }
        if let Some(a) = TOWN.iter().position(|(n, _)| *n == name) {
            return self.fact(self.world.towns[self.town][a], name, TOWN[a].1);
        }
        let (who, attribute) = name.strip_prefix("q.").map_or((self.p, name), |a| (self.q, a));
        let a = PERSON.iter().position(|(n, _)| *n == attribute)?;
        self.fact(self.world.people[who][a], name, PERSON[a].1)
    }
}
