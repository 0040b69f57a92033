//! What is merged, what is derived, and what cannot break the parser.

use super::*;

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
    assert_eq!(
        (oracle.data.clone(), oracle.control, oracle.train.is_none()),
        (ArmData::RetainOnly, true, true)
    );
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
        "train.optimiser=sgd",
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
fn an_optimiser_has_its_own_parameters_and_no_others() {
    let recipe = with(None, &["train.betas=[0.9, 0.95]"]).0;
    let rule = serde_json::json!({ "betas": [0.9, 0.95], "eps": 1e-8, "amsgrad": false });
    assert_eq!(serde_json::Value::Object(recipe.train.rule.clone()), rule);
    // An arm with another optimiser does not have the parameters of the recipe's.
    let sets = [
        "train.betas=[0.9, 0.95]",
        "train.eps=1e-6",
        "arms.sgtm.train.optimiser=sgd",
        "arms.sgtm.train.momentum=0.5",
        "arms.lower.train.optimiser=muon",
        "arms.lower.train.eps=1e-7",
    ];
    let recipe = with(None, &sets).0;
    let rule = |arm: &str| serde_json::to_value(&recipe.train_of(recipe.arm(arm).unwrap()).rule).unwrap();
    assert_eq!(rule("sgtm"), serde_json::json!({ "momentum": 0.5 }));
    let muon = rule("lower");
    assert_eq!((&muon["eps"], &muon["betas"]), (&serde_json::json!(1e-7), &serde_json::json!([0.9, 0.95])));
    assert_eq!((&muon["momentum"], &muon["iterations"]), (&serde_json::json!(0.95), &serde_json::json!(5)));
    assert_eq!(load(&recipe.to_toml()).unwrap(), recipe);
    check_set(
        "arms.sgtm.train.momentum=0.5",
        "--set arms.sgtm.train.momentum=0.5: arms.sgtm.train.momentum: unknown key for adamw; it is a parameter of \
         sgd and muon",
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
        let mut json: Recipe = serde_json::from_value(serde_json::to_value(&recipe).unwrap()).unwrap();
        // What is known of kinds is not written down.
        json.stages.iter_mut().zip(&recipe.stages).for_each(|(j, r)| j.facts = r.facts);
        json.arms.iter_mut().zip(&recipe.arms).for_each(|(j, r)| j.kind = r.kind);
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
    assert_eq!(keys.len(), 13, "{keys:?}");
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
    let recipe = written.resolve(&lobe_lab::schedule::permissive()).unwrap().0;
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
        fuzz(&text.into_iter().collect::<String>());
    }
}

#[test]
fn no_text_makes_the_parser_panic() {
    fuzz(QUICKSTART);
    for i in (0..QUICKSTART.len()).step_by(7) {
        fuzz(&QUICKSTART[..i]);
        fuzz(&format!("{}{}", &QUICKSTART[..i], &QUICKSTART[i + 1..]));
        fuzz(&format!("{}[{}", &QUICKSTART[..i], &QUICKSTART[i..]));
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
        fuzz(text);
    }
}

/// As it is, and with what data, models, methods and stages accept.
fn fuzz(text: &str) {
    fuzz_recipe(text, &lobe_lab::schedule::permissive());
    fuzz_recipe(text, &lobe_lab::schedule::callbacks());
}
