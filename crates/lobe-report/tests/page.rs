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

/// The words about sgtm after `change`.
fn sgtm(seeds: u64, change: impl FnOnce(&mut RunData)) -> String {
    let mut run = bilingual(seeds);
    change(&mut run);
    let v = verdict::verdict(&run);
    let arm = v.arms.iter().find(|a| a.arm == "sgtm").unwrap();
    format!("{} => {}", arm.sentences.last().unwrap(), arm.conclusion)
}

/// Replaces the steps that `arm` took; an empty list means it never came back.
fn set_steps(run: &mut RunData, arm: &str, steps: &[(u64, f64)]) {
    let found = run.results.iter_mut().find(|(q, _)| q.metric == "steps_to_baseline").unwrap().1;
    let points = |v: f64| vec![lobe_report::Point { step: None, value: v }];
    found.by_arm.insert(arm.into(), steps.iter().map(|&(seed, v)| (seed, points(v))).collect());
}

#[test]
fn missing_steps_are_said_and_never_counted_as_numbers() {
    let never = sgtm(3, |r| set_steps(r, "sgtm", &[]));
    assert_eq!(
        never,
        "Attack relearn: the baseline's loss was not reached within 500 steps in 3 of 3 seeds; oracle: 447 [420, 480] \
         steps. That is no sooner than oracle in any of 3 seeds. => As far as these attacks can tell it was removed: it \
         comes back no sooner than oracle learns it."
    );
    let once = sgtm(3, |r| set_steps(r, "sgtm", &[(1, 100.0)]));
    assert!(once.contains("100 steps where reached; not reached within 500 steps in 2 of 3 seeds"), "{once}");
    assert!(once.contains("sooner than oracle in 1 of 3 seeds: this run does not tell them apart"), "{once}");
    let neither = sgtm(3, |r| {
        set_steps(r, "sgtm", &[]);
        set_steps(r, "oracle", &[]);
    });
    assert!(neither.contains("Neither came back, so the attack does not tell them apart"), "{neither}");
}

#[test]
fn overlapping_intervals_are_not_called_different() {
    let text = sgtm(3, |r| set_steps(r, "sgtm", &[(0, 400.0), (1, 410.0), (2, 430.0)]));
    assert!(text.contains("The intervals overlap"), "{text}");
    assert!(text.ends_with("its return cannot be told from oracle learning it."), "{text}");
}

#[test]
fn a_control_that_was_not_attacked_decides_nothing() {
    let text = sgtm(3, |r| {
        for (q, m) in &mut r.results {
            if q.stage == "relearn" {
                m.by_arm.remove("oracle");
            }
        }
    });
    assert!(text.ends_with("=> oracle was not attacked, so nothing tells removed from hidden."), "{text}");
}

/// Moves the final losses of `arm` by `by(seed)`.
fn shift(run: &mut RunData, stage: &str, arm: &str, by: impl Fn(u64) -> f64) {
    for (q, m) in &mut run.results {
        if q.stage == stage && q.label == "forget" && q.metric == "loss" {
            let seeds = m.by_arm.get_mut(arm).unwrap();
            for (seed, points) in seeds.iter_mut() {
                for p in points.iter_mut() {
                    p.value += by(*seed);
                }
            }
        }
    }
    run.results.retain(|q, _| q.metric != "gap_closed");
}

#[test]
fn a_control_like_the_baseline_leaves_no_gap() {
    let text = sgtm(3, |r| shift(r, "train", "oracle", |_| -2.6));
    assert!(
        text.ends_with("oracle is no worse at it than the baseline, so there was nothing to be removed."),
        "{text}"
    );
}

#[test]
fn an_uncertain_share_is_not_called_removed() {
    let text = sgtm(3, |r| {
        shift(r, "ablate", "sgtm", |seed| if seed == 0 { -2.0 } else { 0.3 });
        set_steps(r, "sgtm", &[]);
    });
    assert!(text.ends_with("too uncertain a share to say whether it was removed."), "{text}");
}

#[test]
fn an_arm_that_was_not_cut_has_no_verdict() {
    let mut run = bilingual(3);
    run.results.retain(|q, _| q.stage != "ablate");
    assert!(words(&run).starts_with("No arm was measured after a cut"), "{}", words(&run));
}
