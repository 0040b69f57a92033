//! Models in the run directory.

use lobe_engine::Buf;
use lobe_nets::{load, save};

use super::context::{Context, ModelRef};
use crate::error::LabError;
use crate::store::MemberDir;

/// Loads the model a stage made, in the shape of its arm.
///
/// # Errors
/// If there is none, or it has another shape.
pub fn read_model(c: &Context<'_>, m: &ModelRef<'_>) -> Result<Buf, LabError> {
    let dir = c.run.member(m.stage, m.arm, m.seed)?;
    let (net, params, _) = load(&dir.model_path())?;
    let arm = c.experiment.arms.iter().position(|a| a.arm.name == m.arm);
    let fits = arm.is_some_and(|arm| net.layout().len() == c.of_arm(arm).experiment.layout().len());
    if !fits {
        return Err(LabError::other(format!(
            "{}: the saved model has another shape",
            dir.model_path().display()
        )));
    }
    Ok(params)
}

/// Writes a member's model.
///
/// # Errors
/// If the file system refuses.
pub fn write_model(c: &Context<'_>, dir: &MemberDir, params: &[f32], key: &str) -> Result<(), LabError> {
    let bytes = save(&*c.experiment.net, params, &[("lobe.key", key.to_owned())])?;
    Ok(dir.write("model.safetensors", |w| w.write_all(&bytes))?)
}
