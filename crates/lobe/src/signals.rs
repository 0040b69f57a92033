//! Interrupts: the first one saves and stops, the second one stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};

use crate::out;

static STOP: AtomicBool = AtomicBool::new(false);

/// Listens from now on; the flag is set by the first interrupt.
pub(crate) fn watch() -> Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "a second interrupt wants no more of this program")]
            std::process::exit(130);
        }
        out::note("saving after this step; interrupt again to stop at once");
    })
    .context("cannot listen for interrupts")?;
    Ok(&STOP)
}
