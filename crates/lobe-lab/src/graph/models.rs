//! Models in the run directory.

use lobe_nets::Model;

use super::context::{Context, ModelRef};
use crate::error::LabError;
use crate::store::MemberDir;

/// Loads the model a stage made, in the shape of its arm.
///
/// # Errors
/// If there is none, or it has another shape.
pub fn read_model(c: &Context<'_>, m: &ModelRef<'_>) -> Result<Model, LabError> {
    let path = c.run.member(m.stage, m.arm, m.seed)?.model_path();
    let (model, _) = Model::load(&path)?;
    let arm = c.experiment.arms.iter().position(|a| a.arm.name == m.arm);
    let net = arm.map(|arm| &c.root.made_by(m.stage, arm).net);
    match net.filter(|net| net.layout().len() == model.layout().len()) {
        // What a file cannot say of a network, such as how its weights were drawn, the recipe says.
        Some(net) => Ok(Model { net: net.clone(), ..model }),
        None => Err(LabError::other(format!("the saved model has another shape: {}", path.display()))),
    }
}

/// Writes a member's model.
///
/// # Errors
/// If the file system refuses.
pub fn write_model(dir: &MemberDir, model: &Model, key: &str) -> Result<(), LabError> {
    let bytes = model.save(&[("lobe.key", key.to_owned())])?;
    Ok(dir.write("model.safetensors", |w| w.write_all(&bytes))?)
}
