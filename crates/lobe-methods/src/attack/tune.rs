//! What fine-tuning attacks share: the grid of their variants and the ranges of their parameters.

use super::{Loot, Start, Variant, starts};
use crate::registry::ParamError;

/// What all variants of one attack have in common.
#[derive(Debug, Clone)]
pub(super) struct Grid<'a> {
    /// Peak learning rates.
    pub(super) lrs: &'a [f64],
    /// Optimiser steps.
    pub(super) steps: u64,
    /// Linear warm-up in steps.
    pub(super) warmup: u64,
    /// Examples per step; fewer if the attacker has fewer.
    pub(super) batch: usize,
    /// Weight decay.
    pub(super) weight_decay: f64,
    /// What it trains on.
    pub(super) loot: Loot,
    /// Share of each batch drawn from retain data.
    pub(super) retain_share: f64,
    /// Whether re-initialised regions are attacked, too.
    pub(super) reinit: bool,
    /// Rank of adapters.
    pub(super) rank: Option<usize>,
    /// Evaluate every so many steps.
    pub(super) eval_every: u64,
    /// What else is evaluated.
    pub(super) watch: Option<Loot>,
}

impl Grid<'_> {
    /// One variant per number of examples, start and learning rate, in this order.
    pub(super) fn variants(&self, cut: bool, examples: &[Option<usize>]) -> Vec<Variant> {
        let mut out = Vec::new();
        for n in examples {
            // With a single number there is nothing to tell apart.
            let size = n.filter(|_| examples.len() > 1).map_or(String::new(), |n| format!("n={n},"));
            for (start, name) in starts(cut, self.reinit) {
                let one = |lr: &f64| self.variant(format!("{size}{name},lr={lr}"), *start, *lr, *n);
                out.extend(self.lrs.iter().map(one));
            }
        }
        out
    }

    fn variant(&self, name: String, start: Start, lr: f64, examples: Option<usize>) -> Variant {
        Variant {
            name,
            start,
            lr,
            steps: self.steps,
            warmup: self.warmup,
            batch: examples.map_or(self.batch, |n| self.batch.min(n)),
            weight_decay: self.weight_decay,
            loot: self.loot,
            retain_share: self.retain_share,
            examples,
            rank: self.rank,
            eval_every: self.eval_every,
            watch: self.watch,
        }
    }
}

/// An error for the parameter at `path`.
pub(super) fn refuse(path: &str, message: impl Into<String>) -> Result<(), ParamError> {
    Err(ParamError { path: path.into(), message: message.into() })
}

/// A whole number in `1..=top`.
pub(super) fn counted(path: &str, value: u64, top: u64) -> Result<(), ParamError> {
    if (1..=top).contains(&value) {
        return Ok(());
    }
    refuse(path, format!("is {value}, must be in 1..={top}"))
}

/// A list of 1 to 32 different whole numbers in `1..=top`.
pub(super) fn sizes(path: &str, values: &[usize], top: usize) -> Result<(), ParamError> {
    let twice = values.iter().enumerate().any(|(i, v)| values[..i].contains(v));
    if values.is_empty() || values.len() > 32 || twice || values.iter().any(|n| *n == 0 || *n > top) {
        return refuse(path, format!("needs 1 to 32 different whole numbers in 1..={top}"));
    }
    Ok(())
}

/// A list of 1 to 32 shares in (0, 1).
pub(super) fn shares(path: &str, values: &[f64]) -> Result<(), ParamError> {
    if values.is_empty() || values.len() > 32 || values.iter().any(|x| !(*x > 0.0 && *x < 1.0)) {
        return refuse(path, "needs 1 to 32 shares, each above 0 and below 1");
    }
    Ok(())
}

/// A list of learning rates.
pub(super) fn rates(path: &str, lrs: &[f64]) -> Result<(), ParamError> {
    if lrs.is_empty() || lrs.len() > 32 || lrs.iter().any(|x| !(*x > 0.0 && *x <= 10.0)) {
        return refuse(path, "needs 1 to 32 learning rates in (0, 10]");
    }
    Ok(())
}

/// What every fine-tuning attack must satisfy.
pub(super) fn check(grid: &Grid<'_>) -> Result<(), ParamError> {
    rates("lrs", grid.lrs)?;
    counted("steps", grid.steps, 10_000_000)?;
    if grid.warmup > 10_000_000 {
        return refuse("warmup", format!("is {}, must be in 0..=10000000", grid.warmup));
    }
    counted("batch", grid.batch as u64, 1 << 20)?;
    if grid.eval_every == 0 {
        return refuse("eval_every", "must be at least 1");
    }
    if !(0.0..=0.9).contains(&grid.retain_share) {
        return refuse("retain_share", format!("is {}, must be in 0..=0.9", grid.retain_share));
    }
    if !(0.0..=1.0).contains(&grid.weight_decay) {
        return refuse("weight_decay", format!("is {}, must be in 0..=1", grid.weight_decay));
    }
    if grid.rank.is_some_and(|r| r == 0 || r > 4096) {
        return refuse("rank", "must be in 1..=4096");
    }
    Ok(())
}
