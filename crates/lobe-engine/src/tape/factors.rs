//! The routes of a shard as numbers: what a plan says about the labels of its rows, and what the
//! operations read to scale or to skip.

use lobe_core::LabelId;

use crate::buffer::Buf;
use crate::kernels::{Device, Kernels, Scales, columns};
use crate::layout::SiteId;
use crate::tape::plan::{Class, PLAIN, Plan, Segment};
use crate::tape::{Tape, Workspace};

/// Labels of the rows of a shard.
#[derive(Debug, Clone, Copy)]
pub enum RowLabels<'a> {
    /// Every row has the same label: routes are scalars and whole blocks of work are skipped.
    One(LabelId),
    /// One label per row.
    Each(&'a [LabelId]),
}

/// What the routes of a shard depend on.
#[derive(Debug, Clone, Copy)]
pub struct ShardRows<'a> {
    /// Number of rows (tokens, images).
    pub rows: usize,
    /// Their labels.
    pub labels: RowLabels<'a>,
    /// Per-row strength in [0, 1] that interpolates between ordinary training (0) and the route
    /// (1); `None` is 1 everywhere.
    pub strength: Option<&'a [f32]>,
}

impl ShardRows<'_> {
    /// `rows` rows of one label.
    pub fn uniform(rows: usize, label: LabelId) -> ShardRows<'static> {
        ShardRows { rows, labels: RowLabels::One(label), strength: None }
    }
}

/// A route number: the same for all rows, or one per row.
#[derive(Debug, Default)]
pub(crate) enum Factor {
    #[default]
    Unset,
    One(f32),
    Rows(Buf),
}

impl Factor {
    /// The number of each row of the shard.
    pub(crate) fn scales(&self) -> Scales<'_> {
        match self {
            Factor::Unset => Scales::One(1.0),
            Factor::One(f) => Scales::One(*f),
            Factor::Rows(r) => Scales::Rows(r),
        }
    }
    /// The number of some of the shard's rows.
    pub(crate) fn of_rows<'a>(&'a self, rows: &'a [u32]) -> Scales<'a> {
        match self {
            Factor::Rows(of) => Scales::Picked { of, rows },
            all => all.scales(),
        }
    }
    pub(crate) fn is(&self, value: f32) -> bool {
        matches!(self, Factor::One(f) if *f == value)
    }
}

/// Which of a route's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Scale on the value.
    Forward,
    /// Scale on the gradient that flows back through the site: forward × backward.
    Flow,
    /// Scale on the owned parameters' gradient.
    Update,
}

/// Neighbouring segments whose factors agree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub start: usize,
    pub end: usize,
    /// Class whose factor holds for the run.
    pub class: Class,
}

impl Tape<'_> {
    /// Multiplies the columns of `buf` by the site's factors.
    pub(crate) fn scale_site(&self, buf: &mut [f32], cols: usize, site: SiteId, kind: Kind) {
        let segments = self.plan.site(site);
        let Some(last) = segments.last() else { return };
        let width = cols / last.range.end;
        for seg in segments {
            let range = seg.range.start * width..seg.range.end * width;
            let factor = self.factor(kind, seg.class);
            if !factor.is(1.0) {
                Device::route_rows(columns(buf, cols, range), factor.scales());
            }
        }
    }

    pub(crate) fn factor(&self, kind: Kind, class: Class) -> &Factor {
        &self.ws.factors[class][kind as usize]
    }

    /// Merged runs of `segments` (or one run over `0..extent` when nothing is routed). Segments
    /// whose factor of one of `skip` is zero for every row are left out; neighbours are merged
    /// when they agree in `by` (`None`: always).
    pub(crate) fn runs(
        &mut self,
        segments: &[Segment],
        extent: usize,
        by: Option<Kind>,
        skip: &[Kind],
    ) -> Vec<Run> {
        let mut runs = self.ws.runs.pop().unwrap_or_default();
        runs.clear();
        if segments.is_empty() {
            runs.push(Run { start: 0, end: extent, class: PLAIN });
        }
        for seg in segments {
            if skip.iter().any(|k| self.factor(*k, seg.class).is(0.0)) {
                continue;
            }
            if let Some(last) = runs.last_mut()
                && last.end == seg.range.start
                && (last.class == seg.class
                    || by.is_none_or(|by| {
                        same(&self.ws.factors[last.class][by as usize], self.factor(by, seg.class))
                    }))
            {
                last.end = seg.range.end;
                continue;
            }
            runs.push(Run { start: seg.range.start, end: seg.range.end, class: seg.class });
        }
        runs
    }

    pub(crate) fn done(&mut self, runs: Vec<Run>) {
        self.ws.runs.push(runs);
    }
}

fn same(a: &Factor, b: &Factor) -> bool {
    matches!((a, b), (Factor::One(x), Factor::One(y)) if x == y)
}

/// Turns the label table into scalars where a shard allows it, and into per-row numbers elsewhere.
pub(crate) fn compile(ws: &mut Workspace, plan: &Plan, shard: ShardRows<'_>) {
    // Each of the three numbers is interpolated by itself. Strength 1 must give the route, not
    // 1 + (f - 1) with its rounding.
    let number = |label: LabelId, class: Class, kind: Kind, s: f32| {
        let r = plan.route(label.index(), class);
        let mix = |f: f32| if s == 1.0 { f } else { 1.0 + s * (f - 1.0) };
        match kind {
            Kind::Forward => mix(r.forward),
            Kind::Flow => mix(r.forward) * mix(r.backward),
            Kind::Update => mix(r.update),
        }
    };
    for class in 0..plan.classes() {
        let mut three: [Factor; 3] = Default::default();
        for kind in [Kind::Forward, Kind::Flow, Kind::Update] {
            let at = |i: usize| {
                let label = match shard.labels {
                    RowLabels::One(l) => l,
                    RowLabels::Each(ls) => ls[i],
                };
                number(label, class, kind, shard.strength.map_or(1.0, |s| s[i]))
            };
            three[kind as usize] = match shard {
                ShardRows { labels: RowLabels::One(l), strength: None, .. } => {
                    Factor::One(number(l, class, kind, 1.0))
                }
                _ if shard.rows == 0 => Factor::One(1.0),
                _ => {
                    let first = at(0);
                    if (1..shard.rows).all(|i| at(i) == first) {
                        Factor::One(first)
                    } else {
                        let mut buf = ws.pool.take(shard.rows);
                        (0..shard.rows).for_each(|i| buf[i] = at(i));
                        Factor::Rows(buf)
                    }
                }
            };
        }
        ws.factors.push(three);
    }
}
