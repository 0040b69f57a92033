//! What can be worked out with a pencil: losses of weights set by hand on drawn rows, and what never trains.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use lobe_core::{Key, LabelSet, UNLABELLED};
use lobe_data::{Dataset, FeaturesConfig, MixingConfig, MixingKind, Target};
use lobe_engine::optim::AdamW;
use lobe_engine::{Buf, EngineError, Member, Optimiser, Plan, Program, Runner, Schedule};
use lobe_methods::objective::{Distance, Minimise, Whole, ordinary};
use lobe_nets::{Batch, Column, Network, Superposition, SuperpositionConfig, WANTED, network};
use lobe_train::{Forward, collect, push_drawn};
use serde_json::json;

fn net(settings: &serde_json::Value) -> Arc<dyn Network> {
    let entry = network("residual-mlp").unwrap();
    (entry.build)(&(entry.read)(settings).unwrap(), None).unwrap()
}

fn data(mixing: Vec<MixingConfig>) -> Dataset {
    let target = Target::InputPlusRelu;
    let config = FeaturesConfig { target, mixing, held_out: 4000, ..FeaturesConfig::default() };
    config.load(Key::root(0)).unwrap()
}

fn noisy() -> Vec<MixingConfig> {
    let of = |name: &str, kind| MixingConfig { name: name.into(), kind, ..MixingConfig::default() };
    vec![of("clean", MixingKind::None), of("noisy", MixingKind::Embedding)]
}

/// Σ over rows of the mean squared distance per number.
fn errors(net: &dyn Network, params: &[f32], batch: &Batch) -> f64 {
    let runner = Runner::new(2).unwrap();
    let of_shards = Forward::new(net, &runner, params).each_shard(batch, |tape, ran, shard| {
        let Some(Column::Numbers { width, values }) = batch.target(shard, WANTED) else {
            return Err(EngineError::Invalid("no numbers are wanted".into()));
        };
        let pairs = tape.value(ran.end(0)?).iter().zip(values);
        Ok(pairs.map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>() / width as f64)
    });
    of_shards.unwrap().iter().sum()
}

/// Loss per feature probability over `rows` rows of a class that are drawn as in training.
fn of_drawn(net: &dyn Network, params: &[f32], data: &Dataset, (class, rows): (u16, u64)) -> f64 {
    let drawn = data.train.drawn().unwrap().under(Key::root(3));
    let mut batch = collect(&data.train, &[], Some(512));
    let mut sum = 0.0;
    for first in (0..rows).step_by(10_000) {
        batch.clear();
        (first..first + 10_000).for_each(|i| push_drawn(&mut batch, &drawn, (i, class), UNLABELLED));
        sum += errors(net, params, &batch);
    }
    sum / rows as f64 / 0.01
}

/// The same over the held-out rows of a class.
fn of_held_out(net: &dyn Network, params: &[f32], data: &Dataset, class: u16) -> f64 {
    let chosen: Vec<_> =
        data.test.select(|_, c| c == class).iter().map(|i| (*i as usize, UNLABELLED)).collect();
    errors(net, params, &collect(&data.test, &chosen, None)) / chosen.len() as f64 / data.active.unwrap()
}

/// E ReLU(x)² = 1/6, E x² = 1/3 and E x ReLU(x) = 1/6 for x uniform in ±1; an embedding of 1000 dimensions adds
/// the variance 99/1000 · 1/3 of the other numbers.
#[test]
fn weights_by_hand_have_the_losses_that_a_pencil_gives() {
    let data = data(noisy());
    let fifty = net(&json!({ "features": 100 }));
    let linear = net(&json!({ "features": 100, "activation": "identity" }));
    let pairs = net(&json!({ "features": 100, "neurons": [60, 40] }));
    let every = net(&json!({ "features": 100, "activation": "identity", "neurons": [100] }));
    let noise = 0.033;
    for (net, name, class, want) in [
        (&fifty, "none", 0, 1.0 / 6.0),
        (&fifty, "naive", 0, 1.0 / 12.0),
        (&fifty, "none", 1, 1.0 / 6.0 + noise),
        (&fifty, "naive", 1, 1.0 / 12.0 + noise),
        // Half of them at 1/12, the others at 1/6: as many linear neurons, or twice as many ReLUs.
        (&linear, "half-slope", 0, 1.0 / 8.0),
        (&pairs, "half-slope", 0, 1.0 / 8.0),
        (&every, "half-slope", 0, 1.0 / 12.0),
    ] {
        let params = net.written(name, Key::root(1)).unwrap();
        let drawn = of_drawn(&**net, &params, &data, (class, 200_000));
        assert!((drawn - want).abs() < 2e-3, "{name}, class {class}: {drawn}, not {want}");
        let held_out = of_held_out(&**net, &params, &data, class);
        // The matrix is one draw: its norm is not exactly its mean.
        let near = if class == 0 { 3e-4 } else { 1e-3 };
        assert!((held_out - want).abs() < near, "{name}, class {class}: {held_out}, not {want}");
    }
    assert!(linear.written("naive", Key::root(1)).is_none());
    assert!(fifty.written("pentagon", Key::root(1)).is_none());
}

/// What a random embedding does to the labels is what its noise class says: blocks that do nothing lose as much
/// behind an embedding on clean labels as without one on noisy labels. Neurons set by hand lose more: they read
/// and write through the embedding, too, and what they add disturbs the other numbers again.
#[test]
fn an_embedding_is_its_own_noise() {
    let data = data(Vec::new());
    let embedded = net(&json!({ "features": 100, "embedding": 1000 }));
    let of = |name| of_held_out(&*embedded, &embedded.written(name, Key::root(5)).unwrap(), &data, 0);
    let (none, naive) = (of("none"), of("naive"));
    assert!((none - 0.1997).abs() < 1e-3, "{none}");
    // At least the second copy of the noise, from the 50 numbers x > 0 that are written twice: 0.099 (5/6 - 1/3) / 2.
    assert!(naive > 0.1163 + 0.0248 && naive < none, "{naive}");
}

/// One of five is active: it comes out as it is, its two neighbours as cos 72° of it, the two behind not at all.
#[test]
fn a_pentagon_loses_what_neighbours_overlap() {
    let config = SuperpositionConfig { hidden: 2, ..SuperpositionConfig::default() };
    let net = Superposition::new(config.resolve(5).unwrap());
    let params = net.written("pentagon", Key::root(0)).unwrap();
    let config = FeaturesConfig { count: 5, exactly: 1, range: [0.0, 1.0], ..FeaturesConfig::default() };
    let data = config.load(Key::root(0)).unwrap();
    let cos = (72f64).to_radians().cos();
    // Per row two squared errors cos² 72° E x² over five numbers, of which one in five is active.
    let want = 2.0 * cos * cos / 3.0;
    let found = of_held_out(&net, &params, &data, 0);
    assert!((found - want).abs() < 1e-4, "{found}, not {want}");
}

/// Steps of AdamW with decay on the embedded network.
fn trained(net: &dyn Network, params: Buf, data: &Dataset, steps: u64) -> Member {
    let runner = Runner::new(2).unwrap();
    let rule = AdamW::default();
    let optimiser = Optimiser { weight_decay: 0.1, ..Optimiser::new(rule, Schedule::constant(3e-3)) };
    let mut member = Member::new(params, Plan::plain(net.layout()), 2).unwrap();
    let terms = ordinary(net, Distance::Squared);
    let labels = LabelSet::default().len();
    let mut batch = collect(&data.train, &[], Some(256));
    for step in 0..steps {
        batch.clear();
        let drawn = data.train.drawn().unwrap();
        (0..512).for_each(|i| push_drawn(&mut batch, drawn, (512 * step + i, 0), UNLABELLED));
        let program = Minimise::new(net, &terms, Whole::new(&batch, labels));
        let job: (&mut Member, &dyn Program, &Optimiser) = (&mut member, &program, &optimiser);
        runner.step(net.layout(), &mut [job], step).unwrap();
    }
    member
}

#[test]
fn an_embedding_never_trains_and_costs_nothing() {
    let data = data(Vec::new());
    let net = net(&json!({ "features": 100, "embedding": 200, "neurons": [20] }));
    let start = net.layout().init(Key::root(2));
    let embed = net.layout().find("embed.weight").unwrap();
    let plan = Plan::plain(net.layout());
    assert!(!plan.trainable(embed) && plan.gradients().of(embed).is_none());
    assert!(!plan.clone().train_only(|_| true).trainable(embed));
    assert_eq!(plan.gradients().len(), 2 * 200 * 20, "no gradient and no moments of the embedding");
    let member = trained(&*net, start.clone(), &data, 3);
    let span = net.layout().get(embed).span();
    assert_eq!(member.params[span.clone()], start[span.clone()]);
    assert!((span.end..start.len()).all(|i| member.params[i] != start[i]));
}

#[test]
fn training_finds_more_than_nothing() {
    let data = data(Vec::new());
    let net = net(&json!({ "features": 100, "neurons": [50] }));
    let member = trained(&*net, net.layout().init(Key::root(2)), &data, 300);
    let found = of_held_out(&*net, &member.params, &data, 0);
    assert!(found < 0.15, "{found}: 1/6 is what no training reaches");
}
