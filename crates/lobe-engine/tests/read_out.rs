//! Token losses that further operations use, and gradients at a site of a network that is not trained.

mod common;

use common::{Batch, Net, SEQ, Shape, assert_close, assert_same, dot, integers, normals, plain_pass};
use lobe_core::RETAIN;
use lobe_engine::ops::head::{HeadSpec, IGNORE, RowWeights};
use lobe_engine::{Layout, Plan, ShardRows, SiteId, Tape, Workspace};

#[test]
fn token_losses_have_the_gradient_of_cross_entropy() {
    // Few logits, which are kept, in two chunks; and more than are kept.
    for (rows, vocab, tied) in [(300, 7, false), (300, 7, true), (2100, 2000, false)] {
        let (mut layout, d) = (Layout::default(), 3);
        let h = layout.tensor("h", rows, d).add();
        let (r, c) = if tied { (vocab, d) } else { (d, vocab) };
        let w = layout.tensor("w", r, c).add();
        let b = layout.tensor("b", 1, vocab).add();
        let params = normals("token losses", layout.len());
        let mut targets = integers("token losses", rows, vocab);
        targets.iter_mut().step_by(5).for_each(|t| *t = IGNORE);
        let mut weights = normals("weights of tokens", rows);
        weights.iter_mut().step_by(7).for_each(|w| *w = 0.0);
        let head = HeadSpec { weight: w, tied, bias: Some(b), scale: 0.8 };
        let want = plain_pass(&layout, &params, rows, None, &|t| {
            let h = t.leaf(h);
            let s = t.cross_entropy(h, head, &targets, RowWeights::Each(&weights))?;
            t.columns(s, 0..1)
        });
        let got = plain_pass(&layout, &params, rows, None, &|t| {
            let h = t.leaf(h);
            let nll = t.token_nll(h, head, &targets)?;
            t.add_objective(dot(t.value(nll), &weights));
            t.seed_grad(nll, &weights)?;
            Ok(nll)
        });
        let what = format!("{rows} × {vocab}");
        assert_same(&what, &got.out, &want.out);
        assert_close(&what, &got.grads, &want.grads, 1e-5, 2e-6);
        assert!((got.objective - want.objective).abs() < 1e-6 * want.objective.abs().max(1.0), "{what}");
    }
}

#[test]
fn a_watched_gradient_arrives_where_nothing_is_trained() {
    for shape in [Shape::GPT, Shape { gated: true, ..Shape::GPT }] {
        let net = Net::new(shape);
        let batch = Batch::new("watched", 2);
        let rows = ShardRows::uniform(2 * SEQ, RETAIN);
        let run = |plan: &Plan, site: SiteId| {
            let (mut ws, mut grads) = (Workspace::default(), vec![0.0; plan.moving().len()]);
            let mut tape = Tape::new(&mut ws, &net.layout, &net.params, Some(&mut grads), plan, rows);
            tape.watch(site);
            net.forward(&mut tape, &batch.tokens, &batch.targets, None).expect("a pass");
            tape.backward(0).expect("a backward pass");
            let seen = tape.watched(site).expect("a gradient").to_vec();
            (seen, grads)
        };
        let plain = Plan::plain(&net.layout);
        let still = plain.clone().train_only(|_| false);
        for site in [net.embed, net.z, net.post, net.resid] {
            let (want, _) = run(&plain, site);
            let (got, grads) = run(&still, site);
            assert_same("what arrives at the site", &got, &want);
            assert!(grads.is_empty() && want.iter().any(|g| *g != 0.0));
        }
    }
}
