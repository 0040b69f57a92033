//! Recipes: what is refused and in which words, what is merged, what is derived.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lobe_lab::recipe::{
    ArmData, Callbacks, Masked, Recipe, RecipeError, StageInfo, Written, completed, fuzz_recipe, json_schema,
    one_of, range,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

const QUICKSTART: &str = r#"name  = "quickstart"
about = "Spanish in, Spanish out"
seeds = 3

[data]
kind   = "bilingual"
forget = { language = "es", recall = 0.9 }

[model]
kind = "gpt"
layers = 4

[regions]
spanish = "blocks.*.mlp.post[-32..]+blocks.*.attn.z[-1]"
heads   = "blocks.*.attn.z[-1]"

[arms]
baseline = { method = "none" }
sgtm     = { method = "sgtm", region = "spanish", masked = "freeze", strength = 0.5 }
lower    = { method = "sgtm", region = ["heads", "spanish"], train = { lr = 2e-4 }, loss_weight = { forget = 2 } }
oracle   = { method = "none", data = "retain only", labels = { recall = 0.6 } }

[train]
steps = 1500
lr = 1e-3

[[stage]]
do = "train"
[[stage]]
do = "relearn"
arms = ["oracle", "sgtm"]
steps = 200
[[stage]]
do = "relearn"
from = "train"
[[stage]]
do = "measure"
name = "final"

[presets.tiny]
seeds = 1
[presets.tiny.train]
steps = 20
[presets.tiny.stage.relearn-2]
steps = 5
[presets.paper]
seeds = [1, 2, 3, 4, 5]
scale = 2
data = { kind = "text", dir = "corpus" }
"#;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Model {
    layers: u32,
    width: u32,
}

impl Default for Model {
    fn default() -> Model {
        Model { layers: 2, width: 64 }
    }
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Side {
    language: String,
    recall: f64,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Data {
    forget: Side,
    #[serde(skip_serializing_if = "String::is_empty")]
    dir: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Relearn {
    steps: u64,
    region: Option<String>,
}

impl Default for Relearn {
    fn default() -> Relearn {
        Relearn { steps: 100, region: None }
    }
}

fn callbacks() -> Callbacks<'static> {
    Callbacks {
        data: &|kind, rest| {
            one_of("kind", "kind of data", kind, ["bilingual", "text"].into_iter())?;
            let (data, full) = completed::<Data>(rest)?;
            range("forget.recall", data.forget.recall, 0.0..=1.0)?;
            Ok(full)
        },
        model: &|kind, rest| {
            one_of("kind", "kind of network", kind, ["gpt", "autoencoder"].into_iter())?;
            Ok(completed::<Model>(rest)?.1)
        },
        post_hoc: &|_| false,
        method: &|method, rest| {
            one_of("method", "method", method, ["none", "sgtm"].into_iter())?;
            for key in rest.as_object().into_iter().flat_map(|m| m.keys()) {
                one_of(key, "parameter", key, ["strength"].into_iter())?;
            }
            Ok(rest.clone())
        },
        labels: &|_, labels| completed::<Side>(labels).map(|_| labels.clone()),
        stage: &|does, rest| {
            one_of("do", "stage", does, ["train", "relearn", "measure"].into_iter())?;
            let params = if does == "relearn" { completed::<Relearn>(rest)?.1 } else { rest.clone() };
            Ok(StageInfo { params, makes_model: does != "measure", needs_model: does != "train" })
        },
    }
}

fn load(text: &str) -> Result<Recipe, RecipeError> {
    Ok(Written::from_str("recipe.toml", text)?.resolve(&callbacks())?.0)
}

/// Replaces the only occurrence of `from` and returns the error.
fn check(from: &str, to: &str, error: &str) {
    assert_eq!(QUICKSTART.matches(from).count(), 1, "{from:?} occurs once");
    let found = load(&QUICKSTART.replace(from, to)).map(|_| ()).unwrap_err();
    assert_eq!(found.to_string(), error);
}

fn check_set(argument: &str, error: &str) {
    let written = Written::from_str("recipe.toml", QUICKSTART).unwrap();
    let found = written.with_set(argument).and_then(|w| w.resolve(&callbacks())).map(|_| ()).unwrap_err();
    assert_eq!(found.to_string(), error);
}

fn with(preset: Option<&str>, sets: &[&str]) -> (Recipe, Vec<(String, String, String)>) {
    let mut written = Written::from_str("recipe.toml", QUICKSTART).unwrap().with_preset(preset).unwrap();
    for set in sets {
        written = written.with_set(set).unwrap();
    }
    let (recipe, derived) = written.resolve(&callbacks()).unwrap();
    (recipe, derived.into_iter().map(|d| (d.key, d.value, d.rule)).collect())
}

#[test]
fn a_typo_in_any_section_names_the_line_and_the_nearest_key() {
    check(
        "lr = 1e-3",
        "lerning_rate = 1e-3",
        "recipe.toml:25: train.lerning_rate: unknown key; did you mean \"lr\"?",
    );
    check("about =", "abuot =", "recipe.toml:2: abuot: unknown key; did you mean \"about\"?");
    check("layers = 4", "layer = 4", "recipe.toml:11: model.layer: unknown key; did you mean \"layers\"?");
    check(
        "recall = 0.9",
        "recal = 0.9",
        "recipe.toml:7: data.forget.recal: unknown key; did you mean \"recall\"?",
    );
    check(
        "strength",
        "strenght",
        "recipe.toml:19: arms.sgtm.strenght: unknown parameter \"strenght\"; did you mean \"strength\"?",
    );
    check("{ lr =", "{ lrr =", "recipe.toml:20: arms.lower.train.lrr: unknown key; did you mean \"lr\"?");
    check(
        "steps = 200",
        "stpes = 200",
        "recipe.toml:32: stage.relearn.stpes: unknown key; did you mean \"steps\"?",
    );
    check(
        "[presets.tiny.train]",
        "[presets.tiny.trian]",
        "recipe.toml:42: presets.tiny.trian: unknown key; did you mean \"train\"?",
    );
    check("[regions]", "[region]", "recipe.toml:13: region: unknown key; did you mean \"regions\"?");
}

#[test]
fn a_wrong_name_names_the_nearest() {
    check(
        "\"bilingual\"",
        "\"bilingal\"",
        "recipe.toml:6: data.kind: unknown kind of data \"bilingal\"; did you mean \"bilingual\"?",
    );
    check(
        "kind = \"gpt\"",
        "kind = \"gtp\"",
        "recipe.toml:10: model.kind: unknown kind of network \"gtp\"; valid: gpt, autoencoder",
    );
    check(
        "region = \"spanish\"",
        "region = \"spansh\"",
        "recipe.toml:19: arms.sgtm.region: unknown region \"spansh\"; did you mean \"spanish\"?",
    );
    check(
        "\"heads\", ",
        "\"head\", ",
        "recipe.toml:20: arms.lower.region[0]: unknown region \"head\"; did you mean \"heads\"?",
    );
    check(
        "\"freeze\"",
        "\"frozen\"",
        "recipe.toml:19: arms.sgtm.masked: unknown choice \"frozen\"; did you mean \"freeze\"?",
    );
    check(
        "\"retain only\"",
        "\"retain\"",
        "recipe.toml:21: arms.oracle.data: unknown choice \"retain\"; did you mean \"retain only\"?",
    );
    check(
        "do = \"measure\"",
        "do = \"mesure\"",
        "recipe.toml:37: stage.final.do: unknown stage \"mesure\"; did you mean \"measure\"?",
    );
    check(
        "[\"oracle\", \"sgtm\"]",
        "[\"oracle\",\n\"sgmt\"]",
        "recipe.toml:32: stage.relearn.arms[1]: unknown arm \"sgmt\"; did you mean \"sgtm\"?",
    );
    check(
        "from = \"train\"",
        "from = \"trian\"",
        "recipe.toml:35: stage.relearn-2.from: unknown earlier stage that makes a model \"trian\"; did you mean \"train\"?",
    );
    check(
        "from = \"train\"",
        "from = \"final\"",
        "recipe.toml:35: stage.relearn-2.from: unknown earlier stage that makes a model \"final\"; valid: train, relearn",
    );
    check(
        "steps = 200",
        "region = \"spanihs\"",
        "recipe.toml:32: stage.relearn.region: unknown region \"spanihs\"; did you mean \"spanish\"?",
    );
}

#[test]
fn wrong_types_and_ranges_name_value_and_range() {
    check("lr = 1e-3", "lr = \"fast\"", "recipe.toml:25: train.lr: expected a number, found \"fast\"");
    check(
        "steps = 1500",
        "steps = 1.5",
        "recipe.toml:24: train.steps: expected a whole number, zero or more, found 1.5",
    );
    check("steps = 1500", "steps = 0", "recipe.toml:24: train.steps: 0 is out of range 1 to 1000000000");
    check(
        "lr = 1e-3",
        "betas = [0.9, 1.0]",
        "recipe.toml:25: train.betas[1]: 1 is out of range: at least 0 and below 1",
    );
    check(
        "lr = 1e-3",
        "warmup = 1501",
        "recipe.toml:25: train.warmup: 1501 is out of range 0 to 1500 (the number of steps)",
    );
    check(
        "lr = 1e-3",
        "optimizer = \"adamx\"",
        "recipe.toml:25: train.optimizer: unknown choice \"adamx\"; did you mean \"adam\"?",
    );
    check("recall = 0.9", "recall = 1.9", "recipe.toml:7: data.forget.recall: 1.9 is out of range 0 to 1");
    check(
        "forget = 2 ",
        "forget = -2 ",
        "recipe.toml:20: arms.lower.loss_weight.forget: -2 is out of range 0 to 1000000",
    );
    check("seeds = 3", "seeds = 0", "recipe.toml:3: seeds: 0 is out of range 1 to 1000");
    check("seeds = 3", "seeds = [4, 5, 4]", "recipe.toml:3: seeds[2]: the seed 4 stands twice");
    check(
        "seeds = 3",
        "seeds = \"3\"",
        "recipe.toml:3: seeds: expected a whole number, zero or more, found \"3\"",
    );
    check("seeds = 3", "scale = -1", "recipe.toml:3: scale: -1 is out of range 0.000001 to 1000");
    check(
        "steps = 200",
        "steps = 0",
        "recipe.toml:32: stage.relearn.steps: 0 is out of range 1 to 1000000000",
    );
    check(
        "name  = \"quickstart\"",
        "name = \"../up\"",
        "recipe.toml:1: name: a recipe's name is 1 to 64 lower-case letters, digits, \"_\" or \"-\", found \"../up\"",
    );
    check("lr = 1e-3", "lr = nan", "recipe.toml:25: nan is not a finite number");
    check("lr = 1e-3", "lr = 2020-01-01", "recipe.toml:25: a date means nothing in a recipe; quote it");
    check(
        "layers = 4",
        "layers = 99999999999999999999",
        "recipe.toml:11: 99999999999999999999 does not fit into 64 bits",
    );
    check("{ method = \"none\" }", "\"none\"", "recipe.toml:18: arms.baseline: expected a table, found text");
}

#[test]
fn what_contradicts_itself_is_refused() {
    check(
        "baseline =",
        "Base_Line =",
        "recipe.toml:18: arms.Base_Line: an arm's name is 1 to 64 lower-case letters, digits, \"_\" or \"-\", found \"Base_Line\"",
    );
    check(
        "{ method = \"none\" }",
        "{ }",
        "recipe.toml:18: arms.baseline: the key \"method\" is missing (how the arm trains)",
    );
    check("kind = \"gpt\"", "width = 8", "recipe.toml:9: model: the key \"kind\" is missing (what it is)");
    check(
        "do = \"train\"",
        "do = \"relearn\"",
        "recipe.toml:27: stage.relearn: needs a model, but no earlier stage makes one",
    );
    check(
        "steps = 200",
        "name = \"final\"",
        "recipe.toml:38: stage.final.name: two stages are called \"final\"",
    );
}

#[test]
fn regions_are_parsed_where_they_stand() {
    check(
        "[-32..]+",
        "[-32..+",
        "recipe.toml:14: regions.spanish: expected \",\" or \"]\" at character 24 of \"blocks.*.mlp.post[-32..+blocks.*.attn.z[-1]\"",
    );
}

#[test]
fn broken_toml_names_the_line() {
    let error = load("name = \"x\"\nseeds = = 3\n").unwrap_err();
    assert_eq!((error.line, error.to_string().starts_with("recipe.toml:2: ")), (Some(2), true), "{error}");
    let deep = format!("name = {}{}", "[".repeat(60), "]".repeat(60));
    assert_eq!(load(&deep).unwrap_err().to_string(), "recipe.toml:1: nested deeper than 24 levels");
    let large = format!("# {}", "x".repeat(1 << 20));
    assert_eq!(
        load(&large).unwrap_err().to_string(),
        "recipe.toml: 1048578 bytes; a recipe has at most 1048576"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let error = Written::load(&path).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}: cannot be read: ", path.display())), "{error}");
    std::fs::write(&path, b"name = \"a\"\nabout = \"\xff\"\n").unwrap();
    let error = Written::load(&path).unwrap_err();
    assert_eq!((error.line, error.message.as_str()), (Some(2), "not UTF-8 text"));
    std::fs::write(&path, QUICKSTART).unwrap();
    assert_eq!(Written::load(&path).unwrap().text(), QUICKSTART);
}

#[test]
fn missing_sections_are_named() {
    let error = |text: &str| load(text).unwrap_err().to_string();
    assert_eq!(error(""), "recipe.toml: the key \"name\" is missing (the recipe's name)");
    assert_eq!(error("name = \"a\""), "recipe.toml: the table [data] is missing");
    let head = "name = \"a\"\n[data]\nkind = \"text\"\n[model]\nkind = \"gpt\"\n";
    assert_eq!(error(head), "recipe.toml: the table [arms] is missing: a recipe compares at least one arm");
    assert_eq!(error(&format!("{head}[arms]\n")), "recipe.toml:6: arms: 0 arms; 1 to 256 are possible");
    let arms = format!("{head}[arms]\na = {{ method = \"none\" }}\n");
    assert_eq!(error(&arms), "recipe.toml: no [[stage]]: a recipe has at least one");
    assert_eq!(
        error(&format!("{arms}[stage]\ndo = \"train\"")),
        "recipe.toml:8: stage: expected tables [[stage]], found a table"
    );
}

#[test]
fn everything_is_resolved() {
    let (recipe, derived) = with(None, &[]);
    assert_eq!(recipe.seeds, [0, 1, 2]);
    assert_eq!(recipe.model.value(), json!({"layers": 4, "width": 64}));
    assert_eq!(recipe.regions[0].text, "blocks.*.mlp.post[-32..] + blocks.*.attn.z[-1]");
    assert_eq!(
        recipe.arms.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(),
        ["baseline", "sgtm", "lower", "oracle"]
    );
    let sgtm = recipe.arm("sgtm").unwrap();
    assert_eq!((recipe.train_of(sgtm).masked, recipe.train.masked), (Masked::Freeze, Masked::ZeroGrad));
    assert_eq!(
        (sgtm.regions.as_slice(), sgtm.value()),
        (["spanish".to_owned()].as_slice(), json!({"strength": 0.5}))
    );
    let lower = recipe.arm("lower").unwrap();
    assert_eq!((recipe.train_of(lower).lr, recipe.train_of(lower).steps), (2e-4, 1500));
    assert_eq!((lower.loss_weight["forget"], lower.regions.len()), (2.0, 2));
    let oracle = recipe.arm("oracle").unwrap();
    assert_eq!((oracle.data, oracle.control, oracle.train.is_none()), (ArmData::RetainOnly, true, true));
    let stages: Vec<_> =
        recipe.stages.iter().map(|s| (s.name.as_str(), s.from.as_deref(), s.arms.len())).collect();
    let expected = [
        ("train", None, 4),
        ("relearn", Some("train"), 2),
        ("relearn-2", Some("train"), 4),
        ("final", Some("relearn-2"), 4),
    ];
    assert_eq!(stages, expected);
    assert_eq!(recipe.stages[1].arms, ["sgtm", "oracle"]);
    assert!(recipe.region("heads").is_some() && recipe.stage("final").is_some());
    let row = |k: &str, v: &str, r: &str| (k.to_owned(), v.to_owned(), r.to_owned());
    for expected in [
        row("seeds", "0 to 2", "the first 3 from 0"),
        row("train.warmup", "75", "train.steps / 20"),
        row("train.eval_every", "75", "train.steps / 20, at least 1"),
        row("train.log_every", "15", "train.steps / 100, at least 1"),
        row("arms.oracle.control", "true", "trains on \"retain only\""),
        row("stage.relearn.from", "train", "the last earlier stage that makes a model"),
    ] {
        assert!(derived.contains(&expected), "{expected:?} in {derived:#?}");
    }
}

#[test]
fn the_dial_scales_every_number_of_steps() {
    let (recipe, derived) =
        with(None, &["scale=0.1", "train.warmup=100", "arms.lower.train={steps=50,warmup=20}"]);
    assert_eq!((recipe.train.steps, recipe.train.warmup), (150, 10));
    assert_eq!(recipe.arm("lower").unwrap().train.as_ref().unwrap().steps, 5);
    assert_eq!(
        (&recipe.stages[1].params["steps"], &recipe.stages[2].params["steps"]),
        (&json!(20), &json!(10))
    );
    let rule = |key: &str| derived.iter().find(|d| d.0 == key).map(|d| (d.1.as_str(), d.2.as_str()));
    assert_eq!(rule("train.steps"), Some(("150", "scale 0.1 × 1500")));
    assert_eq!(rule("train.warmup"), Some(("10", "scale 0.1 × 100")));
    assert_eq!(rule("stage.relearn-2.steps"), Some(("10", "scale 0.1 × 100")));
    assert_eq!(rule("arms.lower.train.steps"), Some(("5", "scale 0.1 × 50")));
    assert_eq!(with(None, &["scale=0.00001"]).0.train.steps, 1);
}

#[test]
fn presets_merge_and_stages_go_by_name() {
    let tiny = with(Some("tiny"), &[]).0;
    assert_eq!((tiny.seeds.len(), tiny.train.steps, tiny.train.lr), (1, 20, 1e-3));
    assert_eq!((&tiny.stages[1].params["steps"], &tiny.stages[2].params["steps"]), (&json!(200), &json!(5)));
    let paper = with(Some("paper"), &[]).0;
    assert_eq!((paper.seeds.len(), paper.train.steps, paper.data.kind.as_str()), (5, 3000, "text"));
    // The keys of the old kind went with it.
    assert_eq!(paper.data.params["forget"]["language"], "");
    let written = Written::from_str("recipe.toml", QUICKSTART).unwrap();
    assert_eq!(written.presets(), ["tiny", "paper"]);
    written.check_presets(&callbacks()).unwrap();
    let error = written.with_preset(Some("tny")).unwrap_err().to_string();
    assert_eq!(error, "recipe.toml: unknown preset \"tny\"; did you mean \"tiny\"?");
    let bad = QUICKSTART.replace("[presets.tiny.stage.relearn-2]", "[presets.tiny.stage.relern-2]");
    let error = Written::from_str("recipe.toml", &bad).unwrap().check_presets(&callbacks()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "recipe.toml:44: presets.tiny.stage: no entry is called \"relern-2\"; did you mean \"relearn-2\"?"
    );
    let bad = QUICKSTART.replace("steps = 20\n", "stpes = 20\n");
    let error = Written::from_str("recipe.toml", &bad).unwrap().check_presets(&callbacks()).unwrap_err();
    assert_eq!(error.to_string(), "recipe.toml:43: train.stpes: unknown key; did you mean \"steps\"?");
}

#[test]
fn set_overrides_one_key_and_is_named_in_errors() {
    let sets = [
        "train.lr=0.5",
        "train.optimizer=sgd",
        "seeds=[7, 9]",
        "stage.relearn.steps=3",
        "arms.new.method=none",
    ];
    let recipe = with(Some("tiny"), &sets).0;
    assert_eq!((recipe.train.lr, recipe.seeds.as_slice(), recipe.arms.len()), (0.5, [7, 9].as_slice(), 5));
    assert_eq!(recipe.stages[1].params["steps"], 3);
    check_set("train.lr=abc", "--set train.lr=abc: train.lr: expected a number, found \"abc\"");
    check_set("train.lrr=1", "--set train.lrr=1: train.lrr: unknown key; did you mean \"lr\"?");
    check_set("trian.lr=1", "--set trian.lr=1: trian: unknown key; did you mean \"train\"?");
    check_set("train.lr", "--set train.lr: expected KEY=VALUE, for example train.lr=0.001");
    check_set("train..lr=1", "--set train..lr=1: \"train..lr\" is not a dotted key");
    check_set(
        "stage.relern.steps=3",
        "--set stage.relern.steps=3: stage: no entry is called \"relern\"; did you mean \"relearn\"?",
    );
    check_set(
        "arms.sgtm.region=heds",
        "--set arms.sgtm.region=heds: arms.sgtm.region: unknown region \"heds\"; did you mean \"heads\"?",
    );
}

#[test]
fn the_resolved_form_is_complete_and_loads_as_itself() {
    for (preset, sets) in
        [(None, vec![]), (Some("tiny"), vec!["scale=0.3"]), (Some("paper"), vec!["train.clip=1"])]
    {
        let (recipe, _) = with(preset, &sets);
        let toml = recipe.to_toml();
        let again = load(&toml).unwrap_or_else(|e| panic!("{e}\n{toml}"));
        assert_eq!(again, recipe, "{toml}");
        assert_eq!((again.to_toml(), again.hash()), (toml, recipe.hash()));
        let json: Recipe = serde_json::from_value(serde_json::to_value(&recipe).unwrap()).unwrap();
        assert_eq!(json, recipe);
    }
}

#[test]
fn the_hash_follows_meaning_not_spelling() {
    let hash = |text: &str| load(text).unwrap().hash();
    let plain = hash(QUICKSTART);
    assert_eq!(plain.len(), 64);
    assert_eq!(plain, hash(&QUICKSTART.replace("seeds = 3", "seeds = [0, 1, 2] # three")));
    assert_eq!(plain, hash(&QUICKSTART.replace("[-32..]+", "[-32..]  +  ")));
    assert_ne!(plain, hash(&QUICKSTART.replace("steps = 1500", "steps = 1501")));
    assert_ne!(plain, hash(&QUICKSTART.replace("seeds = 3", "seeds = [0, 2, 1]")));
}

#[test]
fn the_schema_describes_every_key() {
    let schema = serde_json::to_value(json_schema()).unwrap();
    let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 12, "{keys:?}");
    let train = schema["$defs"]["Train"]["properties"].as_object().unwrap();
    for (key, value) in train {
        let described = value["description"].is_string() || value["$ref"].is_string();
        assert!(described, "{key}: {value}");
    }
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn entries_of_other_lists_go_by_number() {
    let text = QUICKSTART.replace("layers = 4", "parts = [{ width = 1 }, { width = 2 }]");
    let written = Written::from_str("recipe.toml", &text).unwrap().with_set("model.parts.1.width=7").unwrap();
    let recipe = written.resolve(&Callbacks::permissive()).unwrap().0;
    assert_eq!(recipe.model.params["parts"], json!([{"width": 1}, {"width": 7}]));
    let error = written.with_set("model.parts.2.width=7").unwrap_err().to_string();
    assert_eq!(error, "--set model.parts.2.width=7: model.parts: no entry is called \"2\"");
}

#[test]
fn long_and_deep_overrides_are_refused() {
    let deep = format!("{}=1", ["a"; 30].join("."));
    check_set(&deep, &format!("--set {deep}: too long"));
    let nested = format!("model.x={}1{}", "[".repeat(23), "]".repeat(23));
    check_set(&nested, &format!("--set {nested}: nested deeper than 24 levels"));
    check_set("model.x=[1,", "--set model.x=[1,: unclosed array, expected `]`");
}

#[test]
fn random_damage_makes_no_recipe_that_cannot_be_saved() {
    let mut rng = lobe_core::Key::root(5).child("damage").rng();
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        "=",
        "\"",
        "\n",
        "'''",
        ".",
        "-",
        "9e9",
        "nan",
        "arms",
        "scale = 7\n",
        "\u{7f}",
        "é",
        "#",
    ];
    let rounds = std::env::var("LOBE_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(300);
    for _ in 0..rounds {
        let mut text: Vec<char> = QUICKSTART.chars().collect();
        for _ in 0..=rng.below(4) {
            let at = rng.below(text.len());
            match rng.below(4) {
                0 => drop(text.drain(at..(at + rng.below(30)).min(text.len()))),
                1 => drop(text.splice(at..at, rng.choose(&pieces).chars())),
                2 => text[at] = char::from(rng.below(128) as u8),
                _ => {
                    let from = rng.below(text.len());
                    let copy: Vec<char> = text[from..].iter().take(1 + rng.below(40)).copied().collect();
                    drop(text.splice(at..at, copy));
                }
            }
        }
        fuzz_recipe(&text.into_iter().collect::<String>());
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    fuzz_recipe(QUICKSTART);
    for i in (0..QUICKSTART.len()).step_by(7) {
        fuzz_recipe(&QUICKSTART[..i]);
        fuzz_recipe(&format!("{}{}", &QUICKSTART[..i], &QUICKSTART[i + 1..]));
        fuzz_recipe(&format!("{}[{}", &QUICKSTART[..i], &QUICKSTART[i..]));
    }
    for text in [
        "\u{0}",
        "a.b.c.d = 1",
        "[[presets]]",
        "presets = 3",
        "[presets]\nx = 1",
        "[[stage]]\n[stage.x]",
        "scale = 1e-6",
        "[arms]\na = []",
    ] {
        fuzz_recipe(text);
    }
}
