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

/// Checks that the units of a region have out-going weights of their own. Where one matrix is both the way to a
/// unit and the way back, a start at zero would be a start that no gradient leaves.
///
/// # Errors
/// With the site whose units have none.
pub fn check_silence(layout: &Layout, region: &Selection) -> Result<(), String> {
    layout.without_way_out(region).map_or(Ok(()), |site| {
        Err(format!(
            "the units of {:?} have no out-going weights of their own, which would start at zero",
            site.name
        ))
    })
}
