use std::collections::BTreeSet;

use super::grammar::{Scene as _, embedded};
use super::world::{Cast, PERSON, TOWN};
use super::*;
use crate::dataset::PAD;

fn small() -> BilingualConfig {
    BilingualConfig { stories: 400, test_stories: 40, ..BilingualConfig::default() }
}

fn teller(config: &BilingualConfig) -> Teller {
    Teller::new(World::new(config, Key::root(1).child("world")))
}

#[test]
fn data_are_pinned() {
    let data = small().load(Key::root(1)).unwrap();
    let story = data.tokenizer.as_ref().unwrap().decode(data.train.row(400));
    assert_eq!((data.vocab, data.fingerprint, story.as_str()), PINNED);
    assert_eq!(data.fingerprint, small().load(Key::root(1)).unwrap().fingerprint);
    assert_ne!(data.fingerprint, small().load(Key::root(2)).unwrap().fingerprint);
}
// A change here breaks the comparison with every recorded run.
const PINNED: (usize, u128, &str) = (
    1388,
    13473261209825982622227713710052376958,
    "Vera toca el tambor. Todos conocen a Vera la maestra. Aquella noche hubo una gran tormenta sobre la estación. Vera se escondió debajo de una cuerda nueva y cerró los ojos. Vera y Adrián contaban hasta seis tras cada rayo. Por la mañana el cielo estaba claro y todos trabajaban otra vez. Por la noche Vera tocó el tambor.",
);

#[test]
fn more_stories_extend_fewer() {
    let few = small().load(Key::root(1)).unwrap();
    let many = BilingualConfig { stories: 500, proportion: 0.5, ..small() }.load(Key::root(1)).unwrap();
    assert_eq!((many.train.len(), many.train.select(|_, c| c == 1).len()), (750, 250));
    assert_eq!(few.train.row(399), many.train.row(399));
    assert_eq!(few.train.row(400), many.train.row(500));
    assert_eq!((few.probes, few.vocab, few.test), (many.probes, many.vocab, many.test));
}

#[test]
fn stories_are_whole_known_words_and_of_a_useful_length() {
    let data = small().load(Key::root(3)).unwrap();
    let tok = data.tokenizer.as_ref().unwrap();
    let lengths: Vec<usize> = (0..data.train.len()).map(|i| data.train.targets(i)).collect();
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len() as f64;
    assert!((55.0..85.0).contains(&mean) && lengths.iter().all(|n| (20..=96).contains(n)), "{mean}");
    for i in 0..data.train.len() {
        let row: Vec<u32> = data.train.row(i).iter().copied().filter(|&t| t != PAD).collect();
        assert_eq!((row[0], row.last()), (0, Some(&0)), "every story is complete");
        let text = tok.decode(&row);
        assert_eq!(tok.encode(&text).unwrap(), row[1..row.len() - 1], "{text}");
        assert!(!row.contains(&1), "{text}");
        assert!(![" a el ", " de el ", "{", "}"].iter().any(|bad| text.contains(bad)), "{text}");
    }
    assert!((900..1500).contains(&data.vocab), "{}", data.vocab);
}

#[test]
fn languages_share_names_but_hardly_any_word() {
    let data = small().load(Key::root(3)).unwrap();
    let Some(Tokenizer::Words(words)) = &data.tokenizer else { panic!() };
    let used = |class: u16| -> BTreeSet<u32> {
        let rows = data.train.select(|_, c| c == class);
        rows.iter().flat_map(|&i| data.train.row(i as usize)).copied().filter(|&t| t != PAD).collect()
    };
    let both: Vec<&str> =
        used(0).intersection(&used(1)).map(|&t| words.list()[t as usize].as_str()).collect();
    let common: Vec<&&str> = both.iter().filter(|w| w.starts_with(char::is_lowercase)).collect();
    assert!(common.len() <= 8, "{common:?}");
    assert!(both.contains(&"Ana") && both.contains(&"."));
}

/// Every step of a plot and every other group has a sentence that states no fact, except the
/// groups that exist to state one.
#[test]
fn every_group_renders_in_a_language_that_tells_no_fact() {
    for lang in [Lang::En, Lang::Es] {
        let other = if lang == Lang::En { (0.0, 1.0) } else { (1.0, 0.0) };
        let mute = teller(&BilingualConfig { english_only: other.0, spanish_only: other.1, ..small() });
        let cast = Cast::new(&mute.world, lang, &mut Key::root(5).rng());
        for (name, templates) in embedded() {
            let of_fact = PERSON.iter().chain(&TOWN).any(|(n, _)| *n == name);
            let plain = templates.iter().filter(|t| t.render(lang, &cast).is_some()).count();
            assert_eq!(plain == 0, of_fact, "{name} in {lang:?}");
        }
    }
}

/// What only one language tells never stands in a story of the other.
#[test]
fn exclusive_facts_stay_in_their_language() {
    let config = BilingualConfig { english_only: 0.4, spanish_only: 0.4, stories: 1500, ..small() };
    let data = config.load(Key::root(1)).unwrap();
    let probes: Vec<_> = data.probes.iter().filter(|p| p.told_in.len() == 1).collect();
    assert!(probes.len() > 200);
    let (mut said, mut leaked) = (0, 0);
    for p in probes {
        let whole: Vec<u32> = p.prompt[1..].iter().chain(&p.choices[p.answer]).copied().collect();
        let rows = data.train.select(|_, c| c == p.class);
        let hits = rows
            .iter()
            .filter(|&&i| data.train.row(i as usize).windows(whole.len()).any(|w| w == whole))
            .count();
        if p.told_in.contains(&p.class) { said += hits } else { leaked += hits }
    }
    assert!(said > 100, "{said}");
    assert_eq!(leaked, 0);
}

#[test]
fn probes_ask_for_the_facts_of_the_world_with_choices_of_one_length() {
    let config = BilingualConfig { probes: 10_000, ..small() };
    let data = config.load(Key::root(1)).unwrap();
    let tok = data.tokenizer.as_ref().unwrap();
    assert_eq!(data.probes.len(), 2 * (48 * 12 + 24 * 2));
    let mut answers = [0usize; 4];
    for p in &data.probes {
        assert_eq!(p.choices.len(), 4);
        assert!(p.choices.iter().all(|c| c.len() == p.choices[0].len() && !c.is_empty()), "{p:?}");
        assert_eq!(p.choices.iter().collect::<BTreeSet<_>>().len(), 4);
        answers[p.answer] += 1;
    }
    assert!(answers.iter().all(|a| (200..420).contains(a)), "{answers:?}");
    let teller = Teller::new(World::new(&config, Key::root(1).child("world")));
    let cast = Cast::asking(&teller.world, 7, 0, "home", teller.world.people[7][0].value);
    let home = &data.probes.iter().find(|p| p.kind == "home" && p.fact == 7 * 12).unwrap();
    let name = cast.get("p").unwrap().noun(Lang::En);
    assert_eq!(tok.decode(&home.prompt), format!("{name} lives in"));
    assert_eq!(tok.decode(&home.choices[home.answer]), cast.get("home").unwrap().noun(Lang::En));
}

#[test]
fn knowing_the_world_is_worth_more_than_knowing_word_counts() {
    // Each fact must be told often enough to be learnt from the default number of stories.
    let data = BilingualConfig::default().load(Key::root(1)).unwrap();
    let p = data.probes.iter().find(|p| p.told_in.len() == 2 && p.class == 0).unwrap();
    let whole: Vec<u32> = p.prompt[1..].iter().chain(&p.choices[p.answer]).copied().collect();
    let hits = (0..8000).filter(|&i| data.train.row(i).windows(whole.len()).any(|w| w == whole)).count();
    assert!(hits >= 5, "{hits}");
}

#[test]
fn settings_out_of_range_are_refused() {
    let err = |c: BilingualConfig| c.load(Key::root(0)).unwrap_err().to_string();
    assert_eq!(
        err(BilingualConfig { people: 65, ..small() }),
        "data: bilingual: people = 65, outside of 4 to 64"
    );
    assert_eq!(err(BilingualConfig { seq: 8, ..small() }), "data: bilingual: seq = 8, outside of 48 to 4096");
    assert!(
        err(BilingualConfig { english_only: 0.7, spanish_only: 0.7, ..small() })
            .contains("fractions of one whole")
    );
    assert!(err(BilingualConfig { spanish_only: f64::NAN, ..small() }).contains("fractions"));
    assert!(err(BilingualConfig { proportion: -1.0, ..small() }).contains("proportion = -1"));
}

#[test]
fn packing_wastes_nothing_and_keeps_languages_apart() {
    let data = BilingualConfig { packing: Packing::Pack, ..small() }.load(Key::root(1)).unwrap();
    let padded = (0..data.train.len()).filter(|&i| data.train.targets(i) < 96).count();
    assert!(padded <= 2);
    assert_eq!(data.classes, ["en", "es"]);
}

#[test]
fn every_story_and_every_question_about_people_names_them() {
    let data = small().load(Key::root(4)).unwrap();
    assert_eq!(data.names.len(), small().people);
    let named = |row: &[u32]| row.iter().any(|t| data.names.contains(t));
    assert!((0..data.train.len()).all(|i| named(data.train.row(i))));
    for p in &data.probes {
        assert_eq!(named(&p.prompt), TOWN.iter().all(|(kind, _)| *kind != p.kind), "{}", p.kind);
    }
}
