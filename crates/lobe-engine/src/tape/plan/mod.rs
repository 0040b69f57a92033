//! A route table compiled against a layout: which rows, columns and units follow which route.

mod edits;
mod moves;

use std::ops::Range;

use lobe_core::{Edges, JointKind, LabelSet, Region, Route, RouteTable, Selection, Target};

pub use self::edits::{Edit, SiteEdit};
use self::moves::Moves;
use crate::error::EngineError;
use crate::layout::{Layout, Owner, ParamId, SiteId, Tensor};
use crate::tape::doors::{Door, Guests};

/// Index into the route columns of a plan.
pub type Class = usize;

/// Always trained in the ordinary way.
pub(crate) const PLAIN: Class = 0;
const JOINT: Class = 1;
const ELSEWHERE: Class = JOINT + JointKind::ALL.len();
const REGIONS: Class = ELSEWHERE + 1;

/// A contiguous range that follows one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Units, rows or columns.
    pub range: Range<usize>,
    /// The route column.
    pub class: Class,
}

#[derive(Debug, Clone, PartialEq)]
struct TensorPlan {
    rows: Vec<Segment>,
    cols: Vec<Segment>,
    whole: Class,
    /// Whether it is a matrix.
    matrix: bool,
    /// The site whose units own the rows: what the tensor reads.
    reads: Option<SiteId>,
}

/// What every operation asks about routes. One per arm.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    tensors: Vec<TensorPlan>,
    /// Per site; empty when the arm's regions do not name it.
    sites: Vec<Vec<Segment>>,
    /// `[label][class]`.
    table: Vec<Vec<Route>>,
    moves: Moves,
    edits: Vec<SiteEdit>,
    pub(crate) guests: Guests,
    classes: usize,
}

fn class_of(target: Target) -> Class {
    match target {
        Target::Region(n) => REGIONS + n as usize,
        Target::Elsewhere => ELSEWHERE,
        Target::Joint(kind) => JOINT + JointKind::ALL.iter().position(|k| *k == kind).unwrap_or(0),
    }
}

/// Splits `0..extent` by `class_at`, merging equal neighbours.
fn segments(extent: usize, class_at: impl Fn(usize) -> Class) -> Vec<Segment> {
    let mut out: Vec<Segment> = Vec::new();
    for i in 0..extent {
        let class = class_at(i);
        match out.last_mut() {
            Some(last) if last.class == class => last.range.end = i + 1,
            _ => out.push(Segment { range: i..i + 1, class }),
        }
    }
    out
}

/// Per label and class the route that `table` gives it. The classes from `ordinary` on are those before
/// with an update of 1.
fn routes(
    table: &RouteTable,
    labels: &LabelSet,
    ordinary: usize,
    classes: usize,
) -> Result<Vec<Vec<Route>>, EngineError> {
    let mut routes = vec![vec![Route::PLAIN; classes]; labels.len()];
    for row in &table.rows {
        let class = class_of(row.target);
        if class >= ordinary || row.label.index() >= labels.len() {
            return Err(EngineError::Invalid("route table names a region or label the arm lacks".into()));
        }
        routes[row.label.index()][class] = row.route;
    }
    for of_label in &mut routes {
        for c in ordinary..classes {
            of_label[c] = Route { update: 1.0, ..of_label[c - ordinary] };
        }
    }
    Ok(routes)
}

/// The units whose out-going weights every label updates.
fn joint_rows(layout: &Layout, table: &RouteTable) -> Result<Option<Selection>, EngineError> {
    let Some(text) = &table.joint_rows else { return Ok(None) };
    let resolved = text.parse::<Region>().and_then(|r| r.resolve(layout.sites()));
    resolved.map(Some).map_err(|e| EngineError::Invalid(e.to_string()))
}

impl Plan {
    /// Ordinary training.
    pub fn plain(layout: &Layout) -> Plan {
        let whole = |t: &Tensor| TensorPlan {
            rows: vec![],
            cols: vec![],
            whole: PLAIN,
            matrix: t.matrix,
            reads: None,
        };
        Plan {
            tensors: layout.tensors().iter().map(whole).collect(),
            sites: vec![Vec::new(); layout.sites().len()],
            table: vec![vec![Route::PLAIN]; 3],
            moves: Moves::all(layout),
            edits: Vec::new(),
            guests: Guests::default(),
            classes: 1,
        }
    }

    /// Compiles `table` for the arm's `regions`.
    ///
    /// # Errors
    /// If two regions overlap, a row names a region the arm does not have, or `joint_rows` is no
    /// region of the network.
    pub fn new(
        layout: &Layout,
        labels: &LabelSet,
        regions: &[Selection],
        table: &RouteTable,
    ) -> Result<Plan, EngineError> {
        for (i, a) in regions.iter().enumerate() {
            if regions[..i].iter().any(|b| a.intersection(b).count() > 0) {
                return Err(EngineError::Invalid("two regions of one arm overlap".into()));
            }
        }
        let ordinary = REGIONS + regions.len();
        let joint_rows = joint_rows(layout, table)?;
        // Class `ordinary + c` is class `c` with an update of 1.
        let shifts = joint_rows.is_some() || table.edges != Edges::Owned;
        let classes = if shifts { 2 * ordinary } else { ordinary };
        let routes = routes(table, labels, ordinary, classes)?;
        let named = |site: usize| regions.iter().any(|r| r.names(site));
        let unit_class = |site: usize, units: Range<u32>| {
            let hit = regions.iter().position(|r| r.contains_all(site, &units));
            match hit {
                Some(n) => REGIONS + n,
                // A block shared by units of different routes belongs to none of them.
                None if units.len() > 1
                    && regions.iter().any(|r| units.clone().any(|u| r.contains_all(site, &(u..u + 1)))) =>
                {
                    PLAIN
                }
                None => ELSEWHERE,
            }
        };
        let sites = (0..layout.sites().len())
            .map(|s| {
                let units = layout.sites()[s].units;
                if named(s) {
                    segments(units as usize, |u| unit_class(s, u as u32..u as u32 + 1))
                } else {
                    vec![]
                }
            })
            .collect();
        let owner_named = |owner: &Option<Owner>| owner.as_ref().is_some_and(|o| named(o.site.0));
        // All data updates the whole side (`all`), or the rows (or columns) of the units of `joint`.
        let side = |owner: &Option<Owner>, extent: usize, all: bool, joint: Option<&Selection>| {
            let Some(o) = owner.as_ref().filter(|o| named(o.site.0)) else { return vec![] };
            segments(extent, |i| {
                let hit = o.parts.iter().find(|p| (p.start..p.start + p.blocks * p.width).contains(&i));
                hit.map_or(PLAIN, |p| {
                    let b = (i - p.start) / p.width;
                    let units = b * p.units_per_block..(b + 1) * p.units_per_block;
                    let units = units.start as u32..units.end as u32;
                    let shift = all || joint.is_some_and(|j| j.contains_all(o.site.0, &units));
                    unit_class(o.site.0, units) + if shift { ordinary } else { 0 }
                })
            })
        };
        let tensors = layout.tensors().iter().map(|t| TensorPlan {
            rows: side(&t.row_owner, t.rows, table.edges == Edges::In, joint_rows.as_ref()),
            cols: side(&t.col_owner, t.cols, table.edges == Edges::Out, None),
            whole: match t.joint {
                Some(kind) => class_of(Target::Joint(kind)),
                None if owner_named(&t.row_owner) || owner_named(&t.col_owner) => PLAIN,
                None => class_of(Target::Joint(JointKind::Rest)),
            },
            matrix: t.matrix,
            reads: t.row_owner.as_ref().map(|o| o.site),
        });
        Ok(Plan {
            tensors: tensors.collect(),
            sites,
            table: routes,
            moves: Moves::all(layout),
            edits: Vec::new(),
            guests: Guests::default(),
            classes,
        })
    }

    #[inline]
    pub(crate) fn guests(&self) -> &Guests {
        &self.guests
    }

    /// `Ok` if somebody could stand at `door`.
    pub(crate) fn check_door(&self, door: Door) -> Result<(), EngineError> {
        let op = "with_guest";
        match door {
            Door::Site(s) if s.0 < self.sites.len() => Ok(()),
            Door::Site(s) => {
                Err(EngineError::Index { op, what: "site", index: s.0, bound: self.sites.len() })
            }
            Door::Weight(p) => match self.tensors.get(p.0) {
                Some(t) if t.matrix => Ok(()),
                Some(_) => Err(EngineError::Invalid(format!("{op}: tensor {} is a vector", p.0))),
                None => Err(EngineError::Index { op, what: "tensor", index: p.0, bound: self.tensors.len() }),
            },
        }
    }

    /// Number of route columns.
    pub(crate) fn classes(&self) -> usize {
        self.classes
    }

    /// The route of `class` for data with label number `label`.
    pub fn route(&self, label: usize, class: Class) -> Route {
        self.table.get(label).map_or(Route::PLAIN, |t| t[class])
    }

    /// Segments of a site's units; empty when no region of the arm names it.
    pub fn site(&self, s: SiteId) -> &[Segment] {
        &self.sites[s.0]
    }

    /// Segments of a tensor's rows; empty when nothing routes them.
    pub(crate) fn rows(&self, p: ParamId) -> &[Segment] {
        &self.tensors[p.0].rows
    }

    /// Segments of a tensor's columns; empty when nothing routes them.
    pub(crate) fn cols(&self, p: ParamId) -> &[Segment] {
        &self.tensors[p.0].cols
    }

    /// The class of what no unit owns in a tensor.
    pub(crate) fn whole(&self, p: ParamId) -> Class {
        self.tensors[p.0].whole
    }

    /// The site whose units own the rows of `p`: what it reads.
    pub(crate) fn reads(&self, p: ParamId) -> Option<SiteId> {
        self.tensors[p.0].reads
    }
}
