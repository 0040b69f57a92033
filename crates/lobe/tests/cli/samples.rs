//! Text from models, and files that lie.

use crate::TINY;
use crate::process::Place;

fn run() -> Place {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--out", "run", "--preset", "less", "--quiet"]).ends(0);
    place
}

#[test]
fn a_model_speaks_with_and_without_a_region() {
    let place = run();
    let args = ["sample", "run", "--arm", "sgtm", "--tokens", "20", "--without", "spanish"];
    let said = place.lobe(&args).ends(0);
    assert!(
        said.out.starts_with("sgtm, seed 0, after train\n") && said.out.contains("without spanish"),
        "{}",
        said.out
    );
    assert_eq!(place.lobe(&args).ends(0).out, said.out, "the same arguments give the same text");
    let value = |extra: &[&str]| place.lobe(&[&args[..], &["--json"], extra].concat()).ends(0).json();
    assert_ne!(value(&[])["whole"], value(&["--sample-seed", "1"])["whole"]);
    let model = "run/stages/train/sgtm.0/model.safetensors";
    let file = ["sample", "--model", model, "--tokenizer", "run/tokenizer.json", "--tokens", "20", "--json"];
    assert_eq!(place.lobe(&file).ends(0).json()["whole"], value(&[])["whole"]);
    // Cutting the region again from a model that has lost it changes nothing.
    let cut = value(&["--stage", "ablate"]);
    assert_eq!(cut["whole"], cut["without"]);
}

#[test]
fn wrong_names_and_hostile_files_are_refused_in_one_line() {
    let place = run();
    place.lobe(&["sample", "run", "--arm", "sgmt"]).refuses(&["did you mean \"sgtm\""]);
    place.lobe(&["sample", "run", "--arm", "../sgtm"]).refuses(&["../sgtm"]);
    place.lobe(&["sample", "run", "--seed", "9"]).refuses(&["seed", "9"]);
    place.lobe(&["sample", "run", "--stage", "relearn"]).refuses(&["relearn"]);
    place.lobe(&["sample", "run", "--without", "spansh"]).refuses(&["did you mean \"spanish\""]);
    place.lobe(&["sample", "run", "--without", "blocks.*.mlp.post[99999]"]).refuses(&["99999"]);
    place.lobe(&["sample", "run", "--temperature", "nan"]).refuses(&["temperature"]);
    let model = "run/stages/train/baseline.0/model.safetensors";
    let whole = place.read(model);
    let mut header = whole.clone();
    header[..8].fill(0xff);
    let garbage: Vec<u8> = (0..5000u32).map(|i| (i * 7919 % 251) as u8).collect();
    for bytes in [&whole[..whole.len() - 4], &header, &garbage, &[]] {
        std::fs::write(place.path(model), bytes).unwrap();
        place.lobe(&["sample", "run"]).refuses(&["model.safetensors"]);
    }
    std::fs::write(place.path(model), &whole).unwrap();
    place.write("run/tokenizer.json", "[[[[");
    place.lobe(&["sample", "run"]).refuses(&["tokenizer.json"]);
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_a_run() {
    let place = run();
    place.write("elsewhere.json", "{\"lobe\": \"byte\"}");
    std::fs::remove_file(place.path("run/tokenizer.json")).unwrap();
    std::os::unix::fs::symlink(place.path("elsewhere.json"), place.path("run/tokenizer.json")).unwrap();
    place.lobe(&["sample", "run"]).refuses(&["out of the run directory"]);
}
