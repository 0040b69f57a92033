//! Words of a recipe as the engine's settings.

use lobe_engine::ops::distance::Distance;
use lobe_engine::{Masked, Optimiser, Schedule, ScheduleShape};

use super::settings::{self, Objective};
use crate::error::LabError;
use crate::recipe::{self, Train};

/// The engine's optimiser for `[train]`.
///
/// # Errors
/// If the rule refuses a parameter, which a resolved recipe has none of.
pub(crate) fn optimiser(t: &Train) -> Result<Optimiser, LabError> {
    let rule = t.rule().map_err(|e| LabError::setting(&e.within(&["train"])))?;
    let shape = match t.schedule {
        recipe::Schedule::Constant => ScheduleShape::Constant,
        recipe::Schedule::Cosine => ScheduleShape::Cosine,
        recipe::Schedule::Linear => ScheduleShape::Linear,
        recipe::Schedule::Exponential => ScheduleShape::Exponential,
    };
    let masked = match t.masked {
        recipe::Masked::ZeroGrad => Masked::ZeroGrad,
        recipe::Masked::Freeze => Masked::Freeze,
    };
    Ok(Optimiser {
        rule,
        schedule: Schedule {
            peak: t.lr as f32,
            warmup: t.warmup,
            steps: t.steps,
            shape,
            floor: t.min_lr as f32,
        },
        weight_decay: t.weight_decay as f32,
        decay_matrices_only: t.decay == recipe::Decay::Matrices,
        clip: t.clip.map(|c| c as f32),
        masked,
    })
}

/// The engine's distance.
pub(crate) fn distance(o: &Objective) -> Distance {
    match o.distance {
        settings::Distance::Absolute => Distance::Absolute,
        settings::Distance::Squared => Distance::Squared,
    }
}
