//! The list of sources: one line each.

use lobe_core::registry::List;

use crate::source::SourceEntry;
use crate::{arithmetic, bilingual, features, images, text};

/// All sources, in the order they are listed.
pub static SOURCES: List<SourceEntry> = List::new(&[
    bilingual::ENTRY,
    arithmetic::ENTRY,
    text::ENTRY,
    images::GLYPHS,
    images::IDX,
    images::CIFAR,
    features::ENTRY,
]);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_source_says_what_it_accepts_and_refuses_the_rest() {
        for s in &SOURCES {
            assert!(!s.summary.is_empty() && (s.params)().iter().all(|p| !p.doc.is_empty()), "{}", s.kind);
            let refused = (s.build)(&json!({ "storys": 3 })).err().unwrap();
            assert_eq!(refused.path, "storys", "{}", s.kind);
        }
        let build = SOURCES.find("bilingual").unwrap().build;
        let (_, full) = build(&json!({})).unwrap();
        assert_eq!(full["stories"], 8000);
        let error = build(&json!({ "storys": 3 })).err().unwrap();
        assert_eq!(error.to_string(), "storys: unknown key; did you mean \"stories\"?");
        let text = json!({ "sources": [{ "path": "a.txt" }], "tokenizer": { "kind": "bpe", "vocab": 300 } });
        assert!((SOURCES.find("text").unwrap().build)(&text).is_ok() && SOURCES.find("tekst").is_none());
    }
}
