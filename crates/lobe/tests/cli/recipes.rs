//! Recipes: new, checked, refused.

use crate::TINY;
use crate::process::Place;

#[test]
fn a_new_recipe_is_right_and_never_overwrites() {
    let place = Place::new();
    assert!(place.lobe(&["new", "first"]).ends(0).out.contains("lobe run first.toml --preset tiny"));
    let said = place.lobe(&["check", "first.toml", "--preset", "tiny"]).ends(0).out;
    assert!(said.contains("first.toml is valid: 5 arms × 1 seed, 4 stages; preset tiny"), "{said}");
    place.lobe(&["new", "first"]).refuses(&["already", "first.toml"]);
    place.lobe(&["new", "No Good"]).refuses(&["No Good"]);
    for out in ["nowhere/first.toml", "first.toml/inside.toml"] {
        place.lobe(&["new", "first", "--out", out]).refuses(&["cannot be written", out]);
    }
    assert_eq!(place.lobe(&["new", "first", "--out", "-"]).ends(0).out.as_bytes(), place.read("first.toml"));
}

#[test]
fn check_shows_what_a_recipe_comes_to() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    let said = place.lobe(&["check", "tiny.toml", "--seeds", "0,7", "--set", "train.lr=1e-4", "--full"]);
    let said = said.ends(0).out;
    for part in [
        "seeds = [0, 7]",
        "lr = 0.0001",
        "train.eval_every",
        "train.steps / 20",
        "spanish: 17 units",
        "blocks.0.mlp.post[48..64]",
        "everything else",
        "tiny.toml is valid: 3 arms × 2 seeds, 4 stages; preset less",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let value = place.lobe(&["check", "tiny.toml", "--json"]).ends(0).json();
    assert_eq!(value["regions"][0]["units"], 17);
    assert_eq!(value["arms"][1]["routes"][0]["update"], 0.0);
    let dry = place.lobe(&["run", "tiny.toml", "--dry-run"]).ends(0).out;
    assert!(dry.contains("# Arms") && !place.path("runs").exists());
}

#[test]
fn mistakes_name_their_line_and_the_nearest_choice() {
    let place = Place::new();
    place.write("a.toml", &TINY.replace("heads = 2", "heds = 2"));
    place.lobe(&["check", "a.toml"]).refuses(&["a.toml:21", "heds", "heads"]);
    place.write("b.toml", &TINY.replace("method = \"sgtm\"", "method = \"sgmt\""));
    place.lobe(&["run", "b.toml"]).refuses(&["b.toml:", "did you mean \"sgtm\""]);
    place.write("c.toml", &TINY.replace("mlp.post[-16..]", "mlp.pots[-16..]"));
    place.lobe(&["run", "c.toml"]).refuses(&["c.toml:", "regions.spanish: no site matches"]);
    place.write("f.toml", &TINY.replace("mlp.post[-16..]", "mlp.post[-16:]"));
    place.lobe(&["run", "f.toml"]).refuses(&["f.toml:", "write [-16..], not [-16:]"]);
    place.write("g.toml", &TINY.replace("blocks.*.mlp", "blocks.5.mlp"));
    place.lobe(&["run", "g.toml"]).refuses(&["g.toml:", "no site matches", "the model has", "block"]);
    // A preset nobody asked for is checked, too.
    place.write("d.toml", &TINY.replace("train = { steps = 4 }", "train = { stepz = 4 }"));
    place.lobe(&["check", "d.toml"]).refuses(&["stepz", "steps"]);
    place.write("e.toml", "name = \"e");
    place.lobe(&["check", "e.toml"]).refuses(&["e.toml:1"]);
    assert!(!place.path("runs").exists());
}

#[test]
fn independent_mistakes_are_told_at_once_and_in_order() {
    let place = Place::new();
    let text =
        TINY.replace("heads = 2", "heds = 2\nwidht = 3").replace("method = \"sgtm\"", "method = \"sgmt\"");
    place.write("a.toml", &format!("{text}\n[trian]\nsteps = 1\n"));
    let said = place.lobe(&["check", "a.toml"]).ends(2).err;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 4, "{said}");
    for (line, word) in lines.iter().zip(["heds", "widht", "sgmt", "trian"]) {
        assert!(line.starts_with("error: a.toml:") && line.contains(word), "{said}");
    }
}

#[test]
fn a_wrong_kind_of_table_is_told_with_the_kinds_there_are() {
    let place = Place::new();
    let recipe = |tokenizer: &str| {
        let data =
            format!("[data]\nkind = \"text\"\nsources = [{{ path = \"a.txt\" }}]\ntokenizer = {tokenizer}\n");
        let rest = "[model]\nkind = \"gpt\"\n[arms.a]\nmethod = \"none\"\n[[stage]]\ndo = \"train\"\n";
        place.write("t.toml", &format!("name = \"t\"\n{data}{rest}"));
        place.lobe(&["check", "t.toml"])
    };
    recipe("7").refuses(&["t.toml:5: data.tokenizer", "byte", "bpe", "file", "gpt2"]);
    recipe("{ kind = \"bqe\" }").refuses(&["did you mean \"bpe\""]);
    recipe("{ kind = \"gpt2\" }").refuses(&["needs two files", "vocab.json"]);
    for wrong in ["7", "{ kind = \"bqe\" }", "[]"] {
        assert!(!recipe(wrong).ends(2).err.contains("enum"));
    }
}

#[test]
fn the_screen_fits_and_says_what_is_missing() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    let said = place.lobe(&["check", "tiny.toml"]).ends(0).out;
    assert!(said.lines().count() <= 45, "{}\n{said}", said.lines().count());
    assert!(said.lines().all(|l| l.chars().count() <= 100), "{said}");
    for part in [
        "documents",
        "targets",
        "held-out",
        "vocabulary",
        "epochs",
        "parameters",
        "of training on this machine",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    // One seed decides nothing, and says so before it is paid for.
    let one = place.lobe(&["check", "tiny.toml", "--seeds", "1"]).ends(0).out;
    assert!(one.contains("warning") && one.contains("one seed has no spread"), "{one}");
    assert!(one.contains("× 1 seed,"), "{one}");
    let value = place.lobe(&["check", "tiny.toml", "--json"]).ends(0).json();
    let trained = |arm: &str| {
        value["seen"][arm].as_object().map(|m| m.values().filter_map(serde_json::Value::as_f64).sum::<f64>())
    };
    assert!((trained("baseline").unwrap() - 1.0).abs() < 1e-9, "{value}");
    assert!(value["census"]["classes"][0]["train"]["targets"].as_u64().unwrap() > 0);
}

#[test]
fn data_that_are_not_here_are_no_mistake_of_a_preset_nobody_asked_for() {
    let place = Place::new();
    let real = "[presets.real.data]\nkind = \"text\"\nseq = 16\ntokenizer = { kind = \"byte\" }\n\
        sources = [{ path = \"en.txt\", class = \"en\" }, { path = \"es.txt\", class = \"es\" }]\n\
        forget = { class = \"es\" }\nretain = { class = \"en\" }\n";
    place.write("tiny.toml", &format!("{TINY}\n{real}"));
    let said = place.lobe(&["check", "tiny.toml"]).ends(0);
    assert!(said.err.contains("preset real was not checked against its data") && said.err.contains("en.txt"));
    let value = place.lobe(&["check", "tiny.toml", "--json"]).ends(0).json();
    assert_eq!(value["presets_without_data"], serde_json::json!(["real"]));
    // Whoever asks for it is told what is missing and what helps.
    for command in ["check", "run"] {
        place.lobe(&[command, "tiny.toml", "--preset", "real"]).refuses(&["en.txt", "--set data.dir=FOLDER"]);
    }
    for (name, words) in [("en.txt", "once upon a time. "), ("es.txt", "había una vez. ")] {
        place.write(name, &words.repeat(200));
    }
    let value = place.lobe(&["check", "tiny.toml", "--json"]).ends(0).json();
    assert_eq!(value["presets_without_data"], serde_json::json!([]));
}

#[test]
fn arguments_are_checked_like_the_file() {
    let place = Place::new();
    place.write("tiny.toml", TINY);
    place.lobe(&["run", "tiny.toml", "--set", "train.stepz=3"]).refuses(&["--set train.stepz=3", "steps"]);
    place.lobe(&["run", "tiny.toml", "--set", "nonsense"]).refuses(&["--set nonsense"]);
    place.lobe(&["run", "tiny.toml", "--preset", "lesss"]).refuses(&["did you mean \"less\""]);
    place.lobe(&["run", "tiny.toml", "--seeds", "a"]).refuses(&["--seeds a"]);
    place.lobe(&["run", "missing.toml"]).refuses(&["missing.toml"]);
}

#[test]
fn missing_data_is_bad_input() {
    let place = Place::new();
    let start = TINY.find("[data]").unwrap();
    let end = TINY.find("[model]").unwrap();
    let data = "[data]\nkind = \"text\"\nsources = [{ path = \"gone.txt\", class = \"es\" }]\n\
                forget = { classes = [\"es\"] }\n";
    place.write("text.toml", &format!("{}{data}{}", &TINY[..start], &TINY[end..]));
    place.lobe(&["run", "text.toml"]).refuses(&["gone.txt"]);
}
