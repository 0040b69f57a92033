//! The training curves.

use super::curves::{COLUMNS, MOST_POINTS, Plot, Shape, bundle, draw, write};
use super::{Data, Figure, Ink, Panel, Place, Size, axis, seeds};
use crate::format::number;

/// Most plots.
const MOST: usize = 6;

/// Training loss of every arm.
pub(super) fn build(ink: &Ink<'_>) -> Result<Figure, String> {
    let run = ink.run;
    let attacks = run.attack_stages();
    let (mut panels, mut count, mut data) = (Vec::new(), Vec::new(), Data::new(&COLUMNS));
    let (all, mut longest) = (run.ordered(), 0);
    for (quantity, measured) in
        all.iter().filter(|(q, _)| run.is_curve(&q.metric) && !attacks.contains(&q.stage.as_str()))
    {
        let bundles: Vec<_> = ink.arms().filter_map(|(arm, look)| bundle(arm, look, measured)).collect();
        // A stage of one step has a number but no curve.
        if bundles.iter().all(|b| b.mean.len() < 2) || panels.len() == MOST {
            continue;
        }
        let whole = matches!(quantity.label.as_str(), "" | "all");
        let what = if whole { String::new() } else { format!(", {}", quantity.label) };
        let y = axis(&format!("training loss{what}"), &measured.unit);
        let x = format!("steps of {}", quantity.stage);
        let about = format!("Training loss of stage {}{what}", quantity.stage);
        let plot = Plot {
            titles: (&x, &y),
            about: &about,
            levels: Vec::new(),
            bands: false,
            narrow_log: true,
            shape: Shape::Plain,
            log_x: false,
            outsider: None,
        };
        count.extend(bundles.iter().map(|b| b.seeds.len()));
        longest = longest.max(measured.by_arm.values().flatten().map(|(_, p)| p.len()).max().unwrap_or(0));
        write(&mut data, &format!("{}{what}", quantity.stage), &bundles);
        panels.extend(draw(&bundles, &plot).map(|drawing| Panel { drawing, size: Size::Plain }));
    }
    if panels.is_empty() {
        return Err("no training loss over steps".into());
    }
    let thinned = if longest > MOST_POINTS {
        format!(
            " Neighbouring steps are averaged: {} points become at most {MOST_POINTS}.",
            number(longest as f64)
        )
    } else {
        String::new()
    };
    Ok(Figure {
        id: "training".into(),
        title: "Training".into(),
        panels,
        caption: format!(
            "Running training loss. Heavy lines are means over seeds, faint ones single seeds ({}). Each arm averages over \
             the data it trains on, so compare levels only between arms that see the same data.{thinned}{}",
            seeds(count.into_iter()),
            ink.crowd_words()
        ),
        data,
        below: Vec::new(),
        place: Place::Folded,
    })
}
