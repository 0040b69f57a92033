//! The figures of a report. Each builder looks at the run and either draws or says why it cannot.

mod activity;
mod axis;
mod charts;
mod clip;
mod curves;
mod families;
mod graft;
mod key;
mod matrix;
pub(crate) mod measures;
mod published;
mod relearning;
mod tradeoff;
mod training;
mod worst;

pub(crate) use axis::along;

use crate::RunData;
use crate::palette::{Look, looks};
use crate::stats::extent;
use crate::svg::{Drawing, alone};
use crate::tables::Table;
use lobe_runs::record;

/// A finished figure.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Anchor in the page, and name of its files.
    pub(crate) id: String,
    pub(crate) title: String,
    /// One or more drawings, each with its own heading where there are several.
    pub(crate) panels: Vec<Panel>,
    /// How to read it.
    pub(crate) caption: String,
    /// The numbers that are drawn.
    pub(crate) data: Data,
    /// Tables below the figure, folded.
    pub(crate) below: Vec<Below>,
    pub(crate) place: Place,
}

/// A table that belongs to a figure.
#[derive(Debug)]
pub(crate) struct Below {
    pub(crate) title: String,
    /// How to read it.
    pub(crate) note: String,
    pub(crate) table: Table,
}

/// Where in the page a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Beside another under the answer, which the two carry.
    Answer,
    /// In the body.
    Body,
    /// In the body, folded: for looking up.
    Folded,
}

/// How much room a drawing takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Stands beside others.
    Small,
    /// A line of its own, or half of a wide one.
    Plain,
    /// As wide as it is, scrolled where the page is narrower.
    Wide,
}

/// One drawing of a figure.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) drawing: Drawing,
    pub(crate) size: Size,
}

/// A table of plain numbers.
#[derive(Debug, Default)]
pub(crate) struct Data {
    pub(crate) header: &'static [&'static str],
    pub(crate) rows: Vec<Vec<String>>,
}

impl Data {
    pub(crate) fn new(header: &'static [&'static str]) -> Data {
        Data { header, rows: Vec::new() }
    }

    /// As a file.
    pub(crate) fn csv(&self) -> String {
        let mut out = String::new();
        record(&mut out, &self.header.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>());
        self.rows.iter().for_each(|r| record(&mut out, r));
        out
    }
}

/// A number of [`Data`], empty where it is missing.
pub(crate) fn plain(v: Option<f64>) -> String {
    v.map_or_else(String::new, |v| v.to_string())
}

impl Figure {
    /// The figure as an SVG file that opens alone.
    pub(crate) fn svg(&self) -> String {
        alone(&self.title, &self.panels.iter().map(|p| &p.drawing).collect::<Vec<_>>())
    }
}

/// What is not shown, and why.
#[derive(Debug)]
pub(crate) struct NotShown {
    pub(crate) what: &'static str,
    pub(crate) why: String,
}

/// Every figure the run has data for, in reading order.
pub(crate) fn all(run: &RunData) -> (Vec<Figure>, Vec<NotShown>) {
    let looks = looks(run);
    let ink = Ink { run, looks: &looks };
    let (mut figures, mut missing) = (Vec::new(), Vec::new());
    let mut take = |what, built: Result<Vec<Figure>, String>| match built {
        Ok(list) => figures.extend(list),
        Err(why) => missing.push(NotShown { what, why }),
    };
    take("trade-off of forget against retain", tradeoff::build(&ink).map(|f| vec![f]));
    take("worst case of every arm", Ok(worst::build(&ink).into_iter().collect()));
    take("matrix of arms and attacks", matrix::build(&ink));
    take("curves under attack", relearning::build(&ink));
    take("sparse grafts", Ok(graft::build(&ink).into_iter().collect()));
    take("families of arms", Ok(families::build(&ink)));
    take("published numbers", Ok(published::build(&ink).into_iter().collect()));
    take("charts of stages", Ok(charts::build(&ink)));
    take("unit activity", activity::build(&ink));
    take("training curves", training::build(&ink).map(|f| vec![f]));
    // One figure under the answer would stand beside nothing.
    if figures.iter().filter(|f| f.place == Place::Answer).count() < 2 {
        figures.iter_mut().filter(|f| f.place == Place::Answer).for_each(|f| f.place = Place::Body);
    }
    (figures, missing)
}

/// What every builder needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink<'a> {
    pub(crate) run: &'a RunData,
    pub(crate) looks: &'a [Look],
}

impl<'a> Ink<'a> {
    /// Arms with their looks, in the run's order.
    pub(crate) fn arms(self) -> impl Iterator<Item = (&'a str, Look)> {
        self.run.arms().iter().zip(self.looks).map(|(a, l)| (a.name.as_str(), *l))
    }

    /// How many arms are drawn but not named.
    pub(crate) fn crowd(self) -> usize {
        self.looks.iter().filter(|l| l.rest).count()
    }

    /// What a caption says about arms that are not named, if there are any.
    pub(crate) fn crowd_words(self) -> String {
        let n = self.crowd();
        if n == 0 {
            return String::new();
        }
        format!(
            " Named: the references and the arms with the best and the worst results under attack; the other {n} are \
             grey. Point at one to see its name."
        )
    }
}

/// `metric (unit)` in words.
pub(crate) fn axis(metric: &str, unit: &str) -> String {
    let metric = metric.replace('_', " ");
    if unit.is_empty() || metric.split(' ').any(|word| word == unit) {
        metric
    } else {
        format!("{metric} ({unit})")
    }
}

/// `3 seeds`, or `2 to 3 seeds`.
pub(crate) fn seeds(counts: impl Iterator<Item = usize>) -> String {
    let (mut low, mut high) = (usize::MAX, 0);
    for n in counts {
        (low, high) = (low.min(n), high.max(n));
    }
    match (low, high) {
        (1, 1) => "1 seed, so there are no intervals".into(),
        (l, h) if l >= h => format!("{h} seeds"),
        (l, h) => format!("{l} to {h} seeds"),
    }
}

/// Least and greatest of `values`, widened so that it holds their intervals, too, but not by more than a third:
/// with two seeds an interval can be ten times as wide as all that was measured, and would leave it no room.
pub(crate) fn with_intervals(
    values: impl Iterator<Item = f64>,
    edges: impl Iterator<Item = f64>,
) -> Option<(f64, f64)> {
    let (low, high) = extent(values)?;
    let span = if high > low { high - low } else { high.abs().max(1e-6) * 0.2 };
    let (least, most) = (low - span / 3.0, high + span / 3.0);
    let (from, to) = extent(edges).unwrap_or((low, high));
    Some((low.min(from).max(least), high.max(to).min(most)))
}
