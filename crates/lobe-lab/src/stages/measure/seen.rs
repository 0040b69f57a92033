//! What is measured to be seen: which unit answers to which label, what single units decode to, and what every output
//! makes of every label.

use lobe_core::{Region, UNLABELLED};
use lobe_data::Payload;
use lobe_engine::{ShardRows, SiteId, Tape, Workspace};
use lobe_methods::measure::confusion::Confusion;
use lobe_nets::{Batch, Begin, End};

use super::Measure;
use crate::error::LabError;
use crate::graph::Context;
use crate::plan::{Experiment, in_section};
use crate::recipe::{self, PathError};
use crate::store::{Chart, ChartAxis, Metric, Picture, Shape};

/// Most pictures of a chart.
const MOST_PICTURES: usize = 100;
/// Held-out images that say what is black and what is white.
const SHADES: usize = 64;

/// Refuses what does not fit the experiment.
pub(super) fn check(settings: &Measure, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
    let path = ["stage", stage.name.as_str()];
    let refuse = |key: &str, what: String| in_section(Err(PathError::new(key, what)), &path);
    if !settings.argmax.is_empty() {
        let (_, units) = in_section(units(settings, x), &path)?;
        let labels = x.test_labels().len();
        if units.len() != labels {
            return refuse(
                "argmax",
                format!("names {} units for {labels} labels of held-out data", units.len()),
            );
        }
    }
    if settings.decode.is_empty() {
        return Ok(());
    }
    if side(x).is_none() {
        return refuse("decode", "needs images of one channel".into());
    }
    if let Some(bad) = settings.decode.iter().find(|s| !(-1e6..=1e6).contains(*s)) {
        return refuse("decode", format!("{bad} is out of range -1e6 to 1e6"));
    }
    let pictures = settings.decode.len().saturating_mul(x.net.width_at(0));
    if pictures > MOST_PICTURES {
        return refuse("decode", format!("makes {pictures} pictures; at most {MOST_PICTURES} are drawn"));
    }
    Ok(())
}

/// The site of [`Measure::argmax`] and its units, ascending.
fn units(settings: &Measure, x: &Experiment) -> Result<(SiteId, Vec<usize>), PathError> {
    let text = settings.argmax.as_str();
    let region = text.parse::<Region>().and_then(|r| r.resolve(x.layout().sites()));
    let region = region.map_err(|e| PathError::new("argmax", e.to_string()))?;
    let sites: Vec<_> = region.sites().filter(|(_, r)| !r.is_empty()).collect();
    let [(site, ranges)] = sites[..] else {
        return Err(PathError::new("argmax", format!("{text:?} names {} sites, not one", sites.len())));
    };
    Ok((SiteId(site), ranges.iter().cloned().flatten().map(|u| u as usize).collect()))
}

/// Pixels in a row of an image.
fn side(x: &Experiment) -> Option<usize> {
    match &x.data.test.payload {
        Payload::Rows { image: Some((1, _, width)), .. } => Some(*width),
        _ => None,
    }
}

/// Names of the labels that held-out data carries.
fn labels(x: &Experiment) -> Vec<String> {
    x.test_labels().iter().map(|l| x.labels.name(*l).to_owned()).collect()
}

/// Which unit answers to which label: numbers and a chart.
pub(super) fn confusion(
    settings: &Measure,
    c: &Context<'_>,
    params: &[f32],
    eval: &Batch,
) -> Result<(Vec<Metric>, Option<Chart>), LabError> {
    let x = c.experiment;
    if settings.argmax.is_empty() {
        return Ok((Vec::new(), None));
    }
    let (site, units) = in_section(units(settings, x), &["stage"])?;
    let labels = x.test_labels();
    let parts = c.forward(params).each_shard(eval, |tape, _, shard| -> Result<Confusion, LabError> {
        let mut out = Confusion::new(labels.len(), units.len());
        let Some(v) = tape.at_site(site) else { return Ok(out) };
        let cols = tape.shape(v).1;
        for row in eval.counted(shard) {
            let values = &tape.value(v)[row * cols..][..cols];
            let label = eval.row_label(shard, row);
            if let Some(label) = labels.iter().position(|l| *l == label) {
                out.add(label, units.iter().map(|u| values[*u]));
            }
        }
        Ok(out)
    })?;
    let mut all = Confusion::new(labels.len(), units.len());
    for part in &parts {
        all.merge(part);
    }
    let names = self::labels(x);
    let fraction = |label: &str, metric: &str, value: Option<f64>| {
        value.map(|v| Metric::new(label, metric, v, "fraction"))
    };
    let mut found: Vec<Metric> = Vec::new();
    found.extend(fraction("all", "argmax_accuracy", all.accuracy()));
    found.extend(fraction("all", "argmax_purity", all.purity()));
    let of_label = |(i, name): (usize, &String)| fraction(name, "argmax_accuracy", all.of_label(i));
    found.extend(names.iter().enumerate().filter_map(of_label));
    let values = all.counts.iter().map(|row| row.iter().map(|n| Some(*n as f64)).collect()).collect();
    let columns = units.iter().map(usize::to_string).collect();
    let chart = Chart {
        name: "confusion".into(),
        title: "Which unit answers to which label".into(),
        caption: Some(format!("Held-out examples by label and by the largest unit of {}.", settings.argmax)),
        x: axis("largest unit"),
        y: axis("examples"),
        levels: Vec::new(),
        shape: Shape::Heat { rows: names, columns, values },
    };
    Ok((found, Some(chart)))
}

fn axis(name: &str) -> ChartAxis {
    ChartAxis { name: name.into(), ..ChartAxis::default() }
}

/// What each unit of the first cut decodes to alone, at each strength.
pub(super) fn decoded(settings: &Measure, x: &Experiment, params: &[f32]) -> Result<Option<Chart>, LabError> {
    let Some(side) = side(x).filter(|_| !settings.decode.is_empty()) else { return Ok(None) };
    let units = x.net.width_at(0);
    let rows = settings.decode.len() * units;
    let (mut ws, plan) = (Workspace::default(), x.net.plain());
    let shard = ShardRows::uniform(rows, UNLABELLED);
    let mut tape = Tape::new(&mut ws, x.layout(), params, None, &plan, shard);
    let z = tape.input(rows, units, |z| {
        z.fill(0.0);
        for (row, z) in z.chunks_exact_mut(units.max(1)).enumerate() {
            z[row % units] = settings.decode[row / units] as f32;
        }
    });
    let end = x.net.run(&mut tape, Begin::Cut { cut: 0, x: z, seq: 1 }, End::Outputs)?.end(0)?;
    let (_, width) = tape.shape(end);
    let (low, high) = shades(x);
    let ink = |v: &f32| ((v - low) / (high - low)).clamp(0.0, 1.0);
    let picture = |(row, values): (usize, &[f32])| {
        let (unit, strength) = (row % units, settings.decode[row / units]);
        let name = if rows == units { unit.to_string() } else { format!("{unit} at {strength}") };
        Picture { name, width: side, pixels: values.iter().map(ink).collect() }
    };
    let pictures = tape.value(end).chunks_exact(width.max(1)).enumerate().map(picture).collect();
    let strengths: Vec<String> = settings.decode.iter().map(f64::to_string).collect();
    Ok(Some(Chart {
        name: "decoded".into(),
        title: "What single units decode to".into(),
        caption: Some(format!("One unit at {}, all others at 0.", strengths.join(", "))),
        x: ChartAxis::default(),
        y: ChartAxis::default(),
        levels: Vec::new(),
        shape: Shape::Pictures { pictures },
    }))
}

/// The smallest and the largest number of some held-out images: paper and ink.
fn shades(x: &Experiment) -> (f32, f32) {
    let test = &x.data.test;
    let numbers = (0..test.len().min(SHADES)).flat_map(|i| test.numbers(i));
    let (low, high) =
        numbers.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    if low < high { (low, high) } else { (0.0, 1.0) }
}

/// What every output makes of every label, as one row; `found` are the numbers of the model.
pub(super) fn map(x: &Experiment, found: &[Metric]) -> Chart {
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    let mut unit = "";
    for (i, output) in x.net.outputs().iter().enumerate() {
        let (metric, of) = output.read.metrics()[0];
        let metric = if i == 0 { metric.to_owned() } else { format!("{metric}@{}", output.name) };
        unit = of;
        for label in labels(x) {
            let value = found.iter().find(|m| m.metric == metric && m.label == label).map(|m| m.value);
            columns.push(format!("{} {label}", output.name));
            values.push(value);
        }
    }
    Chart {
        name: "map".into(),
        title: "What every output makes of every label".into(),
        caption: Some("One row per arm; a column is an output and a label.".into()),
        x: axis("output and label"),
        y: ChartAxis { name: "held-out loss".into(), unit: unit.into(), log: false },
        levels: Vec::new(),
        shape: Shape::Heat { rows: vec![String::new()], columns, values: vec![values] },
    }
}
