//! The figures of a report. Each builder looks at the run and either draws or says why it cannot.

mod activity;
mod curves;
mod dots;
mod graft;
mod matrix;
mod relearning;
mod tradeoff;

use crate::RunData;
use crate::palette::{Look, looks};
use crate::tables::Table;

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
    /// Tables below the figure: heading, how to read it, table.
    pub(crate) below: Vec<(String, String, Table)>,
}

/// How much room a drawing takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Stands beside others.
    Narrow,
    /// A line of its own.
    Plain,
    /// As wide as it is, scrolled where the page is narrower.
    Wide,
}

/// One drawing of a figure.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) svg: String,
    pub(crate) size: Size,
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
    take("matrix of arms and attacks", matrix::build(&ink));
    let tradeoff = tradeoff::build(&ink);
    let shown = tradeoff.is_ok();
    take("trade-off of forget against retain", tradeoff.map(|f| vec![f]));
    take("sparse grafts", Ok(graft::build(&ink)));
    take("relearning curves", relearning::build(&ink));
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
             grey, their names appear on pointing at them."
        )
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
