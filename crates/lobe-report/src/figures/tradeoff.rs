//! Forget loss against retain loss: did the cut take away the one and leave the other?

use super::{Data, Figure, Ink, Panel, Place, Size, axis, seeds, with_intervals};
use crate::format::interval;
use crate::palette::Look;
use crate::run::summary;
use crate::stats::Summary;
use crate::svg::{Anchor, Drawing, Frame, Labels, Scale, Svg, apart, axes, fit, pad};

/// Most markers per arm.
const MOST_SEEDS: usize = 200;
/// Radius of an arm's mean.
const MARK: f64 = 6.0;

/// One arm in the plane; losses as (forget, retain).
struct Spot<'a> {
    arm: &'a str,
    look: Look,
    /// With the seed each belongs to.
    seeds: Vec<(u64, (f64, f64))>,
    before: Vec<(u64, (f64, f64))>,
    /// Whether another arm stands where this one came from.
    borrowed: bool,
    forget: Summary,
    retain: Summary,
}

impl Spot<'_> {
    fn mean(&self) -> (f64, f64) {
        (self.forget.mean, self.retain.mean)
    }
}

/// The mean of points.
fn middle(points: &[(u64, (f64, f64))]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |m, (_, p)| (m.0 + p.0, m.1 + p.1));
    (!points.is_empty()).then(|| (sum.0 / n, sum.1 / n))
}

fn spot<'a>(ink: &Ink<'a>, arm: &'a str, look: Look) -> Option<Spot<'a>> {
    let run = ink.run;
    let both = |x: Vec<(u64, f64)>, y: Vec<(u64, f64)>| -> Vec<(u64, (f64, f64))> {
        let at = |seed: u64| y.iter().find(|(s, _)| *s == seed).map(|p| p.1);
        x.iter().filter_map(|&(seed, v)| Some((seed, (v, at(seed)?)))).collect()
    };
    let seeds = both(run.after(arm, "loss", "forget"), run.after(arm, "loss", "retain"));
    // Where a crowd came from would hide where it went.
    let before = if run.changed(arm, "loss") && !look.rest {
        both(run.before(arm, "loss", "forget"), run.before(arm, "loss", "retain"))
    } else {
        Vec::new()
    };
    let of =
        |pick: fn(&(f64, f64)) -> f64| summary(&seeds.iter().map(|(s, p)| (*s, pick(p))).collect::<Vec<_>>());
    let (forget, retain) = (of(|p| p.0)?, of(|p| p.1)?);
    let borrowed =
        run.origin(arm, "loss").is_some_and(|(origin, _)| origin != arm && run.is_reference(origin));
    Some(Spot { arm, look, seeds, before, borrowed, forget, retain })
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
    let mut data = Data::new(&["arm", "seed", "when", "forget_loss", "retain_loss"]);
    for s in &spots {
        let after = if s.before.is_empty() { "as trained" } else { "after the cut" };
        for (points, when) in [(&s.before, "before the cut"), (&s.seeds, after)] {
            let row = |(seed, p): &(u64, (f64, f64))| {
                vec![s.arm.to_owned(), seed.to_string(), when.to_owned(), p.0.to_string(), p.1.to_string()]
            };
            data.rows.extend(points.iter().map(row));
        }
    }
    Ok(Figure {
        id: "trade-off".into(),
        title: title.into(),
        panels: vec![Panel { drawing: plane(ink, &spots, cut)?, size: Size::Plain }],
        caption: caption(ink, &spots, cut),
        data,
        below: Vec::new(),
        place: Place::Answer,
    })
}

/// The drawing.
fn plane(ink: &Ink<'_>, spots: &[Spot<'_>], cut: bool) -> Result<Drawing, String> {
    let points = || spots.iter().flat_map(|s| s.seeds.iter().chain(&s.before).map(|p| p.1));
    let bars = |of: fn(&Spot<'_>) -> Summary| {
        spots.iter().filter_map(move |s| of(s).interval).flat_map(|i| [i.0, i.1])
    };
    let x = with_intervals(points().map(|p| p.0), bars(|s| s.forget));
    let y = with_intervals(points().map(|p| p.1), bars(|s| s.retain));
    let (Some(x), Some(y)) = (x, y) else { return Err("no finite losses".into()) };

    let mut svg = Svg::new(470.0, 344.0);
    let frame = Frame { left: 50.0, top: 34.0, right: 460.0, bottom: 296.0 };
    let (x, y) =
        (Scale::linear(pad(x.0, x.1, 0.08), frame.x()), Scale::linear(pad(y.0, y.1, 0.14), frame.y()));
    let unit = ink.run.unit("loss");
    let when = if cut { " after the cut" } else { "" };
    let titles = (axis(&format!("forget loss{when}"), unit), axis(&format!("retain loss{when}"), unit));
    axes(&mut svg, frame, &x, &y, (&titles.0, &titles.1));
    svg.text((frame.right, frame.top - 12.0), Anchor::End, "tick", "better: right and down ↘");
    // What an interval has outside of the frame is cut off.
    let at =
        |(a, b): (f64, f64)| (x.at(a).clamp(frame.left, frame.right), y.at(b).clamp(frame.top, frame.bottom));
    let mut labels = Labels::new(frame);
    for s in spots.iter().filter(|s| ink.run.is_reference(s.arm) && Some(s.arm) != ink.run.filter()) {
        svg.line((x.at(s.forget.mean), frame.top), (x.at(s.forget.mean), frame.bottom), "reference");
    }
    // Means that would hide each other stand side by side; their intervals stay where they are.
    let named: Vec<&Spot<'_>> = spots.iter().filter(|s| !s.look.rest).collect();
    let means = apart(&named.iter().map(|s| at(s.mean())).collect::<Vec<_>>(), MARK);
    for s in spots.iter().filter(|s| s.look.rest) {
        marks(&mut svg, &mut labels, s, at(s.mean()), at);
    }
    for (s, mean) in named.iter().zip(&means) {
        marks(&mut svg, &mut labels, s, *mean, at);
    }
    // In a crowd only the arms that stand out have room for a name.
    for (s, mean) in named.iter().zip(&means) {
        svg.open(s.look.class, "");
        labels.put(&mut svg, *mean, &fit(s.arm, 150.0), "label");
        svg.close();
    }
    Ok(svg.finish("Forget loss against retain loss after the cut, per arm"))
}

/// One arm: its seeds, where they came from, their mean with its intervals.
fn marks(
    svg: &mut Svg,
    labels: &mut Labels,
    s: &Spot<'_>,
    mean: (f64, f64),
    at: impl Fn((f64, f64)) -> (f64, f64),
) {
    let centre = at(s.mean());
    svg.open(s.look.class, &format!("{}: {}", s.arm, sentence(s)));
    if let Some(before) = middle(&s.before).map(&at) {
        svg.path(&[before, centre], "trail", "");
        labels.avoid_line(before, centre);
        if !s.borrowed {
            for (_, p) in s.before.iter().take(MOST_SEEDS) {
                svg.marker(at(*p), 2.6, s.look.marker, "ghost");
            }
            svg.marker(before, MARK - 1.0, s.look.marker, "hollow");
            labels.avoid(before, 8.0);
        }
    }
    for (_, p) in s.seeds.iter().take(MOST_SEEDS) {
        svg.marker(at(*p), 2.8, s.look.marker, "seed");
        labels.avoid(at(*p), 4.0);
    }
    let mut bar = |a: (f64, f64), b: (f64, f64)| {
        svg.line(at(a), at(b), "bar");
        labels.avoid_line(at(a), at(b));
    };
    if let Some((low, high)) = s.forget.interval {
        bar((low, s.retain.mean), (high, s.retain.mean));
    }
    if let Some((low, high)) = s.retain.interval {
        bar((s.forget.mean, low), (s.forget.mean, high));
    }
    svg.marker(mean, MARK, s.look.marker, "mean");
    svg.close();
    labels.avoid(mean, 8.0);
}

fn caption(ink: &Ink<'_>, spots: &[Spot<'_>], cut: bool) -> String {
    let n = seeds(spots.iter().map(|s| s.seeds.len()));
    let untrained = ink.run.fresh().map(|f| format!(" Left out: {f}, which was never trained."));
    let rest = untrained.unwrap_or_default() + &ink.crowd_words();
    let before = if cut { " Dashed lines start where the arm stood before the cut (hollow)." } else { "" };
    let lines = match (ink.run.baseline(), ink.run.control()) {
        (Some(b), Some(c)) => format!(" Vertical lines: {b}, and {c}, which never had the capability."),
        (Some(b), None) => format!(" Vertical line: {b}; this run has no control arm."),
        _ => String::new(),
    };
    format!(
        "Held-out loss. Further right is more forgotten; further down is more retained. Large markers are means with 95 % \
         intervals, small ones seeds ({n}); means that would hide each other stand side by side.{before}{lines}{rest}"
    )
}

fn sentence(s: &Spot<'_>) -> String {
    format!("forget {}, retain {}", interval(&s.forget), interval(&s.retain))
}
