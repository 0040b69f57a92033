use super::*;

fn file(path: &str, text: &str) -> TextFile {
    TextFile { path: path.into(), text: text.into() }
}

const PAGE: &str = "\
| crate | holds | may use | must not know |
|---|---|---|---|
| `lobe-core` | words | – | I/O |
| `lobe-engine` | tape | `lobe-core` | methods |
| `lobe` | commands | `lobe-core`, `lobe-engine` | rest |

| library | version | why |
|---|---|---|
| `serde`, `toml` | 1 | files |
";

fn manifest(name: &str, uses: &str, tests: &str) -> Manifest {
    let text = format!("[package]\nname = {name:?}\n[dependencies]\n{uses}\n[dev-dependencies]\n{tests}\n");
    Manifest::parse(&file(&format!("crates/{name}/Cargo.toml"), &text)).unwrap()
}

#[test]
fn a_crate_uses_only_what_its_row_allows() {
    let core = manifest("lobe-core", "serde = \"1\"", "toml = \"1\"");
    let engine = manifest("lobe-engine", "lobe-core.workspace = true", "");
    let top = manifest("lobe", "lobe-core = { path = \"x\" }\nlobe-engine.workspace = true", "");
    assert!(layers(PAGE, &[core.clone(), engine.clone(), top.clone()]).is_empty());
    assert!(libraries(PAGE, &[core.clone(), engine.clone(), top.clone()]).is_empty());

    let wrong = manifest("lobe-core", "lobe-engine.workspace = true", "");
    let found = layers(PAGE, &[wrong, engine.clone(), top.clone()]);
    assert!(found.len() == 1 && found[0].contains("lobe-core must not use lobe-engine"), "{found:?}");

    let stranger = manifest("lobe-extra", "", "");
    let found = layers(PAGE, &[core.clone(), engine.clone(), top.clone(), stranger]);
    assert!(found.len() == 1 && found[0].contains("lobe-extra is missing"), "{found:?}");

    let found = layers(PAGE, &[core, engine]);
    assert!(found.len() == 1 && found[0].contains("no such crate"), "{found:?}");
}

#[test]
fn the_table_itself_points_up_only() {
    let page = PAGE.replace("| words | – |", "| words | `lobe-engine` |");
    let crates = ["lobe-core", "lobe-engine", "lobe"].map(|n| manifest(n, "", ""));
    let found = layers(&page, &crates);
    assert!(found.len() == 1 && found[0].contains("does not stand above"), "{found:?}");
}

#[test]
fn libraries_are_explained_and_used() {
    let found = libraries(PAGE, &[manifest("lobe-core", "serde = \"1\"\nrand = \"1\"", "")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].contains("rand is missing") && found[1].contains("library toml"), "{found:?}");
}

#[test]
fn dependencies_of_a_target_count() {
    let m = file(
        "crates/lobe/Cargo.toml",
        "[package]\nname = \"lobe\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"1\"\n",
    );
    assert_eq!(Manifest::parse(&m).unwrap().uses, ["libc"]);
}

#[test]
fn long_files_are_refused() {
    let of = |n: usize| file(&format!("crates/a/{n}.rs"), &"x\n".repeat(n));
    let (errors, warnings, summary) = sizes(&[of(800), of(801), of(400), of(401), of(10)]);
    assert_eq!(errors, ["crates/a/801.rs: 801 lines; at most 800, better 400"]);
    assert_eq!(warnings.len(), 2);
    assert_eq!(summary, "5 source files, 2412 lines, median 401, longest 801");
}

#[test]
fn dead_paths_are_found_and_other_words_are_not() {
    let exists = |p: &str| ["docs/guide.md", "README.md", "crates/lobe/src/main.rs", "docs"].contains(&p);
    let check = |path: &str, text: &str| dead_paths(&file(path, text), &exists);
    assert!(
        check("docs/a.md", "[g](guide.md) [r](../README.md#two) `crates/lobe/src/main.rs:12`.").is_empty()
    );
    assert!(
        check(
            "README.md",
            "[w](https://example.org/x.md) `blocks.*.mlp.post` `a/b` `runs/x` `records/` `fuzz/corpus/x`"
        )
        .is_empty()
    );
    assert_eq!(
        check("README.md", "a\nsee `crates/no/such.rs`"),
        ["README.md:2: no such file: crates/no/such.rs"]
    );
    assert_eq!(check("docs/a.md", "[x](gone.md)").len(), 1);
    assert_eq!(check("docs/a.md", "[x](../../out.md)").len(), 1);
    assert_eq!(check("README.md", "`localize/mod.rs`").len(), 1);
    assert_eq!(check("README.md", "```\ncargo run recipes/none.toml\n```\n").len(), 1);
    assert!(check("README.md", "```\nstages/train/model.txt\n```\n").is_empty());
}

#[test]
fn unsafe_is_for_the_engine() {
    let line = "    unsafe { go() }\n// unsafe\nlet s = \"unsafe\"; // x\n";
    assert!(unsafe_outside(&file("crates/lobe-engine/src/kernels/cpu/gemm.rs", line)).is_empty());
    assert_eq!(unsafe_outside(&file("crates/lobe-engine/src/tape.rs", line)).len(), 1);
    assert_eq!(unsafe_outside(&file("crates/lobe-data/src/a.rs", line)).len(), 1);
    assert_eq!(unsafe_outside(&file("crates/lobe-data/src/a.rs", "#[allow(unsafe_code)]")).len(), 1);
    assert!(
        unsafe_outside(&file("crates/lobe-data/src/a.rs", "fn unsafe_looking() {} // unsafe")).is_empty()
    );
}

#[test]
fn only_the_lab_opens_runs_for_writing() {
    let line = "let run = RunDir::create_or_open(path)?;";
    assert!(writers(&file("crates/lobe-lab/src/exec/mod.rs", line)).is_empty());
    assert_eq!(writers(&file("crates/lobe-report/src/load.rs", line)).len(), 1);
    assert!(writers(&file("crates/lobe-report/src/load.rs", "// RunDir would write")).is_empty());
}

#[test]
fn paths_of_one_machine_are_refused() {
    let home = ["/ho", "me/somebody/x"].concat();
    assert_eq!(machine_paths(&file("README.md", &format!("a\nrun `{home}`"))).len(), 1);
    assert!(machine_paths(&file("README.md", &format!("stages{home}"))).is_empty());
}
