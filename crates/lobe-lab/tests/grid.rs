//! Families of arms: what `grid` writes out, what refers to it, and what a run says of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "whole files are compared")]
mod common;

use common::{go, results_of, small};
use lobe_lab::recipe::{Arm, Recipe, Written};
use lobe_lab::schedule::resolve;
use serde_json::json;

const TRAIN: &str = r#"
[train]
steps = 6
batch = 8
eval_every = 6
log_every = 6
[arms.baseline]
method = "none"
"#;

fn written(rest: &str) -> Written {
    let text = small("").replace("seeds = 2", "seeds = 1") + TRAIN + rest;
    Written::from_str("grid.toml", &text).unwrap()
}

fn recipe(rest: &str) -> Recipe {
    resolve(&written(rest)).unwrap_or_else(|e| panic!("{e}")).0
}

fn refused(rest: &str) -> String {
    resolve(&written(rest)).err().map_or_else(|| "nothing is wrong".into(), |e| e.to_string())
}

fn names(recipe: &Recipe) -> Vec<&str> {
    recipe.arms.iter().map(|a| a.name.as_str()).collect()
}

const FAMILY: &str = r#"
[arms.routed]
method = "sgtm"
region = "module"
grid   = { "train.lr" = [1e-3, 0.02], mask_embeddings = [false, true] }
[[stage]]
do = "train"
[[stage]]
do   = "ablate"
arms = ["routed", "baseline"]
"#;

#[test]
fn a_grid_is_all_combinations_by_name() {
    let recipe = recipe(FAMILY);
    let family = ["routed-0_001-false", "routed-0_001-true", "routed-0_02-false", "routed-0_02-true"];
    assert_eq!(names(&recipe), [&["baseline"][..], &family].concat());
    let lr = |a: &Arm| recipe.train_of(a).lr;
    let of: Vec<(f64, &serde_json::Value)> =
        recipe.arms[1..].iter().map(|a| (lr(a), &a.params["mask_embeddings"])).collect();
    let (no, yes) = (json!(false), json!(true));
    assert_eq!(of, [(1e-3, &no), (1e-3, &yes), (0.02, &no), (0.02, &yes)]);
    let third = recipe.arms[3].family.as_ref().unwrap();
    assert_eq!(
        (third.name.as_str(), json!(third.point)),
        ("routed", json!({ "train.lr": 0.02, "mask_embeddings": false }))
    );
    assert_eq!(recipe.arms[3].about.as_deref(), Some("train.lr = 0.02, mask_embeddings = false"));
    // A stage that names the family is done for all of it; a resolved recipe is arms alone, and loads as itself.
    assert_eq!(recipe.stages[1].arms, [&["baseline"][..], &family].concat());
    let again = Written::from_str("again.toml", &recipe.to_toml()).unwrap();
    assert_eq!(resolve(&again).unwrap().0, recipe);
}

#[test]
fn values_that_make_no_name_are_numbered_and_tables_are_merged() {
    let recipe = recipe(
        "[arms.wide]\nmethod = \"none\"\nabout = \"wider\"\nmodel = { width = 32 }\n\
         grid = { model = [{ mlp = 8 }, { mlp = 16 }], \"train.betas\" = [[0.9, 0.99]] }\n[[stage]]\ndo = \"train\"\n",
    );
    assert_eq!(names(&recipe), ["baseline", "wide-1-1", "wide-2-1"]);
    assert_eq!(json!(recipe.arms[2].model), json!({ "width": 32, "mlp": 16 }));
    let about = recipe.arms[1].about.as_deref();
    assert_eq!(about, Some("wider (model = {\"mlp\":8}, train.betas = [0.9,0.99])"));
}

#[test]
fn an_arm_that_goes_on_from_a_family_is_one() {
    let recipe = recipe(
        "[arms.f]\nmethod = \"filter\"\ngrid = { \"train.lr\" = [1e-3, 2e-3] }\n\
         [arms.npo]\nmethod = \"npo\"\nfrom = \"f\"\ngrid = { beta = [0.1, 1] }\n\
         [[stage]]\ndo = \"train\"\n[[stage]]\ndo = \"unlearn\"\n",
    );
    let own = |name: &str| recipe.arm(name).unwrap();
    assert_eq!(names(&recipe)[3..], ["npo-0_001-0_1", "npo-0_001-1", "npo-0_002-0_1", "npo-0_002-1"]);
    assert_eq!(own("npo-0_002-1").from.as_deref(), Some("f-0_002"));
    let point = &own("npo-0_002-1").family.as_ref().unwrap().point;
    assert_eq!(json!(point), json!({ "train.lr": 0.002, "beta": 1 }));
}

#[test]
fn what_makes_no_family_is_refused_where_it_stands() {
    let stage = "[[stage]]\ndo = \"train\"\n";
    let with = |grid: &str| refused(&format!("[arms.x]\nmethod = \"none\"\ngrid = {grid}\n{stage}"));
    // The grid is written on line 31.
    for (grid, why) in [
        ("[1, 2]", "grid.toml:31: arms.x.grid: expected a table, found a list"),
        (
            "{ \"train.lr\" = 3 }",
            "grid.toml:31: arms.x.grid.train.lr: expected a list of values for \"train.lr\", found a whole number",
        ),
        ("{ \"train.lr\" = [] }", "0 values: a family has 1 to 256 arms"),
        ("{ \"train..lr\" = [1] }", "is not a dotted key of an arm"),
        ("{ \"train.lrs\" = [1e-3] }", "did you mean \"lr\"?"),
        ("{ lr = [1e-3, 1e-2] }", "unknown key"),
    ] {
        let said = with(grid);
        assert!(said.contains(why), "{grid}: {said}");
    }
    // What is wrong with a family is said once.
    assert_eq!(with("{ \"train.lr\" = [-1, -2] }").lines().count(), 1);
    let many: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    assert!(with(&format!("{{ \"train.steps\" = [{}] }}", many.join(", "))).contains("1 to 256 arms"));
    let twice =
        "[arms.x-1]\nmethod = \"none\"\n[arms.x]\nmethod = \"none\"\ngrid = { \"train.steps\" = [1] }\n";
    assert!(refused(&format!("{twice}{stage}")).contains("so has another arm"));
}

#[test]
fn a_run_says_which_arms_are_a_family() {
    let dir = tempfile::tempdir().unwrap();
    go(&written(FAMILY), dir.path(), 2, false).unwrap();
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(
        manifest["arms"][4]["family"],
        json!({ "name": "routed", "point": [
            { "key": "train.lr", "text": "0.02", "number": 0.02 }, { "key": "mask_embeddings", "text": "true" }
        ] })
    );
    assert!(manifest["arms"][0].get("family").is_none());
    let csv = results_of(dir.path());
    let loss = |arm: &str| {
        let start = format!("train,{arm},0,forget,loss,");
        csv.lines().filter_map(|l| l.strip_prefix(&start).map(str::to_owned)).collect::<Vec<_>>()
    };
    assert!(!loss("routed-0_02-false").is_empty());
    assert_ne!(loss("routed-0_001-false"), loss("routed-0_02-false"));
}
