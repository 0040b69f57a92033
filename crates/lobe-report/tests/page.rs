//! The page of a synthetic run: every figure, nothing from outside, words that follow the numbers.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and talk")]

mod common;

use lobe_report::{RunData, html, terminal, verdict};

fn bilingual(seeds: u64) -> RunData {
    let dir = tempfile::tempdir().unwrap();
    common::bilingual(dir.path(), seeds);
    RunData::load(dir.path()).unwrap()
}

fn digits() -> RunData {
    let dir = tempfile::tempdir().unwrap();
    common::digits(dir.path());
    RunData::load(dir.path()).unwrap()
}

fn words(run: &RunData) -> String {
    let v = verdict::verdict(run);
    let arms =
        v.arms.iter().map(|a| format!("{}\n  {}\n  => {}\n", a.arm, a.sentences.join("\n  "), a.conclusion));
    arms.collect::<String>() + &v.caveats.join("\n")
}

/// Headings, figure anchors and how many marks each figure has: the page without its numbers.
fn outline(page: &str) -> String {
    let mut out = String::new();
    for part in page.split('<') {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        if tag.starts_with("h1") || tag.starts_with("h2") {
            out.push_str(&format!("{} {text}\n", &tag[..2]));
        } else if tag.starts_with("figure") {
            out.push_str(&format!("{tag}\n"));
        } else if tag.starts_with("svg") {
            let body = &page[page.find(part).unwrap()..];
            let body = &body[..body.find("</svg>").unwrap()];
            let count = |what: &str| body.matches(what).count();
            out.push_str(&format!(
                "  svg: {} curves, {} bands, {} means, {} seeds, {} ghosts, {} labels, {} cells\n",
                count("class=\"curve"),
                count("class=\"band\""),
                count("class=\"mean\""),
                count("class=\"seed\""),
                count("class=\"ghost\""),
                count("class=\"label\""),
                count("fill=\"#")
            ));
        }
    }
    out
}

fn assert_self_contained(page: &str) {
    let lower = page.to_lowercase();
    for bad in
        ["http", "src=", "href=", "<script", "@import", "url(", "<link", "<iframe", "onload", "javascript:"]
    {
        assert!(!lower.contains(bad), "page contains {bad}");
    }
    for bad in ["NaN", "inf\"", "None", "Some("] {
        assert!(!page.contains(bad), "page contains {bad}");
    }
}

#[test]
fn page_has_every_figure_and_nothing_from_outside() {
    let page = html::render(&bilingual(3));
    assert_self_contained(&page);
    insta::assert_snapshot!(outline(&page));
    assert!(page.len() < 600_000, "{} bytes", page.len());
}

#[test]
fn page_of_other_labels_shows_dots_and_says_what_is_missing() {
    let page = html::render(&digits());
    assert_self_contained(&page);
    insta::assert_snapshot!(outline(&page));
    assert!(page.contains("Not shown: trade-off of forget against retain (no arm has"));
    assert!(page.contains("relearning curves (no stage tried to bring the capability back)"));
    assert!(!page.contains("removed"), "no control arm, no claim");
}

#[test]
fn verdict_follows_the_numbers() {
    insta::assert_snapshot!(words(&bilingual(3)));
}

#[test]
fn verdict_of_other_labels() {
    insta::assert_snapshot!(words(&digits()));
}

#[test]
fn nothing_is_called_removed_without_a_control() {
    let mut run = bilingual(3);
    run.manifest.reference.control = None;
    run.manifest.arms.retain(|a| a.name != "oracle");
    assert!(!html::render(&run).contains("removed"));
    assert!(words(&run).contains("no control arm"));
}

#[test]
fn one_seed_has_no_intervals() {
    let run = bilingual(1);
    let text = words(&run);
    assert!(text.contains("One seed") && !text.contains('['), "{text}");
    assert_self_contained(&html::render(&run));
}

#[test]
fn terminal_twin() {
    let run = bilingual(3);
    insta::assert_snapshot!(terminal::render(&run, 100, terminal::Style::Unicode));
    let plain = terminal::render(&run, 80, terminal::Style::Ascii);
    assert!(plain.is_ascii());
    assert!(plain.lines().all(|l| l.len() <= 80), "{plain}");
}

#[test]
fn rendering_is_deterministic() {
    let run = bilingual(3);
    assert_eq!(html::render(&run), html::render(&run));
}
