//! How a post-hoc step is made of its terms' gradients, through whole updates of a tiny network.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use lobe_core::{FORGET, Key, RETAIN};
use lobe_engine::optim::Sgd;
use lobe_engine::{Buf, Member, Optimiser, Plan, Runner, Schedule};
use lobe_methods::UNLEARN;
use lobe_methods::unlearn::{Drive, Side};
use lobe_nets::{Batch, Gpt, GptConfig};
use lobe_train::{Drawn, Driver, Pool, Source, shape};
use serde_json::json;

const VOCAB: usize = 12;
const SEQ: usize = 8;

/// The parameters after one plain gradient step of maximum entropy, made as `drive` says.
fn after(drive: &Drive) -> Vec<f32> {
    after_steps(drive, 1, false)
}

/// The same after several steps, all of one driver or each of a new one.
fn after_steps(drive: &Drive, steps: u64, anew: bool) -> Vec<f32> {
    let config = GptConfig { layers: 2, width: 16, heads: 4, init_std: 0.3, ..GptConfig::default() };
    let net = Gpt::new(config.resolve(VOCAB, SEQ).unwrap());
    let runner = Runner::new(1).unwrap();
    let params = net.layout.init(Key::root(3));
    let entry = UNLEARN.iter().find(|e| e.about.name == "maxent").unwrap();
    let (method, _) = (entry.build)(&json!({})).unwrap();
    let terms = method.terms(shape(&net).unwrap(), Key::root(4)).unwrap();
    let pool = |side, label| {
        let mut rng = Key::root(5).child(if side == Side::Forget { "f" } else { "r" }).rng();
        let mut batch = Batch::tokens(SEQ, 1);
        for _ in 0..4 {
            let tokens: Vec<u32> = (0..=SEQ).map(|_| rng.below(VOCAB) as u32).collect();
            batch.push(&tokens, label, None);
        }
        Pool::new((&net, &params), &runner, side, batch, &terms).unwrap()
    };
    let pools = [pool(Side::Forget, FORGET), pool(Side::Retain, RETAIN)];
    let optimiser = Optimiser::new(Sgd { momentum: 0.0 }, Schedule::constant(0.1));
    let mut member = Member::new(Buf::from_slice(&params), Plan::plain(&net.layout), 2).unwrap();
    let new = || Driver::new(drive.clone());
    let mut drawn = Drawn::new(pools, &terms, (3, steps), Key::root(6));
    let mut driver = new();
    for step in 0..steps {
        if anew {
            driver = new();
        }
        drawn.draw(step);
        let follows = (&terms[..], &*drawn.examples());
        driver.step(&runner, &net, &mut member, (&optimiser, step), follows).unwrap();
    }
    member.params.to_vec()
}

fn tar(every: usize, decay: f64, lrs: &[f32]) -> Vec<f32> {
    after(&Drive::Tar { steps: 4, lrs: lrs.to_vec(), every, decay })
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_simulated_attackers_points_count_as_much_as_decay_says() {
    let last = tar(4, 0.0, &[1e-2]);
    let all = tar(2, 0.0, &[1e-2]);
    assert!(distance(&last, &all) > 1e-5, "two points are not one");
    assert!(distance(&last, &tar(2, 50.0, &[1e-2])) < 1e-6, "with a strong decay only the last point counts");
    // Weights 1 and e^(−2 · decay), divided by their sum: a mean of the two points' steps.
    let (first_only, decay) = (after_two_steps(&last, &all), 0.5f64);
    let faded = (-2.0 * decay).exp() as f32;
    let by_hand: Vec<f32> =
        last.iter().zip(&first_only).map(|(l, f)| (l + faded * f) / (1.0 + faded)).collect();
    assert!(distance(&tar(2, decay, &[1e-2]), &by_hand) < 1e-5);
}

/// What the point after two steps alone would give: without decay both count alike.
fn after_two_steps(last: &[f32], all: &[f32]) -> Vec<f32> {
    all.iter().zip(last).map(|(all, last)| 2.0 * all - last).collect()
}

#[test]
fn an_attacker_without_a_rate_leaves_the_plain_step() {
    let plain = after(&Drive::Plain);
    assert!(distance(&plain, &tar(4, 0.1, &[0.0])) < 1e-6);
    assert!(distance(&plain, &tar(4, 0.1, &[1e-2])) > 1e-5);
    assert!(distance(&plain, &after(&Drive::Sam { rho: 1e-7 })) < 1e-6);
    assert!(distance(&plain, &after(&Drive::Sam { rho: 0.5 })) > 1e-5);
    // The adversary is at work only where it may move anything.
    let lat = |eps| after(&Drive::Lat { layer: 0, eps, steps: 2, lr: 0.5 });
    assert!(distance(&plain, &lat(0.0)) < 1e-6 && distance(&plain, &lat(1.0)) > 1e-5);
}

#[test]
fn nothing_of_one_step_is_left_in_the_next() {
    for drive in [
        Drive::Sam { rho: 0.5 },
        Drive::Lat { layer: 0, eps: 1.0, steps: 2, lr: 0.5 },
        Drive::Tar { steps: 4, lrs: vec![1e-2, 1e-3], every: 2, decay: 0.1 },
    ] {
        assert_eq!(after_steps(&drive, 3, false), after_steps(&drive, 3, true), "{drive:?}");
    }
}
