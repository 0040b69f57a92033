//! Interrupts: the first one saves and stops, the second one stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};

use crate::failure::INTERRUPTED;
use crate::out;

static STOP: AtomicBool = AtomicBool::new(false);
/// Whether there is work that could be saved.
static BEGUN: AtomicBool = AtomicBool::new(false);

/// From now on there is something to save.
pub(crate) fn begun() {
    BEGUN.store(true, Ordering::Relaxed);
}

/// Listens from now on; the flag is set by the first interrupt.
pub(crate) fn watch() -> Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if !BEGUN.load(Ordering::Relaxed) {
            out::note("stopped while the data were being prepared; the same command begins again");
            #[expect(clippy::exit, reason = "nothing has been begun, so nothing is lost")]
            std::process::exit(i32::from(INTERRUPTED));
        }
        if STOP.swap(true, Ordering::Relaxed) {
            #[expect(clippy::exit, reason = "a second interrupt wants no more of this program")]
            std::process::exit(130);
        }
        out::note("saving after this step; interrupt again to stop at once");
    })
    .context("cannot listen for interrupts")?;
    Ok(&STOP)
}
