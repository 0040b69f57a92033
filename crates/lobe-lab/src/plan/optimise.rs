//! Words of a recipe as the engine's settings.

use lobe_engine::ops::distance::Distance;
use lobe_engine::{Masked, Optimiser, OptimiserKind, Schedule, ScheduleShape};

use super::settings::{self, Objective};
use crate::recipe::{self, Train};

/// The engine's optimiser for `[train]`.
pub(crate) fn optimiser(t: &Train) -> Optimiser {
    let (beta1, beta2, eps) = (t.betas[0] as f32, t.betas[1] as f32, t.eps as f32);
    let kind = match t.optimiser {
        recipe::Optimiser::Adamw => OptimiserKind::AdamW { beta1, beta2, eps },
        recipe::Optimiser::Adam => OptimiserKind::Adam { beta1, beta2, eps },
        recipe::Optimiser::Sgd => OptimiserKind::Sgd { momentum: t.momentum as f32 },
    };
    let shape = match t.schedule {
        recipe::Schedule::Constant => ScheduleShape::Constant,
        recipe::Schedule::Cosine => ScheduleShape::Cosine,
        recipe::Schedule::Linear => ScheduleShape::Linear,
    };
    let masked = match t.masked {
        recipe::Masked::ZeroGrad => Masked::ZeroGrad,
        recipe::Masked::Freeze => Masked::Freeze,
    };
    Optimiser {
        kind,
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
    }
}

/// The engine's distance.
pub(crate) fn distance(o: &Objective) -> Distance {
    match o.distance {
        settings::Distance::Absolute => Distance::Absolute,
        settings::Distance::Squared => Distance::Squared,
    }
}
