//! What is refused, and in which words.

use super::*;

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
        "momentum = 0.9",
        "recipe.toml:25: train.momentum: unknown key for adamw; it is a parameter of sgd and muon",
    );
    check(
        "lr = 1e-3",
        "btas = [0.9, 0.99]",
        "recipe.toml:25: train.btas: unknown key; did you mean \"betas\"?",
    );
    check(
        "lr = 1e-3",
        "optimiser = \"muon\"\niterations = 0",
        "recipe.toml:26: train.iterations: 0 is out of range 1 to 20",
    );
    check(
        "lr = 1e-3",
        "optimiser = \"sgd\"\nmomentum = \"much\"",
        "recipe.toml:26: train.momentum: expected a number, found \"much\"",
    );
    check(
        "lr = 1e-3",
        "warmup = 1501",
        "recipe.toml:25: train.warmup: 1501 is out of range 0 to 1500 (the number of steps)",
    );
    check(
        "lr = 1e-3",
        "optimiser = \"adamx\"",
        "recipe.toml:25: train.optimiser: unknown choice \"adamx\"; did you mean \"adam\"?",
    );
    check(
        "lr = 1e-3",
        "optimizer = \"adam\"",
        "recipe.toml:25: train.optimizer: unknown key; did you mean \"optimiser\"?",
    );
    check("recall = 0.9", "recall = 1.9", "recipe.toml:7: data.forget.recall: 1.9 is out of range 0 to 1");
    check(
        "forget = 2 ",
        "forget = -2 ",
        "recipe.toml:20: arms.lower.loss_weight.forget: -2 is out of range 0 to 1000000",
    );
    check("seeds = 3", "seeds = 0", "recipe.toml:3: seeds: 0 is out of range 1 to 1000");
    check("seeds = 3", "seeds = [4, 5, 4]", "recipe.toml:3: seeds[2]: the seed 4 is listed twice");
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
