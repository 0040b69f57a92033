//! One token after another.

use anyhow::Result;
use lobe_core::{Key, Rng};
use lobe_data::Tokenizer;
use lobe_engine::Workspace;
use lobe_nets::{Gpt, next_logits};

/// How to choose tokens.
pub(super) struct Settings {
    pub tokens: usize,
    pub temperature: f64,
    pub top_k: usize,
    pub seed: u64,
}

/// `prompt` and what the model says next, up to the end mark.
pub(super) fn generate(
    net: &Gpt,
    params: &[f32],
    tokenizer: &Tokenizer,
    prompt: &str,
    settings: &Settings,
) -> Result<String> {
    let mut ids = vec![tokenizer.bos()];
    ids.extend(tokenizer.encode(prompt)?);
    let mut ws = Workspace::default();
    let mut rng = Key::root(settings.seed).child("sample").rng();
    for _ in 0..settings.tokens {
        let logits = next_logits(net, &mut ws, params, &ids)?;
        let next = choose(&logits, settings, &mut rng);
        if next == tokenizer.eos() {
            break;
        }
        ids.push(next);
    }
    Ok(tokenizer.decode(&ids[1..]))
}

/// A token from the `top_k` most likely ones, at a temperature. Ties go to the lower id.
fn choose(logits: &[f32], s: &Settings, rng: &mut Rng) -> u32 {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    let at = |i: &u32| logits[*i as usize];
    order.sort_by(|a, b| at(b).total_cmp(&at(a)).then(a.cmp(b)));
    if s.top_k > 0 {
        order.truncate(s.top_k);
    }
    let u = rng.uniform();
    let Some(best) = order.first().copied() else { return 0 };
    if s.temperature == 0.0 {
        return best;
    }
    let weight = |i: &u32| (f64::from(at(i) - at(&best)) / s.temperature).exp();
    let mut left = u * order.iter().map(weight).sum::<f64>();
    for i in &order {
        left -= weight(i);
        if left < 0.0 {
            return *i;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greedy_takes_the_best_and_top_k_nothing_else() {
        let settings = |temperature, top_k| Settings { tokens: 1, temperature, top_k, seed: 0 };
        let mut rng = Key::root(0).rng();
        assert_eq!(choose(&[0.0, 2.0, 2.0], &settings(0.0, 0), &mut rng), 1);
        let logits = [0.0, 1.0, 0.9, -5.0];
        let mut seen = [0; 4];
        for _ in 0..2000 {
            seen[choose(&logits, &settings(1.0, 2), &mut rng) as usize] += 1;
        }
        assert_eq!((seen[0], seen[3]), (0, 0));
        let share = f64::from(seen[1]) / 2000.0;
        assert!((share - 1.0 / (1.0 + (-0.1f64).exp())).abs() < 0.04, "{share}");
    }
}
