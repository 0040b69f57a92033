//! Forget loss against retain loss: did the cut take away the one and leave the other?

use super::{Figure, Ink, Panel, Size, axis, extent, seeds};
use crate::data::summary;
use crate::format::interval;
use crate::palette::Look;
use crate::stats::Summary;
use crate::svg::{Anchor, Frame, Labels, Scale, Svg, axes, fit, pad};

/// Most markers per arm.
const MOST_SEEDS: usize = 200;

/// One arm in the plane.
struct Spot<'a> {
    arm: &'a str,
    look: Look,
    seeds: Vec<(f64, f64)>,
    before: Vec<(f64, f64)>,
    forget: Summary,
    retain: Summary,
}

fn spot<'a>(ink: &Ink<'a>, arm: &'a str, look: Look) -> Option<Spot<'a>> {
    let run = ink.run;
    let both =
        |x: Vec<(u64, f64)>, y: Vec<(u64, f64)>| -> (Vec<(f64, f64)>, Vec<(u64, f64)>, Vec<(u64, f64)>) {
            let at = |seed: u64| y.iter().find(|(s, _)| *s == seed).copied();
            let pairs: Vec<_> = x.iter().filter_map(|&p| Some((p, at(p.0)?))).collect();
            (
                pairs.iter().map(|(a, b)| (a.1, b.1)).collect(),
                pairs.iter().map(|(a, _)| *a).collect(),
                pairs.iter().map(|(_, b)| *b).collect(),
            )
        };
    let (seeds, forget, retain) = both(run.after(arm, "loss", "forget"), run.after(arm, "loss", "retain"));
    // Where a crowd came from would hide where it went.
    let before = if run.changed(arm, "loss") && !look.rest {
        both(run.before(arm, "loss", "forget"), run.before(arm, "loss", "retain")).0
    } else {
        Vec::new()
    };
    Some(Spot { arm, look, seeds, before, forget: summary(&forget)?, retain: summary(&retain)? })
}

pub(super) fn build(ink: &Ink<'_>) -> Result<Figure, String> {
    // A network that was never trained is far from all others, which would leave them no room.
    let fresh = ink.run.fresh();
    let trained = ink.arms().filter(|(arm, _)| Some(*arm) != fresh);
    let spots: Vec<Spot<'_>> = trained.filter_map(|(arm, look)| spot(ink, arm, look)).collect();
    if spots.is_empty() {
        return Err("no arm has a held-out loss for both forget and retain".into());
    }
    // A run that has cut nothing yet still shows where its arms stand.
    let cut = spots.iter().any(|s| !s.before.is_empty());
    let title =
        if cut { "What the cut took away, and what it cost" } else { "Forget loss against retain loss" };
    Ok(Figure {
        id: "trade-off".into(),
        title: title.into(),
        panels: vec![Panel { svg: plane(ink, &spots, cut)?, size: Size::Plain }],
        caption: caption(ink, &spots, cut),
        steps_of: None,
        below: Vec::new(),
    })
}

/// The drawing.
fn plane(ink: &Ink<'_>, spots: &[Spot<'_>], cut: bool) -> Result<String, String> {
    let points = || spots.iter().flat_map(|s| s.seeds.iter().chain(&s.before));
    let bars = || spots.iter().flat_map(|s| [s.forget.interval, s.retain.interval]);
    let xs = points().map(|p| p.0).chain(bars().step_by(2).flatten().flat_map(|i| [i.0, i.1]));
    let ys = points().map(|p| p.1).chain(bars().skip(1).step_by(2).flatten().flat_map(|i| [i.0, i.1]));
    let (Some(x), Some(y)) = (extent(xs), extent(ys)) else { return Err("no finite losses".into()) };

    let mut svg = Svg::new(680.0, 420.0);
    let frame = Frame { left: 60.0, top: 36.0, right: 664.0, bottom: 368.0 };
    let (x, y) =
        (Scale::linear(pad(x.0, x.1, 0.08), frame.x()), Scale::linear(pad(y.0, y.1, 0.1), frame.y()));
    let unit = ink.run.unit("loss");
    let when = if cut { " after the cut" } else { "" };
    let titles = (axis(&format!("forget loss{when}"), unit), axis(&format!("retain loss{when}"), unit));
    axes(&mut svg, frame, &x, &y, (&titles.0, &titles.1));
    svg.text((frame.right, frame.top - 12.0), Anchor::End, "tick", "better: right and down ↘");
    let at = |(a, b): (f64, f64)| (x.at(a), y.at(b));
    for s in spots.iter().filter(|s| ink.run.is_reference(s.arm) && Some(s.arm) != ink.run.filter()) {
        svg.line((x.at(s.forget.mean), frame.top), (x.at(s.forget.mean), frame.bottom), "reference");
    }
    let mut labels = Labels::new(frame);
    for s in spots {
        marks(&mut svg, &mut labels, s, at);
    }
    // In a crowd only the arms that stand out have room for a name.
    for s in spots.iter().filter(|s| !s.look.rest) {
        let centre = at((s.forget.mean, s.retain.mean));
        svg.open(s.look.class, "");
        labels.put(&mut svg, centre, &fit(s.arm, 170.0), "label");
        svg.close();
    }
    Ok(svg.finish("Forget loss against retain loss after the cut, per arm"))
}

/// One arm: its seeds, where they came from, their mean with its intervals.
fn marks(svg: &mut Svg, labels: &mut Labels, s: &Spot<'_>, at: impl Fn((f64, f64)) -> (f64, f64)) {
    let centre = at((s.forget.mean, s.retain.mean));
    svg.open(s.look.class, &format!("{}: {}", s.arm, sentence(s)));
    if !s.before.is_empty() {
        let n = s.before.len() as f64;
        let mean = s.before.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
        svg.path(&[at(mean), centre], "trail", "1 4");
        for p in s.before.iter().take(MOST_SEEDS) {
            svg.marker(at(*p), 4.0, s.look.marker, "ghost");
        }
        labels.avoid(at(mean), 8.0);
    }
    for p in s.seeds.iter().take(MOST_SEEDS) {
        svg.marker(at(*p), 3.4, s.look.marker, "seed");
        labels.avoid(at(*p), 5.0);
    }
    if let Some((low, high)) = s.forget.interval {
        svg.line(at((low, s.retain.mean)), at((high, s.retain.mean)), "bar");
    }
    if let Some((low, high)) = s.retain.interval {
        svg.line(at((s.forget.mean, low)), at((s.forget.mean, high)), "bar");
    }
    svg.marker(centre, 6.0, s.look.marker, "mean");
    svg.close();
    labels.avoid(centre, 8.0);
}

fn caption(ink: &Ink<'_>, spots: &[Spot<'_>], cut: bool) -> String {
    let n = seeds(spots.iter().map(|s| s.seeds.len()));
    let untrained = ink.run.fresh().map(|f| format!(" Left out: {f}, which was never trained."));
    let rest = untrained.unwrap_or_default() + &ink.crowd_words();
    let when = if cut { " after the cut" } else { "" };
    let ghosts =
        if cut { " Hollow markers joined by a dotted line: the same arm before the cut." } else { "" };
    let as_trained = if cut { " Baseline, filter and control are shown as trained." } else { "" };
    let lines = match (ink.run.baseline(), ink.run.control()) {
        (Some(b), Some(c)) => {
            format!(" Vertical lines: forget loss of {b} and of {c}, which never had the capability.")
        }
        (Some(b), None) => format!(" Vertical line: forget loss of {b}; this run has no control arm."),
        _ => String::new(),
    };
    format!(
        "Held-out loss{when}. Further right is more forgotten, further down is more retained: a good method \
         stands low at the right. Small markers are seeds, large ones their mean with 95 % intervals ({n}).\
         {ghosts}{lines}{as_trained}{rest}"
    )
}

fn sentence(s: &Spot<'_>) -> String {
    format!("forget {}, retain {}", interval(&s.forget), interval(&s.retain))
}
