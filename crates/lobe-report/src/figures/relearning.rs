//! Loss while an attack goes on.

use super::curves::{Bundle, COLUMNS, Plot, Shape, bundle, draw, write};
use super::key::key;
use super::{Below, Data, Figure, Ink, Panel, Place, Size, along, axis, seeds};
use crate::format::number;
use crate::run::summary;
use crate::svg::fit;
use crate::tables;

/// From this many attacks on, small plots with one key instead of large ones with names.
const MULTIPLES: usize = 3;
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
        let label = run.target(stage, metric)?.to_owned();
        let measured = run.measured(stage, metric, &label)?;
        let bundles: Vec<_> = ink.arms().filter_map(|(arm, look)| bundle(arm, look, measured)).collect();
        Some(Attack { stage, label, unit: &measured.unit, bundles })
    };
    let mut attacks: Vec<Attack<'_>> = stages.iter().filter_map(attack).collect();
    // An attack of one step has a number but no curve; the tables have the number.
    attacks.retain(|a| a.bundles.iter().any(|b| b.mean.len() > 1));
    if attacks.is_empty() {
        return Err("no attack has measured a curve".into());
    }
    if stages.len() >= MULTIPLES {
        return Ok(multiples(ink, &attacks).into_iter().collect());
    }
    // With several attacks the figure under the answer is about all of them.
    let place = if stages.len() == 1 { Place::Answer } else { Place::Body };
    let mut figures: Vec<Figure> = attacks.iter().filter_map(|a| single(ink, a, place)).collect();
    for (i, f) in figures.iter_mut().enumerate() {
        f.id = format!("return-{}", i + 1);
    }
    Ok(figures)
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
    Some((mean, "never cut".to_owned()))
}

/// The arm that was never trained starts far away and must not set the scale; what a caption says of it.
fn outside(ink: &Ink<'_>, attacks: &[Attack<'_>]) -> String {
    let Some(fresh) = ink.run.fresh() else { return String::new() };
    let high = |a: &Attack<'_>| {
        let of = |mine: bool| {
            let lines = a.bundles.iter().filter(move |b| (b.arm == fresh) == mine);
            lines.flat_map(|b| b.mean.iter().map(|p| p.1)).reduce(f64::max)
        };
        of(true).filter(|own| of(false).is_some_and(|other| *own > other))
    };
    match attacks.iter().filter_map(high).reduce(f64::max) {
        Some(most) if attacks.len() == 1 => {
            format!(" ▲: {fresh} is above the frame, up to {}.", number(most))
        }
        Some(_) => format!(" ▲: {fresh}, which was never trained, is above the frame."),
        None => String::new(),
    }
}

fn single(ink: &Ink<'_>, a: &Attack<'_>, place: Place) -> Option<Figure> {
    let level = level(ink, a);
    let baseline = ink.run.baseline().unwrap_or("the baseline");
    let level_words = if level.is_some() {
        format!(
            " The dotted line is the loss of {baseline} before any attack: where a curve meets it, the capability is back."
        )
    } else {
        String::new()
    };
    let y = axis(&format!("{} loss", a.label), a.unit);
    let plot = Plot {
        titles: (&along(ink.run, a.stage), &y),
        about: &format!("Loss during attack {}", a.stage),
        levels: level.into_iter().collect(),
        bands: true,
        narrow_log: false,
        shape: Shape::Plain,
        log_x: false,
        outsider: ink.run.fresh(),
    };
    let drawing = draw(&a.bundles, &plot)?;
    let mut data = Data::new(&COLUMNS);
    write(&mut data, a.stage, &a.bundles);
    let steps = tables::steps(ink.run, a.stage);
    let below = if steps.rows.is_empty() {
        Vec::new()
    } else {
        let note = format!(
            "Attack steps until the loss of {baseline} is reached. A mean stands only where every seed came back: one that \
             did not is a bound, not a number."
        );
        vec![Below { title: format!("Steps of {} until it is back", a.stage), note, table: steps }]
    };
    Some(Figure {
        id: String::new(),
        title: format!("What {} brings back", a.stage),
        panels: vec![Panel { drawing, size: Size::Plain }],
        caption: format!(
            "Loss on {} while the attack goes on: the worst case of its own sweep at each point. Lines are means, bands \
             95 % intervals ({}).{level_words}{}{}",
            a.label,
            seeds(a.bundles.iter().map(|b| b.seeds.len())),
            outside(ink, std::slice::from_ref(a)),
            ink.crowd_words()
        ),
        data,
        below,
        place,
    })
}

fn multiples(ink: &Ink<'_>, attacks: &[Attack<'_>]) -> Option<Figure> {
    let levels: Vec<_> = attacks.iter().map(|a| level(ink, a)).collect();
    let with_level = levels.iter().any(Option::is_some);
    let named = ink
        .arms()
        .filter(|(arm, l)| !l.rest && attacks.iter().any(|a| a.bundles.iter().any(|b| b.arm == *arm)));
    let named: Vec<_> = named.collect();
    let baseline = ink.run.baseline().unwrap_or("the baseline");
    let line = format!("{baseline}, never cut");
    let mut panels =
        vec![Panel { drawing: key(ink, &named, with_level.then_some(line.as_str())), size: Size::Wide }];
    let mut data = Data::new(&COLUMNS);
    for (a, level) in attacks.iter().zip(levels).take(MOST) {
        let y = axis(&format!("{}: {} loss", fit(a.stage, 200.0), fit(&a.label, 60.0)), a.unit);
        let plot = Plot {
            titles: (&along(ink.run, a.stage), &y),
            about: &format!("Loss during attack {}", a.stage),
            levels: level.into_iter().collect(),
            bands: true,
            narrow_log: false,
            shape: Shape::Small,
            log_x: false,
            outsider: ink.run.fresh(),
        };
        write(&mut data, a.stage, &a.bundles);
        panels.extend(draw(&a.bundles, &plot).map(|drawing| Panel { drawing, size: Size::Small }));
    }
    if panels.len() < 2 {
        return None;
    }
    let n = seeds(attacks.iter().flat_map(|a| a.bundles.iter().map(|b| b.seeds.len())));
    Some(Figure {
        id: "return".into(),
        title: "Every attack as it goes on".into(),
        panels,
        caption: format!(
            "Loss while each attack goes on, the worst case of its own sweep at each point of its axis. Attacks with one point \
             only are left out. Lines are means, bands 95 % intervals ({n}).{}{}",
            outside(ink, attacks),
            ink.crowd_words()
        ),
        data,
        below: Vec::new(),
        place: Place::Folded,
    })
}
