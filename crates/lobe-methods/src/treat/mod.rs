//! Treatments: what is done to single weights of a model, one file each.
//!
//! A treatment writes nothing but the entries it is given. [`TREATMENTS`] is the explicit ordered list.

mod noise;
mod scale;
mod zero;

use lobe_core::Key;
use lobe_core::registry::{Entry, List};
use lobe_engine::{Entries, Layout};

pub use noise::Noise;
pub use scale::Scale;
pub use zero::Zero;

/// Something that is done to weights.
pub trait Treatment: Send + Sync {
    /// Changes `entries` of `params` (of `layout`), and nothing else; `key` is the root of everything random.
    fn treat(&self, layout: &Layout, params: &mut [f32], entries: &Entries, key: Key);
}

/// All treatments, in the order they are listed.
pub static TREATMENTS: List<Entry<dyn Treatment>> = List::new(&[zero::ENTRY, scale::ENTRY, noise::ENTRY]);

/// The treatment called `name`.
pub fn treatment(name: &str) -> Option<&'static Entry<dyn Treatment>> {
    TREATMENTS.find(name)
}
