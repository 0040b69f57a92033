//! Held-out documents that stand word for word in the training text: what is measured on them is memory.

use std::collections::BTreeSet;

use super::Document;
use crate::error::{Result, setting};

/// Per class: held-out documents, and how many of them stand word for word in the training text of any
/// class. White space does not count.
pub(super) fn repeats(train: &[Document], test: &[Document], classes: usize) -> Vec<[usize; 2]> {
    let known: BTreeSet<[u8; 16]> = train.iter().map(|d| words(&d.text)).collect();
    let mut out = vec![[0; 2]; classes];
    for d in test {
        let [all, repeated] = &mut out[usize::from(d.class)];
        *all += 1;
        *repeated += usize::from(known.contains(&words(&d.text)));
    }
    out
}

/// A remark per class that has such documents.
///
/// # Errors
/// If there are no others: then nothing is held out.
pub(super) fn notes(classes: &[String], counts: &[[usize; 2]]) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for (class, [all, repeated]) in classes.iter().zip(counts) {
        if *repeated > 0 {
            let verb = if *repeated == 1 { "stands" } else { "stand" };
            out.push(format!(
                "{repeated} of {all} held-out documents of {class} {verb} word for word in the training text; \
                 what is measured on them is memory"
            ));
        }
    }
    if !counts.is_empty() && counts.iter().all(|[all, repeated]| all == repeated) {
        return setting(
            "text: every held-out document stands word for word in the training text; \
             remove the copies, or name other text with test_path",
        );
    }
    Ok(out)
}

/// A fingerprint of the words.
fn words(text: &str) -> [u8; 16] {
    let mut hash = blake3::Hasher::new();
    for word in text.split_whitespace() {
        hash.update(word.as_bytes()).update(b" ");
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hash.finalize().as_bytes()[..16]);
    out
}
