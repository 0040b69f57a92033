//! What arms share and what sets them apart: profiles of one network, several topics, one training for arms
//! that come to the same, and what is said about a recipe before it is paid for.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::Path;

use common::{results_of, values};
use lobe_lab::plan::Experiment;
use lobe_lab::plan::read_weights;
use lobe_lab::recipe::{ARM_KEYS, STAGE_KEYS, Written};
use lobe_lab::schedule::resolve;
use lobe_lab::{Concern, advice};
use lobe_methods::remove::ablate::zero;
use lobe_methods::{LOCALIZE, ParamDoc, UNLEARN};
use serde_json::Value;

/// Sums and differences are kept; products and quotients are two topics that an arm may hold in two modules.
fn topics(arms: &str, stages: &str) -> Written {
    let text = format!(
        r#"
name = "topics"
seeds = 1
[data]
kind = "arithmetic"
documents = 80
test_documents = 8
word_problems = 0.0
largest_term = 12
largest_factor = 8
seq = 6
probes = 8
forget = {{ class = "mul" }}
retain = {{ class = ["add", "sub"] }}
labels = {{ quotients = {{ class = "div" }} }}
batches = "one-class"
[model]
kind = "gpt"
layers = 1
width = 16
heads = 2
mlp = 32
[regions]
products = "blocks.*.mlp.post[-8..]"
division = "blocks.*.mlp.post[-16..-8]"
[train]
steps = 24
batch = 8
lr = 1e-2
[arms.baseline]
method = "none"
[arms.modular]
method = "modular"
region = ["products", "division"]
topics = ["forget", "quotients"]
{arms}
[[stage]]
do = "train"
{stages}
"#
    );
    Written::from_str("topics.toml", &text).unwrap()
}

const PROFILES: &str = r#"
[arms.oracle]
method = "none"
data = { without = ["forget", "quotients"] }
[arms.core]
from = "modular"
method = "none"
region = ["products", "division"]
[arms.products]
from = "modular"
method = "none"
region = "division"
"#;
const CUT_AND_ATTACK: &str = r#"
[[stage]]
do = "ablate"
arms = ["oracle", "core", "products"]
[[stage]]
do = "few-shot"
name = "few-products"
arms = ["oracle", "core"]
examples = [2]
lrs = [1e-2]
steps = 2
[[stage]]
do = "few-shot"
name = "few-quotients"
label = "quotients"
examples = [2]
arms = ["oracle", "core", "products"]
lrs = [1e-2]
steps = 2
[[stage]]
do = "measure"
"#;

/// Two labels with a labeller of some recall, and arms that differ in how they leave Spanish out.
fn filtered(recall: &str, arms: &str) -> Written {
    let rest = format!(
        r#"
[train]
steps = 20
batch = 4
lr = 1e-2
[arms.baseline]
method = "none"
{arms}
[[stage]]
do = "train"
[[stage]]
do = "ablate"
[[stage]]
do = "few-shot"
examples = [2]
lrs = [1e-2]
steps = 2
[[stage]]
do = "measure"
"#
    );
    Written::from_str("filtered.toml", &(common::small(recall) + &rest)).unwrap()
}

const FILTER: &str = "[arms.filter]\nmethod = \"filter\"\n";
const ORACLE: &str = "[arms.oracle]\nmethod = \"none\"\ndata = \"retain only\"\n";

/// The refusal of a recipe, from reading it or from holding it against data and network.
fn refusal(written: &Written) -> String {
    match resolve(written) {
        Err(e) => e.to_string(),
        Ok((r, _)) => Experiment::open(&r).err().map_or_else(String::new, |e| e.to_string()),
    }
}

fn experiment(written: &Written) -> Experiment {
    Experiment::open(&resolve(written).unwrap().0).unwrap()
}

fn model(dir: &Path, stage: &str, arm: &str, seed: u64) -> Vec<f32> {
    let file = dir.join(format!("stages/{stage}/{arm}.{seed}/model.safetensors"));
    read_weights(&file).unwrap().params.to_vec()
}

fn json(dir: &Path, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join(file)).unwrap()).unwrap()
}

fn manifest_arm(dir: &Path, name: &str) -> Value {
    let manifest = json(dir, "manifest.json");
    manifest["arms"].as_array().unwrap().iter().find(|a| a["name"] == name).unwrap().clone()
}

#[test]
fn no_parameter_has_the_name_of_a_key_of_its_table() {
    let mut arms: Vec<(&str, Vec<ParamDoc>)> = Vec::new();
    arms.extend(LOCALIZE.iter().map(|e| (e.about.name, (e.params)())));
    arms.extend(UNLEARN.iter().map(|e| (e.about.name, (e.params)())));
    let stages: Vec<(&str, Vec<ParamDoc>)> =
        lobe_lab::stages::every().iter().map(|e| (e.about.name, (e.params)())).collect();
    assert!(stages.len() > 20, "{} stages", stages.len());
    let mut seen = 0;
    for (all, taken) in [(arms, &ARM_KEYS[..]), (stages, &STAGE_KEYS[..])] {
        for (name, params) in all {
            seen += params.len();
            let hit = params.iter().find(|p| taken.contains(&p.name.as_str()));
            assert!(hit.is_none(), "{name}: the parameter {hit:?} cannot be written in a recipe");
        }
    }
    assert!(seen > 60, "only {seen} parameters were looked at");
}

#[test]
fn profiles_of_one_network_are_cut_measured_and_attacked_each_for_what_it_lost() {
    let dir = tempfile::tempdir().unwrap();
    let written = topics(PROFILES, CUT_AND_ATTACK);
    common::go(&written, dir.path(), 2, false).unwrap();
    let x = experiment(&written);
    for (arm, regions) in [("core", &["products", "division"][..]), ("products", &["division"])] {
        let mut cut = model(dir.path(), "train", "modular", 0);
        for region in regions {
            zero(x.layout(), &mut cut, &x.region(region).unwrap());
        }
        assert_eq!(model(dir.path(), "ablate", arm, 0), cut, "{arm}");
        assert!(!dir.path().join(format!("stages/train/{arm}.0")).exists(), "{arm} was trained");
    }
    let csv = results_of(dir.path());
    let count = |what| values(&csv, what).len();
    for label in ["forget", "retain", "quotients"] {
        for arm in ["core", "products"] {
            assert_eq!(count(["ablate", arm, label, "loss"]), 1, "{arm}, {label}");
        }
    }
    // The gap is closed for what an arm is to be without, and for nothing else.
    assert_eq!(count(["ablate", "core", "forget", "gap_closed"]), 1);
    assert_eq!(count(["ablate", "core", "quotients", "gap_closed"]), 1);
    assert_eq!(count(["ablate", "products", "quotients", "gap_closed"]), 1);
    assert_eq!(count(["ablate", "products", "forget", "gap_closed"]), 0);
    for (stage, label, arm) in [
        ("few-products", "forget", "core"),
        ("few-quotients", "quotients", "core"),
        ("few-quotients", "quotients", "products"),
    ] {
        for metric in ["attack_best", "baseline_start", "control_start"] {
            assert_eq!(count([stage, arm, label, metric]), 1, "{stage}, {arm}, {metric}");
        }
    }
    let of = |name: &str, key: &str| manifest_arm(dir.path(), name)[key].clone();
    assert_eq!((of("core", "kind"), of("core", "from")), ("profile".into(), "modular".into()));
    assert_eq!(of("core", "removes"), serde_json::json!(["forget", "quotients"]));
    assert_eq!(of("products", "removes"), serde_json::json!(["quotients"]));
    assert_eq!(of("modular", "removes"), serde_json::json!([]), "nothing is cut out of it");
    assert_eq!(
        (of("baseline", "kind"), of("baseline", "removes")),
        ("reference".into(), serde_json::json!([]))
    );
    assert_eq!((of("oracle", "kind"), of("oracle", "control")), ("control".into(), true.into()));
    assert_eq!(of("oracle", "removes"), serde_json::json!(["forget", "quotients"]));
    // The saved recipe is the recipe.
    let saved = Written::load(&dir.path().join("resolved.toml")).unwrap();
    assert_eq!(resolve(&saved).unwrap().0, resolve(&written).unwrap().0);
    let before = std::fs::metadata(dir.path().join("stages/ablate/core.0/model.safetensors")).unwrap();
    common::go(&written, dir.path(), 1, false).unwrap();
    let after = std::fs::metadata(dir.path().join("stages/ablate/core.0/model.safetensors")).unwrap();
    assert_eq!(before.modified().unwrap(), after.modified().unwrap(), "a second run does nothing again");
    assert_eq!(results_of(dir.path()), csv);
}

#[test]
fn a_stage_that_names_its_models_finds_a_profile_s_there_too() {
    let stages = "[[stage]]\ndo = \"ablate\"\n[[stage]]\ndo = \"ablate\"\nname = \"again\"\nfrom = \"train\"\n\
                  region = \"products\"\narms = [\"products\"]\n";
    let dir = tempfile::tempdir().unwrap();
    let written = topics(PROFILES, stages);
    common::go(&written, dir.path(), 2, false).unwrap();
    let x = experiment(&written);
    let mut cut = model(dir.path(), "train", "modular", 0);
    zero(x.layout(), &mut cut, &x.region("products").unwrap());
    assert_eq!(model(dir.path(), "again", "products", 0), cut, "not the model that was cut before");
}

#[test]
fn what_a_profile_and_a_topic_cannot_be_is_refused() {
    let arm = |text: &str| refusal(&topics(text, "[[stage]]\ndo = \"ablate\"\n"));
    let cases = [
        (
            "[arms.a]\nfrom = \"modular\"\nmethod = \"none\"\ntrain = { steps = 3 }",
            "goes on training another arm's model: a later stage has to do it",
        ),
        (
            "[arms.a]\nfrom = \"modular\"\nmethod = \"none\"\nmasked = \"freeze\"",
            "trains nothing; it takes no masked",
        ),
        (
            "[arms.a]\nfrom = \"modular\"\nmethod = \"sgtm\"\nregion = \"products\"",
            "goes on training another arm's model: a later stage has to do it",
        ),
        (
            "[arms.a]\nfrom = \"modular\"\nmethod = \"none\"\nmodel = { mlp = 8 }",
            "model: the arm starts from another arm's model, whose network it has",
        ),
        (
            "[arms.a]\nmethod = \"none\"\nmodel = { widht = 8 }",
            "model.widht: unknown key; did you mean \"width\"?",
        ),
        (
            "[arms.a]\nmethod = \"none\"\nweights = \"naive\"",
            "a network of the kind gpt has no weights set by hand",
        ),
        (
            "[arms.a]\nfrom = \"modlar\"\nmethod = \"none\"",
            "unknown earlier arm \"modlar\"; did you mean \"modular\"?",
        ),
        (
            "[arms.a]\nmethod = \"modular\"\nregion = \"products\"\ntopics = [\"forget\", \"quotients\"]",
            "topics: 2 topics for 1 region: a region for each topic, in the same order",
        ),
        (
            "[arms.a]\nmethod = \"modular\"\nregion = \"products\"\ntopics = [\"quotient\"]",
            "topics.0: no label \"quotient\"; did you mean \"quotients\"?",
        ),
        (
            "[arms.a]\nmethod = \"sgtm\"",
            "sgtm takes 1 region, none is named; write region = \"products\" (of products, division)",
        ),
        ("[arms.a]\nmethod = \"filter\"\nregion = \"products\"", "filter takes no region, found 1"),
        ("[arms.a]\nmethod = \"none\"\ndata = { without = [] }", "data.without: an empty list"),
        (
            "[arms.a]\nmethod = \"none\"\ndata = { without = [\"quotient\"] }",
            "data.without.0: unknown label \"quotient\"; did you mean \"quotients\"?",
        ),
        ("[arms.a]\nmethod = \"none\"\ndata = { without = [\"unlabelled\"] }", "so nothing is left out"),
    ];
    for (text, want) in cases {
        let found = arm(text);
        assert!(found.contains(want), "{text}\n  says {found}\n  not  {want}");
    }
}

#[test]
fn a_filter_of_two_topics_is_the_control_of_both_when_the_labeller_misses_nothing() {
    let filter = "[arms.filter]\nmethod = \"filter\"\ntopics = [\"forget\", \"quotients\"]\n\
                  [arms.one]\nmethod = \"filter\"\n[arms.oracle]\nmethod = \"none\"\n\
                  data = { without = [\"forget\", \"quotients\"] }\n";
    let x = experiment(&topics(filter, ""));
    let of = |name: &str| x.arms.iter().find(|a| a.arm.name == name).unwrap();
    let names = |name: &str| -> Vec<&str> { of(name).removes.iter().map(|l| x.labels.name(*l)).collect() };
    assert_eq!((names("filter"), names("one")), (vec!["forget", "quotients"], vec!["forget"]));
    let same = of("oracle").same_as.map(|i| x.arms[i].arm.name.as_str());
    assert_eq!((same, of("one").same_as, of("filter").same_as), (Some("filter"), None, None));
}

#[test]
fn arms_that_come_to_one_network_are_trained_once_and_to_the_same_bits() {
    let (both, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shared = filtered("", &format!("{FILTER}{ORACLE}"));
    common::go(&shared, both.path(), 2, false).unwrap();
    common::go(&filtered("", ORACLE), alone.path(), 2, false).unwrap();
    for seed in 0..2 {
        for stage in ["train", "ablate"] {
            let trained = model(alone.path(), stage, "oracle", seed);
            assert_eq!(model(both.path(), stage, "oracle", seed), trained);
            assert_eq!(model(both.path(), stage, "filter", seed), trained);
        }
        for stage in ["train", "ablate", "few-shot"] {
            let status = |arm: &str| json(both.path(), &format!("stages/{stage}/{arm}.{seed}/status.json"));
            assert_eq!(
                (&status("oracle")["same_as"], &status("filter")["same_as"]),
                (&"filter".into(), &Value::Null)
            );
        }
    }
    // The rows of both arms are there, and the oracle's are those of a run that trained it.
    let rows = |dir: &Path, arm: &str| -> Vec<String> {
        let all = results_of(dir);
        all.lines()
            .filter(|l| l.split(',').nth(1) == Some(arm))
            .map(|l| l.replace(&format!(",{arm},"), ",,"))
            .collect()
    };
    assert_eq!(rows(both.path(), "oracle"), rows(alone.path(), "oracle"));
    let attacked = |arm| -> Vec<String> {
        rows(both.path(), arm).into_iter().filter(|l| l.starts_with("few-shot,")).collect()
    };
    assert!(!attacked("filter").is_empty());
    assert_eq!(attacked("filter"), attacked("oracle"));
    assert_eq!(manifest_arm(both.path(), "oracle")["same_as"], "filter");
    let notes = json(both.path(), "manifest.json")["notes"].to_string();
    assert!(notes.contains("filter and oracle see the same examples"), "{notes}");
    // Now the labeller misses some: the arms part, and the oracle stays what it was.
    let parted = filtered(", recall = 0.8", &format!("{FILTER}{ORACLE}"));
    assert!(experiment(&parted).arms.iter().all(|a| a.same_as.is_none()));
}

#[test]
fn what_differs_in_training_is_not_shared() {
    let arms = [
        "[arms.filter]\nmethod = \"filter\"\ntrain = { lr = 2e-2 }\n",
        "[arms.filter]\nmethod = \"filter\"\nloss_weight = { retain = 2.0 }\n",
        "[arms.filter]\nmethod = \"sgtm\"\nregion = \"module\"\n",
    ];
    for arm in arms {
        let x = experiment(&filtered("", &format!("{arm}{ORACLE}")));
        assert!(x.arms.iter().all(|a| a.same_as.is_none()), "{arm}");
    }
    // Equal training, other cuts: one network, and two models after the cut.
    let cut = "[arms.plain]\nmethod = \"none\"\nregion = \"module\"\n";
    let dir = tempfile::tempdir().unwrap();
    common::go(&filtered("", &format!("{cut}{ORACLE}")), dir.path(), 2, false).unwrap();
    assert_eq!(model(dir.path(), "train", "plain", 0), model(dir.path(), "train", "baseline", 0));
    assert_ne!(model(dir.path(), "ablate", "plain", 0), model(dir.path(), "ablate", "baseline", 0));
}

#[test]
fn advice_names_what_a_recipe_cannot_say() {
    let of = |written: &Written| -> Vec<(Concern, bool)> {
        advice(&experiment(written)).into_iter().map(|a| (a.concern, a.warning)).collect()
    };
    let text = |written: &Written, concern| {
        let all = advice(&experiment(written));
        all.into_iter().find(|a| a.concern == concern).map(|a| a.text).unwrap_or_default()
    };
    let none = filtered("", FILTER);
    assert_eq!(of(&none), [(Concern::NoControl, true), (Concern::Seeds, true)]);
    let said = text(&none, Concern::NoControl);
    assert!(
        said.contains("without a control nothing will be called removed") && said.contains("\"retain only\""),
        "{said}"
    );
    let alike = filtered("", &format!("{FILTER}{ORACLE}"));
    assert_eq!(of(&alike), [(Concern::Seeds, true), (Concern::SameTraining, false)]);
    assert!(text(&alike, Concern::Seeds).contains("8.98"));
    let apart = filtered(", recall = 0.8", &format!("{FILTER}{ORACLE}"));
    assert_eq!(of(&apart.clone().with_set("seeds=5").unwrap()), [(Concern::Seeds, false)]);
    let unattacked = apart.with_set("stage.few-shot.arms=[\"filter\"]").unwrap();
    assert_eq!(of(&unattacked), [(Concern::ControlNotAttacked, true), (Concern::Seeds, true)]);
    assert!(text(&unattacked, Concern::ControlNotAttacked).contains("Add \"oracle\" to its arms"));
    // A control of one topic is none of the other.
    let one = "[arms.core]\nfrom = \"modular\"\nmethod = \"none\"\nregion = [\"products\", \"division\"]\n\
               [arms.oracle]\nmethod = \"none\"\ndata = \"retain only\"\n";
    let said = text(&topics(one, "[[stage]]\ndo = \"ablate\"\n"), Concern::NoControl);
    assert!(
        said.contains("no arm never saw \"quotients\"") && said.contains("{ without = [\"quotients\"] }"),
        "{said}"
    );
    // Nothing is to be removed and there is nothing to compare.
    assert_eq!(of(&filtered("", "")), []);
}
