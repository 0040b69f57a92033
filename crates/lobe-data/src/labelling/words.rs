//! Word-list labelling: any of the words, whole and in any case (ERA's forget stories).

use std::collections::BTreeSet;

/// A set of words to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordList(BTreeSet<String>);

impl WordList {
    /// The words, in any case.
    pub fn new(words: &[String]) -> WordList {
        WordList(words.iter().map(|w| w.trim().to_lowercase()).collect())
    }

    /// Whether any of the words stands in `text` between characters that are neither letters
    /// nor digits. "street" does not contain "tree".
    pub fn occurs_in(&self, text: &str) -> bool {
        text.split(|c: char| !c.is_alphanumeric())
            .any(|w| !w.is_empty() && self.0.contains(&w.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_in_any_case() {
        let list = WordList::new(&["tree".into(), "Árbol".into()]);
        for (text, hit) in [
            ("A TREE, old.", true),
            ("the street", false),
            ("trees", false),
            ("¡árbol!", true),
            ("tree's", true),
            ("", false),
        ] {
            assert_eq!(list.occurs_in(text), hit, "{text}");
        }
    }
}
