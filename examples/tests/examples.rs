//! Every example, compiled and run: what it adds does what it says.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "its main is the program's")]
#[path = "../library.rs"]
mod library;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_attack.rs"]
mod own_attack;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_chart.rs"]
mod own_chart;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_data.rs"]
mod own_data;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_method.rs"]
mod own_method;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_network.rs"]
mod own_network;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_objective.rs"]
mod own_objective;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_optimiser.rs"]
mod own_optimiser;
#[expect(dead_code, reason = "its main is the program's")]
#[path = "../own_stage.rs"]
mod own_stage;

use lobe_core::registry::Taken;
use lobe_examples::{number, run};
use lobe_lab::words::{every_key, example_of, recipe_keys, schema, words};
use lobe_methods::unlearn::{Objective as _, View};
use lobe_runs::ResultRow;

// Another test may have added a thing already, so nobody minds that.

/// Runs a recipe in a folder of its own.
fn rows(recipe: &str) -> Vec<ResultRow> {
    run(recipe, tempfile::tempdir().unwrap().path()).unwrap()
}

#[track_caller]
fn of(rows: &[ResultRow], what: [&str; 4]) -> f64 {
    number(rows, what).unwrap_or_else(|| panic!("no {what:?}"))
}

/// The forget loss in training at a step.
fn at_step(rows: &[ResultRow], arm: &str, step: u64) -> f64 {
    let is =
        |r: &&ResultRow| r.arm == arm && r.metric == "loss" && r.label == "forget" && r.step == Some(step);
    rows.iter().find(is).map(|r| r.value).unwrap()
}

#[test]
fn the_library_trains_cuts_and_attacks() {
    let [found, learnt] = library::program().unwrap();
    // What was cut out comes back sooner than it is learnt: it was not removed.
    assert!(found > 0.5 && found < learnt - 0.5, "{found} {learnt}");
}

#[test]
fn a_method_of_ones_own() {
    own_method::add().ok();
    assert_eq!(own_method::add(), Err(Taken("leaky-masking")));
    let rows = rows(own_method::RECIPE);
    for label in ["forget", "retain"] {
        let loss = |arm| of(&rows, ["ablate", arm, label, "loss"]);
        assert_eq!(loss("sealed"), loss("masking"), "without a leak it is what is built in");
        assert_ne!(loss("leaking"), loss("masking"));
    }
}

#[test]
fn an_attack_of_ones_own() {
    own_attack::add().ok();
    let rows = rows(own_attack::RECIPE);
    let before = of(&rows, ["louder", "routing", "forget", "attack_start"]);
    let at = |gain: &str| of(&rows, ["louder", "routing", "forget", &format!("attack_best@gain={gain}")]);
    assert_eq!(at("1"), before, "a gain of 1 changes nothing");
    assert_ne!(at("1.5"), before);
    assert_eq!(of(&rows, ["louder", "routing", "forget", "attack_best"]), at("1").min(at("1.5")));
}

#[test]
fn a_network_of_ones_own() {
    own_network::add().ok();
    let rows = rows(own_network::RECIPE);
    let loss = |stage, arm, label| of(&rows, [stage, arm, label, "loss"]);
    assert!(loss("train", "baseline", "forget") < at_step(&rows, "baseline", 0) - 1.0, "it learns");
    assert!(loss("ablate", "routing", "forget") > loss("train", "routing", "forget"), "the region is cut");
    let best = of(&rows, ["relearn", "routing", "forget", "attack_best"]);
    assert!(best < loss("ablate", "routing", "forget"), "and attacked");
}

#[test]
fn an_optimiser_of_ones_own() {
    own_optimiser::add().ok();
    let rows = rows(own_optimiser::RECIPE);
    let at = |step| at_step(&rows, "baseline", step);
    assert!(at(40) < at(0) - 0.3, "{} {}", at(0), at(40));
}

/// Two rows of three logits, of which the second has no target.
fn view(values: &[f32]) -> View<'_> {
    View {
        values,
        reference: &[],
        cols: 3,
        targets: &[0, u32::MAX],
        labels: lobe_engine::RowLabels::One(lobe_core::FORGET),
        seq: 2,
        rows: 1,
        by_label: &[],
        sequences: 1,
        progress: 0.0,
    }
}

#[test]
fn an_objective_of_ones_own() {
    let values = [1.0, -2.0, 0.5, 7.0, 7.0, 7.0];
    let mut grad = [0.0; 6];
    let value = own_objective::Quiet.value(&view(&values), &mut grad);
    assert!((value - (1.0 + 4.0 + 0.25) / 3.0).abs() < 1e-12);
    for i in 0..6 {
        let moved = |by: f32| {
            let mut x = values;
            x[i] += by;
            own_objective::Quiet.value(&view(&x), &mut [0.0; 6])
        };
        let slope = (moved(0.01) - moved(-0.01)) / 0.02;
        assert!((slope - f64::from(grad[i])).abs() < 1e-4, "{i}: {slope} {}", grad[i]);
    }

    own_objective::add().ok();
    let rows = rows(own_objective::RECIPE);
    let loss = |stage, arm| of(&rows, [stage, arm, "forget", "loss"]);
    assert!(loss("unlearn", "hush") > loss("train", "baseline") + 0.3);
}

#[test]
fn a_stage_of_ones_own() {
    own_stage::add().ok();
    let rows = rows(own_stage::RECIPE);
    let loss = |stage| of(&rows, [stage, "baseline", "forget", "loss"]);
    assert_eq!(loss("same"), loss("train"));
    assert!(loss("nothing") > loss("train") + 0.5);
}

#[test]
fn a_source_of_ones_own() {
    own_data::add().ok();
    let rows = rows(own_data::RECIPE);
    let loss = |stage, arm, label| of(&rows, [stage, arm, label, "loss"]);
    assert!(loss("train", "baseline", "forget") < 1.0, "one direction is learnt");
    let (lost, kept) = (loss("ablate", "experts", "forget"), loss("ablate", "experts", "retain"));
    assert!(lost > kept + 1.0, "{lost} {kept}");
}

#[test]
fn a_chart_of_ones_own() {
    own_chart::add().ok();
    let dir = tempfile::tempdir().unwrap();
    run(own_chart::RECIPE, dir.path()).unwrap();
    let page = lobe_report::html::render(&lobe_report::RunData::load(dir.path()).unwrap());
    assert!(page.contains("How large the weights are") && page.contains("blocks.1.mlp.out.weight"));
}

#[test]
fn what_is_added_is_listed_explained_and_refused_like_what_is_built_in() {
    own_method::add().ok();
    own_stage::add().ok();
    own_data::add().ok();
    own_optimiser::add().ok();
    own_network::add().ok();
    own_attack::add().ok();
    own_objective::add().ok();
    let all = words();
    for name in ["leaky-masking", "shrink", "alphabet", "lion", "bigram", "louder", "hush"] {
        assert!(all.iter().any(|w| w.name == name && w.example.contains(name)), "{name}");
    }
    assert!(schema().to_string().contains("leaky-masking"));
    let keys = recipe_keys();
    let paths: Vec<String> = every_key(&keys).iter().map(lobe_lab::words::Found::path).collect();
    for path in [r#"arms (method = "leaky-masking").leak"#, r#"stage (do = "shrink").factor"#] {
        assert!(paths.iter().any(|p| p == path), "{path}");
    }
    let without: Vec<&String> = every_key(&keys)
        .iter()
        .zip(&paths)
        .filter(|(f, _)| example_of(f).is_none())
        .map(|(_, p)| p)
        .collect();
    assert!(without.is_empty(), "no example: {without:?}");

    let dir = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str| {
        let recipe = own_method::RECIPE.replace(from, to);
        run(&recipe, dir.path()).unwrap_err().to_string()
    };
    let said = refused("leak = 0.5", "leek = 0.5");
    assert!(said.contains("leek") && said.contains("did you mean \"leak\"?"), "{said}");
    let said = refused("method = \"leaky-masking\", region", "method = \"leaky-msking\", region");
    assert!(said.contains("did you mean \"leaky-masking\"?"), "{said}");
}
