//! Whether the small model says what the masked one says.

use anyhow::{Result, bail};
use lobe_core::{Key, UNLABELLED};
use lobe_engine::{Plan, ShardRows, Tape, Workspace};
use lobe_nets::{Fed, Gpt, Network};

/// Sequences and positions of the check.
const CHECKED: (usize, usize) = (2, 128);

/// Tokens of the check: the same for every model of one shape.
pub(super) fn tokens(net: &Gpt) -> (Vec<u32>, usize) {
    let (sequences, longest) = CHECKED;
    let length = net.config.context.min(longest);
    let mut rng = Key::root(0).child("export").rng();
    ((0..sequences * length).map(|_| rng.below(net.config.vocab) as u32).collect(), length)
}

fn logits(net: &Gpt, params: &[f32], ids: &[u32], length: usize) -> Result<Vec<f32>> {
    let (mut ws, plan) = (Workspace::default(), Plan::plain(&net.layout));
    let rows = ShardRows::uniform(ids.len(), UNLABELLED);
    let mut tape = Tape::new(&mut ws, &net.layout, params, None, &plan, rows);
    let h = net.hidden(&mut tape, Fed::Tokens { ids, seq: length })?;
    let out = tape.logits(h, net.head())?;
    Ok(tape.value(out).to_vec())
}

/// Largest difference of a logit as a share of the largest logit (or of 1), and that logit.
pub(super) fn compare(small: &Gpt, params: &[f32], net: &Gpt, masked: &[f32]) -> Result<(f32, f32)> {
    let (ids, length) = tokens(net);
    let (got, want) = (logits(small, params, &ids, length)?, logits(net, masked, &ids, length)?);
    if got.len() != want.len() {
        bail!("the written model has {} logits, the masked one {}", got.len(), want.len());
    }
    // Unlike f32::max, this keeps what is not a number.
    let most = |a: f32, b: f32| if b > a || b.is_nan() { b } else { a };
    let largest = want.iter().map(|w| w.abs()).fold(0.0, most);
    let difference = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0, most);
    Ok((difference / largest.max(1.0), largest))
}

#[cfg(test)]
mod tests {
    use lobe_core::Key;
    use lobe_methods::remove::ablate;
    use lobe_nets::{Gpt, GptConfig, hub};

    use super::compare;
    use crate::commands::export::TOLERANCE;
    use crate::commands::sample::source::region;

    #[test]
    fn the_check_sees_a_wrong_weight_and_what_is_not_a_number() {
        let config = GptConfig { layers: 2, width: 8, heads: 2, ..GptConfig::default() };
        let net = Gpt::new(config.resolve(11, 6).unwrap());
        let params = net.layout.init(Key::root(1));
        let cut = region(&[], net.layout.sites(), "blocks.*.mlp.post[3..9]").unwrap();
        let mut masked = params.clone();
        ablate::zero(&net.layout, &mut masked, &cut);
        let small = hub::narrow(&net, &params, &cut, None).unwrap();
        let check = |params: &[f32]| compare(&small.net, params, &net, &masked).unwrap().0;
        assert!(check(&small.params) <= TOLERANCE);
        let tensor = small.net.layout.find("blocks.1.mlp.out.weight").unwrap();
        let at = small.net.layout.get(tensor).offset;
        let mut wrong = small.params.clone();
        wrong[at] += 0.1;
        assert!(check(&wrong) > TOLERANCE);
        wrong[at] = f32::NAN;
        assert!(check(&wrong).is_nan());
        // The whole model is not the masked one.
        assert!(compare(&net, &params, &net, &masked).unwrap().0 > TOLERANCE);
    }
}
