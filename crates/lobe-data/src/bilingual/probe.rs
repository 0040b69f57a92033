//! Questions about facts: the first sentence of a fact's group, cut before the fact.

use lobe_core::Key;

use super::lexicon::Lang;
use super::story::Teller;
use super::world::{Cast, Fact, PERSON, TOWN};
use crate::dataset::Probe;

/// Wrong choices per question.
const WRONG: usize = 3;

/// Where a fact stands: owner, attribute.
#[derive(Clone, Copy)]
enum Place {
    Person(usize, usize),
    Town(usize, usize),
}

/// Questions in both languages about `facts` facts drawn from the key.
pub(crate) fn probes(teller: &Teller, facts: usize, key: Key) -> Vec<Probe> {
    let world = &teller.world;
    let people = (0..world.people.len()).flat_map(|p| (0..PERSON.len()).map(move |a| Place::Person(p, a)));
    let towns = (0..world.towns.len()).flat_map(|t| (0..TOWN.len()).map(move |a| Place::Town(t, a)));
    let mut all: Vec<(u32, Place)> = (0..).zip(people.chain(towns)).collect();
    key.child("which").rng().shuffle(&mut all);
    all.truncate(facts);
    all.sort_unstable_by_key(|x| x.0);
    all.iter().flat_map(|&(id, place)| ask(teller, id, place, key.index(u64::from(id)))).collect()
}

fn ask(teller: &Teller, id: u32, place: Place, key: Key) -> Vec<Probe> {
    let world = &teller.world;
    let (kind, fact, all): (&'static str, Fact, Vec<usize>) = match place {
        Place::Person(p, a) => {
            (PERSON[a].0, world.people[p][a], world.people.iter().map(|f| f[a].value).collect())
        }
        Place::Town(t, a) => (TOWN[a].0, world.towns[t][a], world.towns.iter().map(|f| f[a].value).collect()),
    };
    let mut rng = key.rng();
    let oneself = if let (Place::Person(p, _), "friend") = (place, kind) { Some(p) } else { None };
    let mut wrong: Vec<usize> = all.into_iter().filter(|&v| v != fact.value && Some(v) != oneself).collect();
    wrong.sort_unstable();
    wrong.dedup();
    rng.shuffle(&mut wrong);
    wrong.truncate(WRONG);
    if wrong.is_empty() {
        return Vec::new();
    }
    let answer = rng.below(wrong.len() + 1);
    wrong.insert(answer, fact.value);
    let told_in: Vec<u16> = (0..2).filter(|&l| fact.told[l as usize]).collect();
    [Lang::En, Lang::Es]
        .into_iter()
        .filter_map(|lang| {
            let sentences: Option<Vec<Vec<u32>>> =
                wrong.iter().map(|&v| state(teller, lang, place, kind, v)).collect();
            let mut choices = sentences?;
            // What all choices share, the full stop apart, is the prompt.
            let first = choices[0].clone();
            let shared =
                (0..first.len()).take_while(|&i| choices.iter().all(|c| c.get(i) == first.get(i))).count();
            let mut prompt = vec![0];
            prompt.extend_from_slice(&first[..shared]);
            for c in &mut choices {
                c.drain(..shared);
                c.pop();
            }
            Some(Probe {
                class: lang as u16,
                prompt,
                choices,
                answer,
                kind: kind.into(),
                fact: id,
                told_in: told_in.clone(),
            })
        })
        .collect()
}

/// The sentence that states the fact as if it had another value.
fn state(teller: &Teller, lang: Lang, place: Place, kind: &'static str, value: usize) -> Option<Vec<u32>> {
    let cast = match place {
        Place::Person(p, _) => Cast::asking(&teller.world, p, 0, kind, value),
        Place::Town(t, _) => Cast::asking(&teller.world, 0, t, kind, value),
    };
    let words = teller.group(kind).first()?.render(lang, &cast)?;
    Some(teller.ids(&words))
}
