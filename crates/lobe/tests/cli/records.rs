//! Records of real runs, and numbers over several of them.

use crate::TINY;
use crate::process::Place;

#[test]
fn a_record_is_written_from_a_run_and_never_over_somebodys_page() {
    let place = Place::new();
    let target = |metric: &str| {
        format!(
            "[[target]]\narm = \"sgtm\"\nlabel = \"forget\"\nmetric = {metric:?}\nvalue = 1000\nneed = \"at-most\"\n\
             source = \"a paper\"\n"
        )
    };
    place.write("wrong.toml", &format!("{TINY}\n{}", target("loss").replace("\"sgtm\"", "\"sgmt\"")));
    place.lobe(&["check", "wrong.toml"]).refuses(&["target", "did you mean \"sgtm\""]);
    place.write("wrong.toml", &format!("{TINY}\n{}", target("loss").replace("\"forget\"", "\"forgot\"")));
    place.lobe(&["check", "wrong.toml"]).refuses(&["target", "did you mean \"forget\""]);
    place.write("tiny.toml", &format!("{TINY}\n{}{}", target("loss"), target("sharpness")));
    place.lobe(&["run", "tiny.toml", "--out", "run", "--quiet"]).ends(0);
    let args = ["record", "run"];
    let said = place.lobe(&args).ends(0);
    for words in [
        "lobe run tiny.toml",
        "Recipe hash ",
        "## loss",
        "| forget | sgtm |",
        "## Targets",
        "| at most 1000 | met | a paper |",
        "| not measured | a paper |",
    ] {
        assert!(said.out.contains(words), "{words:?} is missing in\n{}", said.out);
    }
    // The same text in a file, as often as one likes.
    for _ in 0..2 {
        place.lobe(&[&args[..], &["--out", "tables.md"]].concat()).ends(0);
        assert_eq!(place.read("tables.md"), said.out.as_bytes());
    }
    place.write("README.md", "# By hand\n");
    place.lobe(&["record", "run", "--out", "README.md"]).refuses(&["README.md", "not written by"]);
    assert_eq!(place.read("README.md"), b"# By hand\n");
    let said = place.lobe(&["record", "run", "--out", "nowhere/tables.md"]);
    let said = said.refuses(&["cannot be written", "nowhere/tables.md"]);
    assert_eq!(said.err.matches("os error").count(), 1, "told once: {}", said.err);
    place.lobe(&["record", "nowhere"]).ends(2);
}

#[test]
fn a_penalty_needs_three_sizes_and_holds_every_arm_against_the_plain_ones() {
    let place = Place::new();
    let removal = "[unlearn]\nsteps = 3\nbatch = 4\n[arms.npo]\nmethod = \"npo\"\nfrom = \"baseline\"\n\
        [arms.further]\nmethod = \"maxent\"\nfrom = \"npo\"\n[[stage]]\ndo = \"unlearn\"\n";
    place.write("tiny.toml", &format!("{TINY}\n{removal}[[stage]]\ndo = \"measure\"\nname = \"last\"\n"));
    let dirs = ["four", "twelve", "forty"];
    for (dir, steps) in dirs.iter().zip([4, 12, 40]) {
        let set = format!("train.steps={steps}");
        place.lobe(&["run", "tiny.toml", "--set", &set, "--out", dir, "--quiet"]).ends(0);
    }
    let said = place.lobe(&[&["penalty"][..], &dirs].concat()).ends(0);
    assert!(said.out.contains("retain: L = ") && said.out.contains("penalty"), "{}", said.out);
    let rows = place.lobe(&[&["penalty", "--json"][..], &dirs].concat()).ends(0).json();
    let of = |arm: &str| rows.as_array().unwrap().iter().filter(|r| r["arm"] == arm).count();
    assert_eq!((of("baseline"), of("sgtm")), (0, 2 * dirs.len()), "each size, both labels");
    // By hand, from the law and the row's own loss.
    let compute = |arm: &str| {
        let mine = |r: &&serde_json::Value| r["arm"] == arm && r["label"] == "retain";
        let row = rows.as_array().unwrap().iter().find(mine).unwrap();
        let number = |key: &str| row[key].as_f64().unwrap();
        (number("alpha") / number("loss")).powf(1.0 / number("beta")) / (1.0 - number("penalty"))
    };
    let csv = String::from_utf8(place.read("four/results.csv")).unwrap();
    let count = |what: &str| -> f64 {
        let hit = csv.lines().find(|l| l.starts_with(&format!("{what},"))).unwrap();
        hit.split(',').nth(6).unwrap().parse().unwrap()
    };
    let params = count("train,sgtm,0,all,params");
    let removal = |arm: &str| count(&format!("unlearn,{arm},0,all,removal_tokens"));
    let trained = count("train,baseline,0,all,targets");
    // What was done to a model comes on top of what the one it went on from had cost.
    for (arm, targets) in [
        ("sgtm", count("train,sgtm,0,all,targets")),
        ("npo", trained + removal("npo")),
        ("further", trained + removal("npo") + removal("further")),
    ] {
        let by_hand = 6.0 * params * targets;
        assert!((compute(arm) / by_hand - 1.0).abs() < 1e-6, "{arm}: {} against {by_hand}", compute(arm));
    }
    place.lobe(&["penalty", "four"]).refuses(&["three"]);
}
