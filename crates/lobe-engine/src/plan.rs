//! A route table compiled against a layout: which rows, columns and units follow which route.

use std::ops::Range;

use lobe_core::{JointKind, LabelSet, Region, Route, RouteTable, Selection, Target};

use crate::error::{EngineError, fits, same};
use crate::layout::{Layout, Owner, ParamId, SiteId};
use crate::moving::Moving;

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
    /// The tensors that the optimiser may move.
    moving: Moving,
    edits: Vec<SiteEdit>,
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
        let whole = |_: &_| TensorPlan { rows: vec![], cols: vec![], whole: PLAIN, reads: None };
        Plan {
            tensors: layout.tensors().iter().map(whole).collect(),
            sites: vec![Vec::new(); layout.sites().len()],
            table: vec![vec![Route::PLAIN]; 3],
            moving: Moving::all(layout),
            edits: Vec::new(),
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
        let classes = if joint_rows.is_some() { 2 * ordinary } else { ordinary };
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
        let side = |owner: &Option<Owner>, extent: usize, joint: Option<&Selection>| {
            let Some(o) = owner.as_ref().filter(|o| named(o.site.0)) else { return vec![] };
            segments(extent, |i| {
                let hit = o.parts.iter().find(|p| (p.start..p.start + p.blocks * p.width).contains(&i));
                hit.map_or(PLAIN, |p| {
                    let b = (i - p.start) / p.width;
                    let units = b * p.units_per_block..(b + 1) * p.units_per_block;
                    let units = units.start as u32..units.end as u32;
                    let shift = joint.is_some_and(|j| j.contains_all(o.site.0, &units));
                    unit_class(o.site.0, units) + if shift { ordinary } else { 0 }
                })
            })
        };
        let tensors = layout.tensors().iter().map(|t| TensorPlan {
            rows: side(&t.row_owner, t.rows, joint_rows.as_ref()),
            cols: side(&t.col_owner, t.cols, None),
            whole: match t.joint {
                Some(kind) => class_of(Target::Joint(kind)),
                None if owner_named(&t.row_owner) || owner_named(&t.col_owner) => PLAIN,
                None => class_of(Target::Joint(JointKind::Rest)),
            },
            reads: t.row_owner.as_ref().map(|o| o.site),
        });
        Ok(Plan {
            tensors: tensors.collect(),
            sites,
            table: routes,
            moving: Moving::all(layout),
            edits: Vec::new(),
            classes,
        })
    }

    /// Only these tensors are trained from now on.
    pub fn train_only(mut self, keep: impl Fn(ParamId) -> bool) -> Plan {
        self.moving = self.moving.only(keep);
        self
    }

    /// The tensors that are trained, and where their gradients lie.
    pub fn moving(&self) -> &Moving {
        &self.moving
    }

    /// Whether the optimiser may move `p`.
    pub fn trainable(&self, p: ParamId) -> bool {
        self.moving.of(p).is_some()
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
}

/// What an intervention does to a unit range of a site, for every row.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Replace the columns by these values (one per column of the range).
    Set(Vec<f32>),
    /// Add these values.
    Add(Vec<f32>),
    /// Remove the component along this unit vector.
    ProjectOut(Vec<f32>),
    /// Clamp to a closed interval.
    Clamp(f32, f32),
}

/// An [`Edit`] and where it applies, in columns of the site's activation.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteEdit {
    /// The site.
    pub site: SiteId,
    /// Columns (units × width).
    pub cols: Range<usize>,
    /// What happens.
    pub edit: Edit,
}

impl Plan {
    /// Adds an intervention; they apply in order, after the routes. That its columns lie within the
    /// site's is checked when a pass reaches the site.
    ///
    /// # Errors
    /// If there is no such site, the columns run backwards, there is not one value per column, or no
    /// number lies within a clamp.
    pub fn with_edit(mut self, edit: SiteEdit) -> Result<Plan, EngineError> {
        edit.check(self.sites.len())?;
        self.edits.push(edit);
        Ok(self)
    }

    /// Refuses interventions that reach beyond the activation `shape` at their site.
    pub(crate) fn check_edits(&self, site: SiteId, shape: (usize, usize)) -> Result<(), EngineError> {
        let mut edits = self.edits.iter().filter(|e| e.site == site);
        let what = "columns of the edit and of the site";
        edits.try_for_each(|e| fits("with_edit", what, e.cols.end <= shape.1, (1, e.cols.end), shape))
    }

    /// Whether any intervention stands at `site`.
    pub(crate) fn has_edits(&self, site: SiteId) -> bool {
        self.edits.iter().any(|e| e.site == site)
    }

    /// The site whose units own the rows of `p`: what it reads.
    pub(crate) fn reads(&self, p: ParamId) -> Option<SiteId> {
        self.tensors[p.0].reads
    }

    /// Whether the backward pass of the interventions at `site` needs the values before them: the
    /// last value no longer shows which entries a clamp moved once something follows it. `added`:
    /// whether the pass adds something after all of them.
    pub(crate) fn needs_before(&self, site: SiteId, added: bool) -> bool {
        let mut edits = self.edits.iter().filter(|e| e.site == site);
        edits.any(|e| matches!(e.edit, Edit::Clamp(..))) && (added || edits.next().is_some())
    }

    pub(crate) fn edit_value(&self, site: SiteId, value: &mut [f32], cols: usize) {
        for e in self.edits.iter().filter(|e| e.site == site) {
            value.chunks_exact_mut(cols).for_each(|row| e.apply(row));
        }
    }

    /// `value` is what left the site; `before` what entered the interventions, or empty where
    /// [`Plan::needs_before`] says so.
    pub(crate) fn edit_grad(
        &self,
        site: SiteId,
        grad: &mut [f32],
        value: &[f32],
        before: &[f32],
        cols: usize,
    ) {
        let mut scratch = Vec::new();
        for (n, e) in self.edits.iter().enumerate().rev().filter(|(_, e)| e.site == site) {
            for (r, row) in grad.chunks_exact_mut(cols).enumerate() {
                let row = &mut row[e.cols.clone()];
                match &e.edit {
                    Edit::Set(_) => row.fill(0.0),
                    Edit::Add(_) => {}
                    Edit::ProjectOut(u) => {
                        let dot: f32 = row.iter().zip(u).map(|(g, u)| g * u).sum();
                        row.iter_mut().zip(u).for_each(|(g, u)| *g -= dot * u);
                    }
                    Edit::Clamp(lo, hi) => {
                        let seen = if before.is_empty() {
                            &value[r * cols..(r + 1) * cols]
                        } else {
                            scratch.clear();
                            scratch.extend_from_slice(&before[r * cols..(r + 1) * cols]);
                            self.edits[..n]
                                .iter()
                                .filter(|e| e.site == site)
                                .for_each(|e| e.apply(&mut scratch));
                            &scratch
                        };
                        for (g, y) in row.iter_mut().zip(&seen[e.cols.clone()]) {
                            if *y <= *lo || *y >= *hi {
                                *g = 0.0;
                            }
                        }
                    }
                }
            }
        }
    }
}

impl SiteEdit {
    fn check(&self, sites: usize) -> Result<(), EngineError> {
        let (op, cols) = ("with_edit", &self.cols);
        if self.site.0 >= sites {
            return Err(EngineError::Index { op, what: "site", index: self.site.0, bound: sites });
        }
        if cols.start > cols.end {
            return Err(EngineError::Invalid(format!("{op}: the columns {cols:?} run backwards")));
        }
        match &self.edit {
            Edit::Set(v) | Edit::Add(v) | Edit::ProjectOut(v) => {
                same(op, "columns and values", (1, cols.len()), (1, v.len()))
            }
            Edit::Clamp(lo, hi) if lo <= hi => Ok(()),
            Edit::Clamp(lo, hi) => {
                Err(EngineError::Invalid(format!("{op}: no number lies between {lo} and {hi}")))
            }
        }
    }

    /// Rewrites one row of the site's activation.
    fn apply(&self, row: &mut [f32]) {
        let row = &mut row[self.cols.clone()];
        match &self.edit {
            Edit::Set(v) => row.copy_from_slice(v),
            Edit::Add(v) => row.iter_mut().zip(v).for_each(|(x, v)| *x += v),
            Edit::ProjectOut(u) => {
                let dot: f32 = row.iter().zip(u).map(|(x, u)| x * u).sum();
                row.iter_mut().zip(u).for_each(|(x, u)| *x -= dot * u);
            }
            Edit::Clamp(lo, hi) => row.iter_mut().for_each(|x| *x = x.clamp(*lo, *hi)),
        }
    }
}
