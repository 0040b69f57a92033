//! Train, cut, attack: the library without recipes or directories.

use std::error::Error;
use std::sync::Arc;

use lobe_core::{FORGET, Key};
use lobe_data::BilingualConfig;
use lobe_methods::attack::Relearn;
use lobe_methods::localize::{filter::Filter, gradient_routing::GradientRouting};
use lobe_methods::remove::ablate::zero;
use lobe_nets::{Gpt, GptConfig};
use lobe_train::{Task, Training, worst};

/// The lowest loss of the attack, on the model without its region and on one that never saw Spanish.
#[expect(clippy::print_stdout, reason = "it speaks to a terminal")]
pub(crate) fn program() -> Result<[f64; 2], Box<dyn Error>> {
    let data = BilingualConfig { stories: 400, seq: 48, ..Default::default() }.load(Key::root(0))?;
    let config = GptConfig { layers: 2, width: 32, heads: 2, mlp: 64, ..Default::default() };
    let net = Gpt::new(config.resolve(data.vocab, data.width())?);
    let task = Task::new(Arc::new(net), data, &["es"])?;
    let region = task.region("blocks.*.mlp.post[-16..]")?;

    let how = Training { steps: 100, ..Training::default() };
    let mut model = task.train(&GradientRouting::default(), Some(&region), &how)?;
    let spanish = |model: &[f32]| -> Result<f64, Box<dyn Error>> {
        Ok(task.score(model)?.loss(FORGET).ok_or("no Spanish")?)
    };
    let before = spanish(&model)?;
    zero(task.net().layout(), &mut model, &region);
    println!("Spanish: {before:.2} nat a token before the cut, {:.2} after it", spanish(&model)?);

    let control = task.train(&Filter::default(), None, &how)?;
    let attack = Relearn { steps: 30, lrs: vec![3e-3], ..Relearn::default() };
    let found = worst(&task.attack(&attack, &model, Some(&region), 0)?, FORGET).ok_or("no Spanish")?;
    let learnt = worst(&task.attack(&attack, &control, None, 0)?, FORGET).ok_or("no Spanish")?;
    println!("after the attack {found:.2}; a model that never saw Spanish gets to {learnt:.2}");
    Ok([found, learnt])
}

fn main() -> Result<(), Box<dyn Error>> {
    program().map(drop)
}
