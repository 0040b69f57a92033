//! Records of real runs, and numbers over several of them.

use crate::TINY;
use crate::process::Place;

#[test]
fn a_record_is_written_from_a_run_and_never_over_somebodys_page() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--out", "run", "--quiet"]).ends(0);
    place.write(
        "targets.csv",
        "arm,label,metric,value,source\nsgtm,forget,loss,3.5,a paper\nsgmt,forget,loss,,a paper\n",
    );
    let args = ["record", "run", "--targets", "targets.csv"];
    let said = place.lobe(&args).ends(0);
    assert!(said.err.contains("did you mean \"sgtm\""), "{}", said.err);
    for words in
        ["lobe run tiny.toml", "Recipe hash ", "## loss", "| forget | sgtm |", "| 3.5 |", "* a paper"]
    {
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
    place.write("targets.csv", "arm,value\n");
    place.lobe(&args).refuses(&["targets.csv", "line 1"]);
    place.lobe(&["record", "nowhere"]).ends(2);
}

#[test]
fn a_penalty_needs_three_sizes_and_holds_every_arm_against_the_plain_ones() {
    let place = Place::new();
    place.write("tiny.toml", &format!("{TINY}\n[[stage]]\ndo = \"measure\"\n"));
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
    let row = rows.as_array().unwrap().iter().find(|r| r["arm"] == "sgtm" && r["label"] == "retain").unwrap();
    let number = |key: &str| row[key].as_f64().unwrap();
    let worth = (number("alpha") / number("loss")).powf(1.0 / number("beta"));
    let penalty = number("penalty");
    let compute = worth / (1.0 - penalty);
    let csv = String::from_utf8(place.read("four/results.csv")).unwrap();
    let count = |metric: &str| -> f64 {
        let hit = csv.lines().find(|l| l.starts_with(&format!("train,sgtm,0,all,{metric},"))).unwrap();
        hit.split(',').nth(6).unwrap().parse().unwrap()
    };
    let by_hand = 6.0 * count("params") * count("targets");
    assert!((compute / by_hand - 1.0).abs() < 1e-6, "{compute} against {by_hand}");
    place.lobe(&["penalty", "four"]).refuses(&["three"]);
}
