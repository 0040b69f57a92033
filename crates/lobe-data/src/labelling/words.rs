//! Word-list labelling: any of the words, whole and in any case (ERA's forget stories).

use std::collections::BTreeSet;

use crate::error::{DataError, Result};

/// A set of words to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordList(BTreeSet<String>);

impl WordList {
    /// The words, in any case. `of` says in messages whose list it is.
    ///
    /// # Errors
    /// If an entry is not exactly one word. No word of a text would ever equal it.
    pub fn new(entries: &[String], of: &str) -> Result<WordList> {
        let mut list = BTreeSet::new();
        for entry in entries {
            let word = entry.trim();
            if words(word).ne([word]) {
                let why = "for text is split at every character but letters and digits";
                let what = format!("{of}: {entry:?} is never found, {why}: give its words one by one");
                return Err(DataError::Labelling { what });
            }
            list.insert(word.to_lowercase());
        }
        Ok(WordList(list))
    }

    /// Whether any of the words stands in `text` between characters that are neither letters
    /// nor digits. "street" does not contain "tree".
    pub fn occurs_in(&self, text: &str) -> bool {
        words(text).any(|w| self.0.contains(&w.to_lowercase()))
    }
}

/// What stands in `text` between characters that are neither letters nor digits.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_in_any_case() {
        let list = WordList::new(&["tree".into(), " Árbol ".into()], "words").unwrap();
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

    #[test]
    fn entries_that_no_text_can_match_are_refused() {
        let new = |entry: &str| WordList::new(&["tree".into(), entry.into()], "words of \"forget\"");
        for entry in ["New York", "ice-cream", "don't", "tree.", "", " "] {
            assert_eq!(
                new(entry).unwrap_err().to_string(),
                format!(
                    "labelling: words of \"forget\": {entry:?} is never found, for text is split at every \
                     character but letters and digits: give its words one by one"
                )
            );
        }
        // A capital whose small form is two characters is still one word.
        assert!(new("İstanbul").unwrap().occurs_in("in İstanbul"));
        assert!(new("x86").unwrap().occurs_in("an X86."));
    }
}
