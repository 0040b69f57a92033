//! A closed vocabulary of whole words and punctuation marks, for the embedded generators.

use std::collections::BTreeMap;

use crate::error::{DataError, Result};

/// Start and end mark, id 0.
pub(crate) const END: &str = "<|endoftext|>";
/// Stands for every word outside of the vocabulary, id 1.
pub(crate) const UNKNOWN: &str = "<|unknown|>";
/// Largest vocabulary accepted from a file.
const MAX_WORDS: usize = 1 << 20;

/// Word-level tokenizer. Text is split at white space; punctuation marks and `'s` stand alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    words: Vec<String>,
    ids: BTreeMap<String, u32>,
}

pub(super) const CLOSING: [&str; 9] = [".", ",", "!", "?", ":", ";", "”", "»", "'s"];
pub(super) const OPENING: [&str; 4] = ["¿", "¡", "“", "«"];

impl Words {
    /// A vocabulary of the two marks and `words`, sorted, each once.
    pub fn new(words: impl IntoIterator<Item = String>) -> Words {
        let mut list: Vec<String> = words.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        list.retain(|w| w != END && w != UNKNOWN);
        let words = [END, UNKNOWN].map(String::from).into_iter().chain(list);
        Words::in_order(words.collect())
    }

    fn in_order(words: Vec<String>) -> Words {
        let ids = words.iter().zip(0..).map(|(w, i)| (w.clone(), i)).collect();
        Words { words, ids }
    }

    /// From the list that [`Words::list`] gave, as found in a file.
    pub(crate) fn from_list(words: Vec<String>, path: &str) -> Result<Words> {
        let fail = |what: &str| Err(DataError::Tokenizer { what: what.into(), path: path.into() });
        if words.len() > MAX_WORDS
            || words.first().is_none_or(|w| w != END)
            || words.get(1).is_none_or(|w| w != UNKNOWN)
        {
            return fail("the word list does not start with the two marks, or is too long");
        }
        let out = Words::in_order(words);
        if out.ids.len() == out.words.len() { Ok(out) } else { fail("a word occurs twice") }
    }

    /// All words, in id order.
    pub fn list(&self) -> &[String] {
        &self.words
    }

    /// The id of a word.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    pub(crate) fn encode(&self, text: &str) -> Vec<u32> {
        let mut out = Vec::new();
        for piece in text.split_whitespace() {
            split_marks(piece, &mut |w| out.push(self.id(w).unwrap_or(1)));
        }
        out
    }

    pub(crate) fn decode(&self, ids: &[u32]) -> String {
        let mut out = String::new();
        let mut glue = true;
        for &id in ids {
            let Some(word) = self.words.get(id as usize) else { continue };
            if !glue && !CLOSING.contains(&word.as_str()) {
                out.push(' ');
            }
            out.push_str(word);
            glue = OPENING.contains(&word.as_str());
        }
        out
    }
}

/// Peels opening marks from the front and closing marks from the back of a piece.
fn split_marks<'a>(mut piece: &'a str, emit: &mut dyn FnMut(&'a str)) {
    while let Some(mark) = OPENING.iter().find(|m| piece.starts_with(**m)) {
        let (head, rest) = piece.split_at(mark.len());
        emit(head);
        piece = rest;
    }
    let mut tail = Vec::new();
    while let Some(mark) = CLOSING.iter().find(|m| piece.ends_with(**m)) {
        let (rest, mark) = piece.split_at(piece.len() - mark.len());
        tail.push(mark);
        piece = rest;
    }
    if !piece.is_empty() {
        emit(piece);
    }
    tail.into_iter().rev().for_each(emit);
}
