//! Records of real runs.

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
