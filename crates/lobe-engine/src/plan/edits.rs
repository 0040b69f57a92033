//! Fixed interventions at sites. They stay apart from guests: an operation applies them in place while
//! its output is at hand, and no second matrix is made.

use std::ops::Range;

use super::Plan;
use crate::error::{EngineError, fits, same};
use crate::layout::SiteId;

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
