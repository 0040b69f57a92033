//! What every attack of the list has to do, whatever it is: walked over `ATTACKS`, so that a new one is tested
//! by its line there.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

#[allow(dead_code, reason = "this suite uses a part of it")]
mod bench_activations;
#[allow(dead_code, reason = "this suite uses a part of it")]
mod bench_weights;

use bench_weights::{Rig, gpt2, llama};
use lobe_methods::{ATTACKS, Attack, AttackEntry, Battery, Bench, BenchError, Case, Trial};
use serde_json::{Map, Value, json};

/// The parameters of an attack with fewer steps, examples and variants: the bench is small.
fn quick(entry: &AttackEntry) -> Value {
    let (_, defaults) = (entry.build)(&json!({})).unwrap();
    let most = |key: &str| match key {
        "steps" | "candidates" | "batch" => Some(4),
        "eval_every" => Some(2),
        "length" => Some(3),
        "warmup" => Some(1),
        "examples" | "top" => Some(8),
        _ => None,
    };
    let mut out = Map::new();
    for (key, value) in defaults.as_object().unwrap() {
        match (value, most(key)) {
            (Value::Number(n), Some(most)) if n.as_u64().is_some_and(|n| n > most) => {
                out.insert(key.clone(), most.into());
            }
            // Of what is swept the first two.
            (Value::Array(all), _) if all.len() > 2 => {
                out.insert(key.clone(), all[..2].to_vec().into());
            }
            _ => {}
        }
    }
    Value::Object(out)
}

fn build(entry: &AttackEntry, params: &Value) -> Box<dyn Attack> {
    (entry.build)(params).map_err(|e| format!("{}: {e}", entry.about.name)).unwrap().0
}

fn run(attack: &dyn Attack, rig: &mut Rig, cases: &[Case]) -> Result<Vec<Trial>, BenchError> {
    attack.run(rig, cases)?;
    Ok(std::mem::take(&mut rig.desk.kept))
}

fn all(entry: &AttackEntry, rig: &mut Rig) -> Vec<Trial> {
    let attack = build(entry, &quick(entry));
    let cases = attack.cases(rig);
    run(&*attack, rig, &cases).map_err(|e| format!("{}: {e}", entry.about.name)).unwrap()
}

#[test]
fn every_attack_says_what_it_is() {
    for entry in &ATTACKS {
        let name = entry.about.name;
        let attack = build(entry, &json!({}));
        assert_eq!(attack.label(), "forget", "{name}");
        assert!(!entry.axis.name.is_empty() && !entry.axis.unit.contains(' '), "{name}: {:?}", entry.axis);
        let params: Vec<String> = (entry.params)().into_iter().map(|p| p.name).collect();
        for swept in entry.sweeps {
            assert!(params.iter().any(|p| p == swept), "{name} has no parameter {swept}");
        }
        // What needs the original can only join where there is one.
        assert!(!attack.needs_original() || attack.uses_original(), "{name}");
        assert!(!attack.needs_original() || entry.battery != Battery::Always, "{name}");
    }
}

#[test]
fn its_variants_run_and_their_curves_ascend() {
    for config in [gpt2(), llama()] {
        for entry in &ATTACKS {
            let name = entry.about.name;
            let mut rig = Rig::new(config.clone());
            let (victim, labels) = (rig.victim().to_vec(), rig.labels().len());
            let cases = build(entry, &quick(entry)).cases(&rig);
            assert!(!cases.is_empty(), "{name}");
            for (i, c) in cases.iter().enumerate() {
                let again = cases[..i]
                    .iter()
                    .any(|o| o.name == c.name || (&o.start, &o.settings) == (&c.start, &c.settings));
                assert!(!again, "{name}: {c:?} cannot be told from another variant");
            }
            let trials = all(entry, &mut rig);
            assert!(!trials.is_empty(), "{name}");
            // In the order they were named in; some may find nothing to try.
            let mut names = cases.iter().map(|c| &c.name);
            assert!(trials.iter().all(|t| names.any(|n| *n == t.variant)), "{name}: {cases:?}");
            for t in &trials {
                let what = format!("{name} {}", t.variant);
                assert!(
                    !t.curve.is_empty() && t.curve.is_sorted_by(|a, b| a.0 < b.0),
                    "{what}: {:?}",
                    t.curve
                );
                let losses = t.curve.iter().flat_map(|p| p.1.iter().flatten());
                assert!(t.curve.iter().all(|p| p.1.len() == labels), "{what}");
                assert!(losses.chain(t.extra.iter().map(|e| &e.1)).all(|v| v.is_finite()), "{what}: {t:?}");
                assert_eq!(
                    serde_json::from_str::<Trial>(&serde_json::to_string(t).unwrap()).unwrap(),
                    *t,
                    "{what}"
                );
            }
            assert_eq!(rig.victim(), victim, "{name} changed the model on the bench");
            let share = |x: &f64| (0.0..=1.0).contains(x);
            assert!(
                rig.desk.progress.is_sorted() && rig.desk.progress.iter().all(share),
                "{name}: {:?}",
                rig.desk.progress
            );
        }
    }
}

/// A variant is kept under its own settings, so it may not depend on its neighbours.
#[test]
fn a_variant_alone_is_what_it_is_in_the_sweep() {
    for entry in &ATTACKS {
        let name = entry.about.name;
        let together = all(entry, &mut Rig::new(gpt2()));
        let attack = build(entry, &quick(entry));
        let cases = attack.cases(&Rig::new(gpt2()));
        for (i, case) in cases.iter().enumerate() {
            // The first, the last and some between them.
            if i % 3 != 0 && i + 1 != cases.len() {
                continue;
            }
            let alone = run(&*attack, &mut Rig::new(gpt2()), std::slice::from_ref(case)).unwrap();
            let of_sweep: Vec<Trial> = together.iter().filter(|t| t.variant == case.name).cloned().collect();
            assert_eq!(alone, of_sweep, "{name} {}", case.name);
        }
    }
}

/// The same, where the list is shorter: what is not swept and the case decide everything.
#[test]
fn a_shorter_list_gives_the_same_variants() {
    for entry in &ATTACKS {
        let name = entry.about.name;
        let long = quick(entry);
        let (_, full) = (entry.build)(&long).unwrap();
        let told = |params: &Value| {
            let (attack, mut rig) = (build(entry, params), Rig::new(gpt2()));
            let cases = attack.cases(&rig);
            let trials = run(&*attack, &mut rig, &cases).unwrap();
            let one = |t: Trial| {
                let case = cases.iter().find(|c| c.name == t.variant).unwrap();
                // A name says only what sets a variant apart.
                ((case.start.clone(), case.settings.clone()), Trial { variant: String::new(), ..t })
            };
            trials.into_iter().map(one).collect::<Vec<_>>()
        };
        let whole = told(&long);
        for swept in entry.sweeps {
            let Some(Value::Array(list)) =
                full.get(swept).filter(|v| v.as_array().is_some_and(|a| a.len() > 1))
            else {
                continue;
            };
            let mut short = long.clone();
            short[*swept] = list[..1].to_vec().into();
            for found in told(&short) {
                assert!(whole.contains(&found), "{name}, {swept}: {:?} is not in the longer sweep", found.0);
            }
        }
    }
}

#[test]
fn attacks_are_the_same_every_time() {
    for entry in &ATTACKS {
        let (a, b) = (all(entry, &mut Rig::new(gpt2())), all(entry, &mut Rig::new(gpt2())));
        assert_eq!(a, b, "{}", entry.about.name);
    }
}

/// Where the victim is the original, there is nothing to bring back from it.
#[test]
fn what_comes_from_the_original_changes_nothing_in_the_original() {
    for entry in &ATTACKS {
        let attack = build(entry, &quick(entry));
        if !attack.uses_original() {
            continue;
        }
        let mut rig = Rig::new(gpt2());
        rig.cut = None;
        rig.desk.original = Some(rig.desk.victim.clone());
        let before = rig.before().unwrap();
        let cases = attack.cases(&rig);
        for t in run(&*attack, &mut rig, &cases).unwrap() {
            let from_original = t.variant.starts_with("original") || t.variant.starts_with("rows");
            // A mean in the place of every row is no copy, and a direction of the data is not the original's.
            if from_original {
                assert_eq!(t.curve[0].1, before, "{} {}", entry.about.name, t.variant);
            }
        }
    }
}

/// Every number of every attack, alone and in lists, is held against a range.
#[test]
fn negative_numbers_are_refused_with_their_key_unless_the_schema_allows_them() {
    for entry in &ATTACKS {
        let name = entry.about.name;
        let (_, full) = (entry.build)(&json!({})).unwrap();
        let mut numbers = 0;
        for p in (entry.params)() {
            // A number, or a list of numbers.
            let bad: Vec<Value> = match p.kind.trim_start_matches("list of ") {
                k if k.starts_with("integer") => vec![json!(-1)],
                k if k.starts_with("number") => vec![json!(-1.0), json!(-1e300)],
                _ => continue,
            };
            numbers += 1;
            for x in bad {
                let below = p.kind.contains("≥ -") && x == json!(-1.0);
                let list = p.kind.starts_with("list of ");
                let params = json!({ p.name.clone(): if list { json!([x]) } else { x.clone() } });
                let refused = (entry.build)(&params).err();
                assert_eq!(refused.is_none(), below, "{name}: {} = {x} ({})", p.name, p.kind);
                if let Some(e) = refused {
                    assert!(e.path.starts_with(&p.name), "{name}: {e}");
                }
            }
        }
        // JSON has no number that is not finite: what stands for one is refused, too.
        for (key, value) in full.as_object().unwrap() {
            if value.is_f64() {
                assert!((entry.build)(&json!({ key.clone(): null })).is_err(), "{name}: {key} = null");
            }
        }
        assert!(numbers > 0, "{name} has no numbers");
    }
}
