//! Recovery examples: a forget example that is broken off and goes on as a retain example.

use lobe_core::Rng;
use lobe_engine::ops::head::IGNORE;
use lobe_methods::unlearn::Recovery;

/// How many tokens of a forget example of `known` tokens stay. At least one token of the answer has to fit.
pub fn kept(r: &Recovery, known: usize, rng: &mut Rng) -> usize {
    let further = if rng.uniform() < r.none { 0 } else { 1 + rng.below(r.most) };
    (r.prompt + further).min(known.saturating_sub(1))
}

/// Inputs and targets `[len − 1]` of the first `keep` tokens of `forget`, then `retain` from its
/// beginning; targets are counted from the first token of `retain` on. Both examples have `len` tokens.
pub fn spliced(forget: &[u32], retain: &[u32], keep: usize) -> (Vec<u32>, Vec<u32>) {
    let all: Vec<u32> = forget[..keep].iter().chain(retain).take(forget.len()).copied().collect();
    let mut targets = all[1..].to_vec();
    targets[..keep.saturating_sub(1)].fill(IGNORE);
    (all[..all.len() - 1].to_vec(), targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lobe_core::Key;

    #[test]
    fn the_answer_is_the_target_and_the_beginning_is_context() {
        let (inputs, targets) = spliced(&[1, 2, 3, 4, 5], &[11, 12, 13, 14, 15], 2);
        assert_eq!(inputs, [1, 2, 11, 12]);
        assert_eq!(targets, [IGNORE, 11, 12, 13]);
        let (inputs, targets) = spliced(&[1, 2, 3], &[11, 12, 13], 0);
        assert_eq!((inputs, targets), (vec![11, 12], vec![12, 13]));
    }

    #[test]
    fn beginnings_are_of_the_lengths_asked_for() {
        let mut rng = Key::root(1).rng();
        let r = Recovery { prompt: 2, most: 3, none: 0.5 };
        let lengths: Vec<usize> = (0..400).map(|_| kept(&r, 100, &mut rng)).collect();
        let share = |n| lengths.iter().filter(|l| **l == n).count() as f64 / 400.0;
        assert!((share(2) - 0.5).abs() < 0.1 && (3..=5).all(|n| (share(n) - 1.0 / 6.0).abs() < 0.08));
        assert!((0..50).all(|_| kept(&r, 4, &mut rng) <= 3), "one token is left for the answer");
    }
}
