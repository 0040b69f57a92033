//! Figures as files, and as drawings in which nothing hides anything.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod common;

use std::path::Path;

use common::loaded;
use lobe_report::figure_files::{FigureFile, all};

fn figures(write: impl FnOnce(&Path)) -> Vec<FigureFile> {
    all(&loaded(write))
}

fn named(figures: &[FigureFile], name: &str) -> String {
    figures.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no {name}")).svg.clone().unwrap()
}

/// The number of an attribute of an element.
fn at(element: &str, name: &str) -> f64 {
    let from = element.find(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name} in {element}"));
    element[from + name.len() + 3..].split('"').next().unwrap().parse().unwrap()
}

/// Elements that begin with `start`.
fn elements<'a>(svg: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    svg.split('<').filter(move |e| e.starts_with(start))
}

type Box4 = (f64, f64, f64, f64);

fn area(a: Box4, b: Box4) -> f64 {
    (a.2.min(b.2) - a.0.max(b.0)).max(0.0) * (a.3.min(b.3) - a.1.max(b.1)).max(0.0)
}

/// The boxes of all names in a drawing, by what they say: what letters of a common bold sans-serif take.
fn labels(svg: &str) -> Vec<(String, Box4)> {
    let of = |e: &str| {
        let text = e.split_once('>').unwrap().1.to_owned();
        let wide =
            text.chars().map(|c| if "fijlrt.,' ".contains(c) { 0.41 } else { 0.65 }).sum::<f64>() * 13.0;
        let (x, y) = (at(e, "x"), at(e, "y"));
        let left = match () {
            () if e.contains("\"middle\"") => x - wide / 2.0,
            () if e.contains("\"end\"") => x - wide,
            () => x,
        };
        (text, (left, y - 9.5, left + wide, y + 2.0))
    };
    elements(svg, "text class=\"label\"").map(of).collect()
}

/// What must not be covered: intervals, and means.
fn marks(svg: &str) -> Vec<Box4> {
    let bar = |e: &str| {
        let [x1, y1, x2, y2] = ["x1", "y1", "x2", "y2"].map(|n| at(e, n));
        (x1.min(x2) - 0.9, y1.min(y2) - 0.9, x1.max(x2) + 0.9, y1.max(y2) + 0.9)
    };
    let mean = |e: &str| {
        let list = e.split("points=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let points: Vec<(f64, f64)> = list
            .split(' ')
            .map(|p| p.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        let fold =
            |f: fn(f64, f64) -> f64, pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).reduce(f).unwrap();
        (fold(f64::min, |p| p.0), fold(f64::min, |p| p.1), fold(f64::max, |p| p.0), fold(f64::max, |p| p.1))
    };
    elements(svg, "line class=\"bar\"")
        .map(bar)
        .chain(elements(svg, "polygon class=\"mean\"").map(mean))
        .collect()
}

#[test]
fn names_cover_neither_intervals_nor_means_nor_each_other() {
    let runs: [(&str, Vec<FigureFile>); 2] = [
        ("bilingual", figures(|d| common::bilingual(d, 3))),
        ("matrix", figures(|d| common::matrix(d, 6, 5, 3))),
    ];
    for (name, figures) in &runs {
        let svg = named(figures, "trade-off");
        let (labels, marks) = (labels(&svg), marks(&svg));
        assert!(labels.len() >= 5 && marks.len() > labels.len(), "{name}: {} {}", labels.len(), marks.len());
        for (i, (text, own)) in labels.iter().enumerate() {
            for mark in &marks {
                assert!(area(*own, *mark) < 6.0, "{name}: {text} at {own:?} covers {mark:?}");
            }
            for (other, b) in &labels[i + 1..] {
                assert!(area(*own, *b) < 6.0, "{name}: {text} covers {other}");
            }
        }
    }
}

#[test]
fn arms_on_one_spot_are_both_to_be_seen() {
    // Filter and control are the same network where the labeller finds everything.
    let figures = figures(|d| {
        common::bilingual(d, 3);
        let path = d.join("results.csv");
        let text = std::fs::read_to_string(&path).unwrap();
        let same: String = text
            .lines()
            .filter(|l| !l.contains(",filter,"))
            .flat_map(|l| {
                [l.to_owned(), l.replace(",oracle,", ",filter,")]
                    .into_iter()
                    .take(1 + usize::from(l.contains(",oracle,")))
            })
            .collect::<Vec<_>>()
            .join("\n");
        std::fs::write(&path, same).unwrap();
    });
    let svg = named(&figures, "trade-off");
    let means: Vec<Box4> = marks(&svg)
        .into_iter()
        .filter(|b| b.2 - b.0 > 8.0 && b.3 - b.1 > 8.0 && b.3 - b.1 < 20.0 && b.2 - b.0 < 20.0)
        .collect();
    assert!(means.len() >= 4, "{means:?}");
    for (i, a) in means.iter().enumerate() {
        assert!(means[i + 1..].iter().all(|b| area(*a, *b) < 20.0), "{a:?} hides another: {means:?}");
    }
}

#[test]
fn a_network_that_was_never_trained_does_not_set_the_scale() {
    let with = |start: f64| {
        let figures = figures(|d| {
            common::matrix(d, 6, 1, 3);
            let path = d.join("results.csv");
            let raise = |l: &str| {
                let mut f: Vec<String> = l.split(',').map(str::to_owned).collect();
                if f[1] == "fresh" && f[4].contains("relearn_loss") {
                    f[6] = (f[6].parse::<f64>().unwrap() + start).to_string();
                }
                f.join(",")
            };
            let text = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, text.lines().map(raise).collect::<Vec<_>>().join("\n")).unwrap();
        });
        named(&figures, "return-1")
    };
    let ticks = |svg: &str| -> Vec<String> {
        elements(svg, "text class=\"tick\"").map(|e| e.split_once('>').unwrap().1.to_owned()).collect()
    };
    let (near, far) = (with(5.0), with(500.0));
    assert_eq!(ticks(&near), ticks(&far));
    assert!(labels(&far).iter().any(|(t, _)| t == "↑ fresh"), "the line that leaves says so");
    let y = |e: &str| {
        e.split("points=\"").nth(1).unwrap().split('"').next().unwrap().split(' ').all(|p| {
            let y: f64 = p.split_once(',').unwrap().1.parse().unwrap();
            (33.0..=400.0).contains(&y)
        })
    };
    assert!(elements(&far, "polyline class=\"curve").all(y), "nothing is drawn outside of the frame");
}

#[test]
fn a_file_opens_alone_and_holds_the_numbers() {
    for f in figures(|d| common::matrix(d, 6, 5, 3)).iter().chain(&figures(|d| common::bilingual(d, 3))) {
        assert!(f.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{}", f.name);
        let mut lines = f.csv.lines();
        let header = lines.next().unwrap().split(',').count();
        assert!(lines.clone().count() > 2 && lines.all(|l| l.split(',').count() >= header), "{}", f.csv);
        let Some(svg) = &f.svg else { continue };
        assert!(
            svg.starts_with("<?xml") && svg.contains("xmlns=\"http://www.w3.org/2000/svg\""),
            "{}",
            f.name
        );
        assert!(svg.contains("<style>") && !svg.contains("var(--"), "{}: own style, no variables", f.name);
        // The one address is the name of the format.
        assert_eq!(svg.matches("http").count(), 1, "{}", f.name);
        assert!(!svg.contains("<a ") && !svg.contains("href"), "{}: nothing leads out", f.name);
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
    }
}

#[test]
fn a_method_has_one_colour_whatever_the_order_of_arms() {
    let class = |run: &lobe_report::RunData| {
        let page = lobe_report::html::render(run);
        // The mark beside the arm's name in the answer.
        let before = page.split(">sgtm<").next().unwrap().to_owned();
        let before = before.split("</span>sgtm").next().unwrap().to_owned();
        before.rsplit("<g class=\"").next().unwrap().split('"').next().unwrap().to_owned()
    };
    let run = loaded(|d| common::bilingual(d, 3));
    let mut turned = loaded(|d| common::bilingual(d, 3));
    turned.manifest.arms.reverse();
    assert_eq!((class(&run), class(&turned)), ("k5".to_owned(), "k5".to_owned()));
}
