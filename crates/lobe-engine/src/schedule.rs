//! Learning-rate schedules.

/// Shape after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScheduleShape {
    /// Stays at the peak.
    Constant,
    /// Half a cosine from the peak to `floor`.
    Cosine,
    /// A straight line from the peak to `floor`.
    Linear,
    /// The same factor at every step, from the peak to `floor`.
    Exponential,
}

/// Linear warm-up, then a shape that ends at a fraction of the peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// Peak learning rate.
    pub peak: f32,
    /// Warm-up length in steps.
    pub warmup: u64,
    /// Total length in steps.
    pub steps: u64,
    /// What follows the warm-up.
    pub shape: ScheduleShape,
    /// Last value as a fraction of the peak.
    pub floor: f32,
}

impl Schedule {
    /// The same rate at every step.
    pub fn constant(peak: f32) -> Schedule {
        Schedule { peak, warmup: 0, steps: 1, shape: ScheduleShape::Constant, floor: 1.0 }
    }

    /// The rate at `step`, counted from 0. The first warm-up step is `peak / warmup`, never 0.
    pub fn at(&self, step: u64) -> f32 {
        if step < self.warmup {
            return self.peak * (step + 1) as f32 / self.warmup as f32;
        }
        let length = self.steps.saturating_sub(self.warmup).max(1);
        let t = ((step - self.warmup) as f32 / length as f32).min(1.0);
        let fall = match self.shape {
            ScheduleShape::Constant => return self.peak,
            ScheduleShape::Cosine => 0.5 * (1.0 + (std::f32::consts::PI * t).cos()),
            ScheduleShape::Linear => 1.0 - t,
            ScheduleShape::Exponential => return self.peak * self.floor.powf(t),
        };
        self.peak * (self.floor + (1.0 - self.floor) * fall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_hit_their_corners() {
        let s = Schedule { peak: 2.0, warmup: 4, steps: 104, shape: ScheduleShape::Cosine, floor: 0.1 };
        assert_eq!((s.at(0), s.at(3), s.at(4)), (0.5, 2.0, 2.0));
        assert!((s.at(54) - 1.1).abs() < 1e-6 && (s.at(104) - 0.2).abs() < 1e-6 && s.at(999) >= 0.2 - 1e-6);
        let l = Schedule { shape: ScheduleShape::Linear, ..s };
        assert!((l.at(54) - 1.1).abs() < 1e-6);
        // Half of the way is the root of the floor: 2 · √0.01 = 0.2.
        let e = Schedule { shape: ScheduleShape::Exponential, floor: 0.01, ..s };
        assert!(
            (e.at(4) - 2.0).abs() < 1e-6 && (e.at(54) - 0.2).abs() < 1e-6 && (e.at(104) - 0.02).abs() < 1e-7
        );
    }
}
