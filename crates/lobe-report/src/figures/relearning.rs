//! Loss while an attack runs.

use super::curves::{Bundle, Plot, Shape, bundle, draw, key};
use super::{Figure, Ink, Panel, Size, axis, seeds};
use crate::data::summary;
use crate::svg::fit;

/// From this many attacks on, small plots with one key instead of large ones with names.
const MULTIPLES: usize = 4;
/// Most small plots.
const MOST: usize = 32;

struct Attack<'a> {
    stage: &'a str,
    label: String,
    unit: &'a str,
    bundles: Vec<Bundle<'a>>,
}

/// One figure per attack, or one of small multiples.
pub(super) fn build<'a>(ink: &Ink<'a>) -> Result<Vec<Figure>, String> {
    let run = ink.run;
    let stages = run.attack_stages();
    if stages.is_empty() {
        return Err("no stage tried to bring the capability back".into());
    }
    let attack = |stage: &&'a str| {
        let metric = run.attack_metric(stage);
        let label = run.target(stage, &metric)?.to_owned();
        let measured = run.measured(stage, &metric, &label)?;
        let bundles: Vec<_> = ink.arms().filter_map(|(arm, look)| bundle(arm, look, measured)).collect();
        Some(Attack { stage, label, unit: &measured.unit, bundles })
    };
    let mut attacks: Vec<Attack<'_>> = stages.iter().filter_map(attack).collect();
    if attacks.len() >= MULTIPLES {
        // An attack of one step has a number but no curve; the matrix has the number.
        attacks.retain(|a| a.bundles.iter().any(|b| b.mean.len() > 1));
        return multiples(ink, &attacks)
            .map(|f| vec![f])
            .ok_or_else(|| "no attack has measured a curve".into());
    }
    let figures: Vec<Figure> = attacks.iter().filter_map(|a| single(ink, a, stages.len() > 1)).collect();
    let mut out = Vec::new();
    for (i, mut f) in figures.into_iter().enumerate() {
        f.id = format!("relearning-{}", i + 1);
        out.push(f);
    }
    if out.is_empty() { Err("the attack stages have not measured a loss yet".into()) } else { Ok(out) }
}

/// The baseline's loss on the very tokens that the attack is judged by.
fn level(ink: &Ink<'_>, a: &Attack<'_>) -> Option<(f64, String)> {
    let baseline = ink.run.baseline()?;
    // The same for every arm of a seed; older runs have it for attacks that train only, or not at all.
    let of = |metric: &str| {
        let measured = ink.run.measured(a.stage, metric, &a.label)?;
        let mut seeds: Vec<(u64, f64)> = ink.arms().flat_map(|(arm, _)| measured.finals(arm)).collect();
        seeds.sort_by_key(|s| s.0);
        seeds.dedup_by_key(|s| s.0);
        summary(&seeds)
    };
    let whole = || summary(&ink.run.before(baseline, "loss", &a.label));
    let mean = of("baseline_start").or_else(|| of("steps_target")).or_else(whole)?.mean;
    Some((mean, format!("{} level", fit(baseline, 70.0))))
}

fn single(ink: &Ink<'_>, a: &Attack<'_>, many: bool) -> Option<Figure> {
    let level = level(ink, a);
    let caption_level = if level.is_some() {
        " The horizontal line is the baseline arm's loss before the attack: an arm is back once its curve meets it."
    } else {
        ""
    };
    let y = axis(&format!("{} loss, worst case of the sweep", a.label), a.unit);
    let plot = Plot {
        titles: ("attack steps", &y),
        about: &format!("Relearning curves of stage {}", a.stage),
        level,
        bands: true,
        narrow_log: false,
        shape: Shape::Plain,
        log_x: false,
    };
    let svg = draw(&a.bundles, &plot)?;
    let n = seeds(a.bundles.iter().map(|b| b.seeds.len()));
    Some(Figure {
        id: String::new(),
        title: if many { format!("Bringing it back: {}", a.stage) } else { "Bringing it back".into() },
        panels: vec![Panel { svg, size: Size::Plain }],
        caption: format!(
            "Loss while the attack trains on what was forgotten, the worst case over the attack's own sweep at each \
             step. A curve that falls early means the capability was still there. Lines are means, bands 95 % \
             intervals ({n}).{caption_level}{}",
            ink.crowd_words()
        ),
        steps_of: Some(a.stage.to_owned()),
        below: Vec::new(),
    })
}

fn multiples(ink: &Ink<'_>, attacks: &[Attack<'_>]) -> Option<Figure> {
    let level_of = |a: &Attack<'_>| level(ink, a);
    let with_level = attacks.iter().any(|a| level_of(a).is_some());
    let named = ink
        .arms()
        .filter(|(arm, l)| !l.rest && attacks.iter().any(|a| a.bundles.iter().any(|b| b.arm == *arm)));
    let named: Vec<_> = named.collect();
    let mut panels = vec![Panel { svg: key(&named, with_level, ink.crowd()), size: Size::Wide }];
    for a in attacks.iter().take(MOST) {
        let y = axis(&format!("{}: {} loss", fit(a.stage, 230.0), fit(&a.label, 60.0)), a.unit);
        let about = format!("Loss during attack {}", a.stage);
        let plot = Plot {
            titles: ("steps", &y),
            about: &about,
            level: level_of(a),
            bands: true,
            narrow_log: false,
            shape: Shape::Small,
            log_x: false,
        };
        panels.extend(draw(&a.bundles, &plot).map(|svg| Panel { svg, size: Size::Narrow }));
    }
    if panels.len() < 2 {
        return None;
    }
    let n = seeds(attacks.iter().flat_map(|a| a.bundles.iter().map(|b| b.seeds.len())));
    let baseline = if with_level {
        " The dotted line is the baseline's loss before the attack: an arm is back once its curve meets it."
    } else {
        ""
    };
    Some(Figure {
        id: "relearning".into(),
        title: "Bringing it back".into(),
        panels,
        caption: format!(
            "Loss while each attack goes on, the worst case over its own sweep at each step of its axis; one plot per attack \
             with more than one step, each on its own scale. Lines are means, bands 95 % intervals \
             ({n}).{baseline}{}",
            ink.crowd_words()
        ),
        steps_of: None,
        below: Vec::new(),
    })
}
