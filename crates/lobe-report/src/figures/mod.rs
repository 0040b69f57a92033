//! The figures of a report. Each builder looks at the run and either draws or says why it cannot.

mod activity;
mod curves;
mod dots;
mod tradeoff;

use crate::RunData;
use crate::palette::{Look, looks};

/// A finished figure.
#[derive(Debug)]
pub(crate) struct Figure {
    /// Anchor in the page.
    pub(crate) id: String,
    pub(crate) title: String,
    /// One or more `<svg>` elements, each with its own heading where there are several.
    pub(crate) panels: Vec<Panel>,
    /// How to read it.
    pub(crate) caption: String,
    /// The attack stage whose table of steps stands beside the figure.
    pub(crate) steps_of: Option<String>,
}

/// One drawing of a figure.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) svg: String,
    /// Narrow panels stand side by side.
    pub(crate) narrow: bool,
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
    let tradeoff = tradeoff::build(&ink);
    let shown = tradeoff.is_ok();
    take("trade-off of forget against retain", tradeoff.map(|f| vec![f]));
    take("relearning curves", curves::relearning(&ink));
    take("unit activity", activity::build(&ink));
    take("training curves", curves::training(&ink).map(|f| vec![f]));
    // Without other metrics there is nothing more to show once the trade-off shows the losses.
    match dots::build(&ink, shown) {
        Err(_) if shown => {}
        built => take("final metrics per label", built),
    }
    (figures, missing)
}

/// What every builder needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink<'a> {
    pub(crate) run: &'a RunData,
    looks: &'a [Look],
}

impl<'a> Ink<'a> {
    /// Arms with their looks, references last so that they lie on top.
    pub(crate) fn arms(self) -> impl Iterator<Item = (&'a str, Look)> {
        self.run.arms().iter().zip(self.looks).map(|(a, l)| (a.name.as_str(), *l))
    }
}

/// `metric (unit)` in words.
pub(crate) fn axis(metric: &str, unit: &str) -> String {
    let metric = metric.replace('_', " ");
    if unit.is_empty() || unit == metric { metric } else { format!("{metric} ({unit})") }
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

/// Least and greatest of what is finite.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}
