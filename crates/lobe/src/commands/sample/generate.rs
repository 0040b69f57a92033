//! One token after another.

use anyhow::Result;
use lobe_core::{Key, Rng};
use lobe_data::Tokenizer;
use lobe_engine::Workspace;
use lobe_nets::{Gpt, next_logits};

use crate::failure::refuse;

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
    let mut ids = begun(tokenizer, prompt)?;
    let start = usize::from(tokenizer.bos().is_some());
    let mut ws = Workspace::default();
    let mut rng = Key::root(settings.seed).child("sample").rng();
    for _ in 0..settings.tokens {
        let next = choose(&next_logits(net, &mut ws, params, &ids)?, settings, &mut rng);
        if Some(next) == tokenizer.eos() {
            break;
        }
        ids.push(next);
    }
    Ok(tokenizer.decode(&ids[start..]))
}

/// The begin mark, if the tokenizer has one, and the prompt.
pub(super) fn begun(tokenizer: &Tokenizer, prompt: &str) -> Result<Vec<u32>> {
    let mut ids: Vec<u32> = tokenizer.bos().into_iter().collect();
    ids.extend(tokenizer.encode(prompt)?);
    if ids.is_empty() {
        return Err(refuse("the tokenizer has no begin mark, so the text needs a --prompt"));
    }
    Ok(ids)
}

/// A token that may come next.
pub(super) struct Candidate {
    pub id: u32,
    pub logit: f32,
    pub probability: f64,
}

/// The `most` likeliest tokens after `ids`.
pub(super) fn candidates(net: &Gpt, params: &[f32], ids: &[u32], most: usize) -> Result<Vec<Candidate>> {
    let logits = next_logits(net, &mut Workspace::default(), params, ids)?;
    let order = by_logit(&logits);
    let at = |i: u32| logits[i as usize];
    let best = order.first().map_or(0.0, |i| f64::from(at(*i)));
    let total: f64 = logits.iter().map(|l| (f64::from(*l) - best).exp()).sum();
    let of = |id: u32| Candidate { id, logit: at(id), probability: (f64::from(at(id)) - best).exp() / total };
    Ok(order.into_iter().take(most).map(of).collect())
}

/// All tokens, the likeliest first. Ties go to the lower id.
fn by_logit(logits: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|a, b| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b)));
    order
}

/// A token from the `top_k` most likely ones, at a temperature.
fn choose(logits: &[f32], s: &Settings, rng: &mut Rng) -> u32 {
    let mut order = by_logit(logits);
    let at = |i: &u32| logits[*i as usize];
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
