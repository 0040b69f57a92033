//! Fixed interventions at sites. They stay apart from guests: an operation applies them in place while
//! its output is at hand, and no second matrix is made.

use std::ops::Range;

use super::Plan;
use crate::error::{EngineError, fits, same};
pub use crate::kernels::Edit;
use crate::kernels::{Device, Kernels, View, columns};
use crate::layout::SiteId;

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
            e.apply(value, cols);
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
            let seen = if before.is_empty() || !matches!(e.edit, Edit::Clamp(..)) {
                value
            } else {
                scratch.clear();
                scratch.extend_from_slice(before);
                self.edits[..n].iter().filter(|e| e.site == site).for_each(|e| e.apply(&mut scratch, cols));
                &scratch
            };
            let seen = View::new(seen, seen.len() / cols, cols).cols(e.cols.clone());
            Device::edit_grad(columns(grad, cols, e.cols.clone()), seen, &e.edit);
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

    /// Rewrites the site's activation `[rows, cols]`.
    fn apply(&self, value: &mut [f32], cols: usize) {
        Device::edit(columns(value, cols, self.cols.clone()), &self.edit);
    }
}
