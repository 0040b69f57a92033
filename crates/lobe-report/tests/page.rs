//! The page of a synthetic run: every figure, nothing from outside, words that follow the numbers.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and talk")]

mod common;

use common::{loaded, without_files, words};
use lobe_report::judge::judge;
use lobe_report::judge::rule::Kept;
use lobe_report::{RunData, html, terminal};

fn bilingual(seeds: u64) -> RunData {
    loaded(|dir| common::bilingual(dir, seeds))
}

fn digits() -> RunData {
    loaded(common::digits)
}

fn matrix(arms: usize, attacks: usize, seeds: u64) -> RunData {
    loaded(|dir| common::matrix(dir, arms, attacks, seeds))
}

/// Headings, figure anchors and how many marks each figure has: the page without its numbers.
fn outline(page: &str) -> String {
    let (mut out, mut cells) = (String::new(), 0);
    for part in page.split('<') {
        let (tag, text) = part.split_once('>').unwrap_or((part, ""));
        if tag.starts_with("h1") || tag.starts_with("h2") {
            out.push_str(&format!("{} {text}\n", &tag[..2]));
        } else if tag.starts_with("figure") || tag.starts_with("details class=\"fold\"") {
            out.push_str(&format!("{tag}\n"));
        } else if tag.starts_with("td class=\"b") {
            cells += 1;
        } else if tag.starts_with("/table") && cells > 0 {
            out.push_str(&format!("  table: {cells} cells\n"));
            cells = 0;
        } else if tag.starts_with("svg") && tag.contains("aria-label") && !tag.contains("0 0 104 14") {
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
                count("class=\"cell t")
            ));
        }
    }
    out
}

fn assert_self_contained(page: &str) {
    let page = &without_files(page);
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
    assert!(page.contains("curves under attack (no stage tried to bring the capability back)"));
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

/// The page without the addresses of its cells, each of which was checked.
fn without_links(page: &str) -> String {
    let page = &without_files(page);
    let mut parts = page.split("<a href=\"");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let (href, rest) = part.split_once("\">").unwrap();
        let path: Vec<&str> = href.split('/').collect();
        assert!(matches!(path[..], ["stages", _, _, "metrics.jsonl"]), "{href}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        assert!(
            path.iter().all(|p| !p.is_empty() && *p != "." && *p != ".." && p.chars().all(plain)),
            "{href}"
        );
        out.push_str(rest);
    }
    out
}

#[test]
fn matrix_page() {
    let page = html::render(&matrix(6, 5, 3));
    assert!(page.contains("<a href=\"stages/unlearn/rmu.0/metrics.jsonl\">"), "the cell of no attack");
    assert!(page.contains("<a href=\"stages/lora/rmu.0/metrics.jsonl\">"));
    // ascent, the last arm, has one attack less.
    assert_eq!(page.matches("<a href=\"stages/").count(), 6 * 6 - 1);
    assert!(page.contains("title=\"ascent, lora: not measured\""));
    let page = without_links(&page);
    assert_self_contained(&page);
    insta::assert_snapshot!(outline(&page));
}

#[test]
fn matrix_verdict() {
    insta::assert_snapshot!(words(&matrix(6, 5, 3)));
}

#[test]
fn matrix_terminal() {
    let run = matrix(6, 5, 3);
    let text = terminal::render(&run, 100, terminal::Style::Unicode);
    insta::assert_snapshot!(text.split("\nFinal numbers").next().unwrap());
    let plain = terminal::render(&matrix(28, 18, 3), 80, terminal::Style::Ascii);
    assert!(plain.is_ascii());
    assert!(plain.lines().all(|l| l.len() <= 80), "{plain}");
}

#[test]
fn one_attack_is_no_matrix_and_one_seed_is_not_judged() {
    let page = html::render(&matrix(6, 1, 3));
    assert!(!page.contains("id=\"matrix\"") && page.contains("id=\"return-1\""));
    let run = matrix(6, 4, 1);
    let text = words(&run);
    assert!(text.contains("not judged: one seed") && !text.contains('['), "{text}");
    assert!(!text.contains("lets least come back") && !text.contains("removed"), "{text}");
    let page = html::render(&run);
    assert!(page.contains("not judged"));
}

#[test]
fn a_large_matrix_names_a_few_arms_and_stays_small() {
    let page = html::render(&matrix(28, 18, 3));
    let page = without_links(&page);
    assert_self_contained(&page);
    assert!(page.contains("class=\"rest\"") && page.contains("the other 19 are grey"), "crowd");
    assert!(page.len() < 3_000_000, "{} bytes", page.len());
}

#[test]
fn a_broken_model_does_not_win() {
    let run = matrix(6, 5, 3);
    let judgement = judge(&run);
    let ascent = judgement.arms.iter().find(|j| j.arm == "ascent").unwrap();
    assert_eq!(ascent.retain.as_ref().unwrap().kept, Kept::No, "it resists most");
    let leader = judgement.overview.last().unwrap();
    assert!(leader.contains("sgtm lets least come back"), "{leader}");
}

#[test]
fn a_run_without_control_is_drawn_and_not_judged() {
    let mut run = matrix(6, 5, 3);
    run.manifest.reference.control = None;
    run.manifest.arms.retain(|a| !a.control);
    run.manifest.reference.fresh = None;
    let text = words(&run);
    assert!(!text.contains("Against") && text.contains("no control arm"), "{text}");
    html::render(&run);
}

#[test]
fn the_answer_fits_a_screen() {
    for (run, name) in [(matrix(28, 18, 3), "matrix"), (bilingual(3), "few"), (bilingual(1), "one seed")] {
        for width in [60, 80, 100, 200] {
            for style in [terminal::Style::Unicode, terminal::Style::Ascii] {
                let text = terminal::answer(&run, width, style);
                assert!(text.lines().count() <= 25, "{name} at {width}:\n{text}");
                let widest = text.lines().map(|l| l.chars().count()).max().unwrap();
                assert!(widest <= width, "{name} at {width}: {widest}\n{text}");
                assert!(style == terminal::Style::Unicode || text.is_ascii(), "{text}");
            }
        }
    }
}

#[test]
fn the_answer_says_how_arms_stand_beside_filter_and_control() {
    let text = terminal::answer(&bilingual(3), 140, terminal::Style::Unicode);
    for words in ["vs filter", "vs oracle", "gap closed", "retain loss − filter", "Scale: "] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    insta::assert_snapshot!("answer_wide", text);
    insta::assert_snapshot!("answer_narrow", terminal::answer(&bilingual(3), 80, terminal::Style::Unicode));
}
