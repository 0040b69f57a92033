//! Where a region starts from.

use lobe_core::Selection;
use lobe_engine::Layout;

/// Sets the out-going weights of the region's units to zero: the network then computes what it
/// would without the region, bit for bit, and the region still learns (a unit's out-going weights
/// have a gradient as soon as the unit is active). An autoencoder's decoders that read a part of
/// the latent or are detached own no such weights: they see the region from the start.
pub fn silence(layout: &Layout, params: &mut [f32], region: &Selection) {
    for t in layout.tensors() {
        for rows in t.row_owner.iter().flat_map(|o| o.owned(region)) {
            params[t.offset + rows.start * t.cols..t.offset + rows.end * t.cols].fill(0.0);
        }
    }
}
