//! Figures as files, and what a run says of itself beside its numbers.

use serde_json::Value;

use crate::TINY;
use crate::process::Place;

fn manifest(place: &Place) -> Value {
    serde_json::from_slice(&place.read("run/manifest.json")).unwrap()
}

#[test]
fn a_run_describes_itself_and_its_figures_become_files() {
    let place = Place::new();
    let about = "about = \"Does cutting the region remove Spanish?\"\n";
    place.write("tiny.toml", &TINY.replacen("\nseeds", &format!("\n{about}seeds"), 1));
    let run = ["run", "tiny.toml", "--out", "run", "--quiet"];
    place.lobe(&run).ends(0);

    let first = manifest(&place);
    assert_eq!(first["about"], "Does cutting the region remove Spanish?");
    let classes = first["data"]["classes"].as_array().unwrap();
    let es = classes.iter().find(|c| c["label"] == "forget").unwrap();
    let [documents, units, held_out] = ["documents", "units", "held_out"].map(|k| es[k].as_u64().unwrap());
    // A document of at most 48 tokens each.
    assert!(documents > 0 && held_out > 0 && documents < units && units <= 48 * documents, "{es}");
    assert_eq!(first["data"]["unit"], "token");
    assert!(first["data"]["vocabulary"].as_u64().unwrap() > 10);
    assert_eq!(first["model"]["shape"], "1 block of width 32, 2 heads, 64 neurons");
    assert!(first["model"]["parameters"].as_u64().unwrap() > 10_000);
    let times =
        |m: &Value| [m["started"].clone(), m["finished"].clone()].map(|t| t.as_str().unwrap().to_owned());
    let [started, finished] = times(&first);
    assert!(started.ends_with('Z') && started.len() == 20 && started <= finished, "{started} {finished}");

    // The first seed's members say how they go on: a cut model differently from the one before.
    let file: Value = serde_json::from_slice(&place.read("run/stages/measure/sgtm.0/samples.json")).unwrap();
    let models = file["models"].as_array().unwrap();
    assert_eq!(models.iter().map(|m| m["stage"].as_str().unwrap()).collect::<Vec<_>>(), ["train", "ablate"]);
    let texts = models[0]["texts"].as_array().unwrap();
    assert!(
        texts.iter().any(|t| t["label"] == "forget") && texts.iter().any(|t| t["label"] == "retain"),
        "{file}"
    );
    assert!(texts.iter().all(|t| !t["prompt"].as_str().unwrap().is_empty()), "{file}");
    assert!(!place.read("run/results.csv").windows(7).any(|w| w == b"samples"));

    // Nothing is done again, and nothing changes: not the times, not the numbers.
    let numbers = place.read("run/results.csv");
    place.lobe(&run).ends(0);
    assert_eq!((times(&manifest(&place)), place.read("run/results.csv")), ([started, finished], numbers));

    let said = place.lobe(&["figures", "run", "--out", "figures"]).ends(0);
    for name in ["trade-off.svg", "trade-off.csv", "return-1.svg", "units-1.csv", "measures.csv"] {
        assert!(said.out.contains(name), "{name} is missing in {}", said.out);
    }
    let svg = String::from_utf8(place.read("figures/trade-off.svg")).unwrap();
    assert!(svg.starts_with("<?xml") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""));
    let csv = String::from_utf8(place.read("figures/trade-off.csv")).unwrap();
    assert!(
        csv.starts_with("arm,seed,when,forget_loss,retain_loss\n") && csv.contains("\nsgtm,0,after the cut,"),
        "{csv}"
    );
    // The page has the same file behind its link.
    let page = String::from_utf8(place.read("run/report.html")).unwrap();
    assert!(
        page.contains("download=\"trade-off.svg\"")
            && page.contains("Does cutting the region remove Spanish?")
    );

    place.lobe(&["figures", "nowhere", "--out", "figures"]).ends(2);
    place.write("file", "");
    place.lobe(&["figures", "run", "--out", "file"]).refuses(&["cannot be made", "file"]);
}
