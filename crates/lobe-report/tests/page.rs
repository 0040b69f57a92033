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

fn matrix(arms: usize, attacks: usize, seeds: u64) -> RunData {
    let dir = tempfile::tempdir().unwrap();
    common::matrix(dir.path(), arms, attacks, seeds);
    RunData::load(dir.path()).unwrap()
}

fn words(run: &RunData) -> String {
    let v = verdict::verdict(run);
    let arms =
        v.arms.iter().map(|a| format!("{}\n  {}\n  => {}\n", a.arm, a.sentences.join("\n  "), a.conclusion));
    let summary = v.summary.iter().flat_map(|s| [s.as_str(), "\n"]).collect::<String>();
    summary + &arms.collect::<String>() + &v.caveats.join("\n")
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
                count("fill=\"#") + count("heat m")
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
         steps. That is no sooner than oracle in any of 3 seeds (paired difference +53 [20, 80] steps, a seed that was \
         not reached counting as the whole budget). => As far as these attacks can tell it was removed: it \
         comes back no sooner than oracle learns it."
    );
    let once = sgtm(3, |r| set_steps(r, "sgtm", &[(1, 100.0)]));
    assert!(once.contains("100 steps where reached; not reached within 500 steps in 2 of 3 seeds"), "{once}");
    assert!(once.contains("Sooner than oracle in 1 of 3 seeds, later in 2"), "{once}");
    let neither = sgtm(3, |r| {
        set_steps(r, "sgtm", &[]);
        set_steps(r, "oracle", &[]);
    });
    assert!(neither.contains("Neither came back, so the attack does not tell them apart"), "{neither}");
}

#[test]
fn overlapping_intervals_are_not_called_different() {
    let text = sgtm(3, |r| set_steps(r, "sgtm", &[(0, 400.0), (1, 450.0), (2, 430.0)]));
    assert!(text.contains("this run does not tell them apart"), "{text}");
    assert!(text.ends_with("no sign that it is only hidden, and no proof that it is gone."), "{text}");
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
    assert!(
        text.contains("not compared with oracle") && text.ends_with("nothing tells removed from hidden."),
        "{text}"
    );
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
    let text = sgtm(3, |r| shift(r, "train", "oracle", |_| -4.0));
    assert!(
        text.ends_with("oracle is no worse at it than the baseline, so there was nothing to be removed."),
        "{text}"
    );
}

#[test]
fn a_gap_whose_interval_reaches_0_is_not_called_none() {
    // The control is worse in two of three seeds.
    let text = sgtm(3, |r| shift(r, "train", "oracle", |seed| if seed == 0 { -3.5 } else { 0.0 }));
    assert!(text.contains("oracle cannot be told to be worse at it than the baseline"), "{text}");
}

#[test]
fn a_seed_that_ran_out_of_budget_does_not_excuse_an_overlap() {
    let text = sgtm(3, |r| {
        set_steps(r, "sgtm", &[(0, 100.0), (1, 300.0)]);
        set_steps(r, "oracle", &[(0, 110.0), (1, 310.0)]);
    });
    assert!(text.contains("Sooner than oracle in 2 of 3 seeds, later in 0"), "{text}");
    assert!(!text.contains("hidden rather than removed"), "{text}");
}

#[test]
fn one_seed_and_an_unknown_target_are_not_judged() {
    let text = sgtm(1, |_| {});
    assert!(
        text.contains("One seed: this is not judged.") && text.ends_with("tells removed from hidden."),
        "{text}"
    );
    // A run that stopped before the baseline was measured: nobody knows what was to be reached.
    let mut run = bilingual(3);
    run.results.retain(|q, _| q.metric != "steps_target" && q.metric != "steps_to_baseline");
    let text = words(&run);
    assert!(!text.contains("not reached"), "{text}");
}

#[test]
fn the_share_of_the_gap_is_that_of_the_last_model() {
    // Coherence training after the cut brings half of it back: the measured share is the cut's.
    let mut run = bilingual(3);
    let cut: Vec<_> = run.results.iter().filter(|(q, _)| q.stage == "ablate" && q.metric == "loss").collect();
    let mut after: Vec<_> = cut.into_iter().map(|(q, m)| (q.clone(), m.clone())).collect();
    for (q, m) in &mut after {
        q.stage = "cohere".into();
        if q.label == "forget" {
            for p in m.by_arm.get_mut("sgtm").unwrap().values_mut().flatten() {
                p.value -= 1.5;
            }
        }
    }
    run.results.extend(after);
    let at = run.manifest.stages.iter().position(|s| s.name == "ablate").unwrap();
    let mut cohere = run.manifest.stages[at].clone();
    (cohere.name, cohere.does) = ("cohere".into(), "cohere".into());
    run.manifest.stages.insert(at + 1, cohere);
    let share = |r: &RunData| r.gap_closed("sgtm").iter().map(|(_, v)| v).sum::<f64>() / 3.0;
    assert!(share(&run) < share(&bilingual(3)) - 0.2, "{} {}", share(&run), share(&bilingual(3)));
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

/// The page without the addresses of its cells, each of which was checked.
fn without_links(page: &str) -> String {
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
    assert_eq!(page.matches("<a href=").count(), 6 * 6 - 1);
    assert!(page.contains("<title>ascent, lora: not measured</title>"));
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
    assert!(!page.contains("id=\"matrix\"") && page.contains("id=\"relearning-1\""));
    let run = matrix(6, 4, 1);
    let text = words(&run);
    assert!(text.contains("One seed: this is not judged.") && !text.contains('['), "{text}");
    assert!(!text.contains("beat") && !text.contains("overlap"), "{text}");
    let page = html::render(&run);
    assert!(page.contains("not judged") && !page.contains("class=\"bounds\""));
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
    let v = verdict::verdict(&matrix(6, 5, 3));
    let last = v.arms.last().unwrap();
    assert_eq!(last.arm, "ascent", "it resists most, and comes last");
    assert!(last.conclusion.contains("may be a broken model"), "{}", last.conclusion);
    assert!(v.summary[0].contains("The most robust is sgtm"), "{:?}", v.summary);
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
