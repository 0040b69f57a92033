//! Gradient ascent: the loss on forget data is maximised.
//!
//! Equation: L = −mean over forget tokens of −log p(token).
//! Paper: Jang et al. 2023 (arXiv 2210.01504); the baseline of Maini et al. 2024 (arXiv 2401.06121).
//! Unusual: nothing keeps retain data.
//! Fails: always, if it runs long enough. The objective has no minimum, and everything the two kinds
//! of data share goes with it. Few steps, a small learning rate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{MeanLoss, term};
use super::{Shape, Side, Term, Unlearn};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "gradient-ascent",
    summary: "maximises the loss on forget data",
    reference: "Jang et al. 2023, arXiv 2210.01504",
    unusual: "nothing protects retain data",
    fails: "has no minimum: it destroys the model if it runs long enough",
};

/// Parameters: none.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GradientAscent {}

impl Unlearn for GradientAscent {
    fn terms(&self, _: Shape, _: lobe_core::Key) -> Result<Vec<Term>, ParamError> {
        Ok(vec![term(Side::Forget, 1.0, Box::new(MeanLoss { sign: -1.0 }))])
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<GradientAscent>,
    build: |v| read::<GradientAscent>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
