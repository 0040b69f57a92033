//! Documents into rows of `seq + 1` ids.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::dataset::PAD;

/// How documents fill sequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// One document per sequence, cut at the end or padded.
    Document,
    /// Documents of one class end to end. Every token is a target exactly once.
    Pack,
}

/// Appends the rows of `documents` to `ids`; returns how many. `marks` are (begin, end), if there are
/// any; where they are equal, packing puts one mark between two documents, not two.
pub(crate) fn rows(
    documents: impl Iterator<Item = Vec<u32>>,
    seq: usize,
    packing: Packing,
    marks: impl Into<Option<(u32, u32)>>,
    ids: &mut Vec<u32>,
) -> usize {
    let (begin, end) = marks.into().unzip();
    let before = ids.len();
    let pad =
        |ids: &mut Vec<u32>| ids.resize(before + (ids.len() - before).div_ceil(seq + 1) * (seq + 1), PAD);
    match packing {
        Packing::Document => {
            for doc in documents {
                ids.extend(begin.into_iter().chain(doc).chain(end).take(seq + 1));
                pad(ids);
            }
        }
        Packing::Pack => {
            // Each row starts with the last id of the row before: an input there, a target here.
            let push = |id: u32, ids: &mut Vec<u32>| {
                let full = (ids.len() - before).is_multiple_of(seq + 1) && ids.len() > before;
                if full && let Some(&last) = ids.last() {
                    ids.push(last);
                }
                ids.push(id);
            };
            for (i, doc) in documents.enumerate() {
                let before = begin.filter(|_| i == 0 || begin != end);
                before.into_iter().chain(doc).chain(end).for_each(|id| push(id, ids));
            }
            pad(ids);
        }
    }
    (ids.len() - before) / (seq + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packing: Packing, marks: (u32, u32), docs: &[&[u32]], expected: &[&[u32]]) {
        let mut ids = vec![99; 5];
        let n = rows(docs.iter().map(|d| d.to_vec()), 4, packing, marks, &mut ids);
        let got: Vec<&[u32]> = ids[5..].chunks(5).collect();
        assert_eq!((n, got), (expected.len(), expected.to_vec()));
    }

    #[test]
    fn documents_are_cut_or_padded() {
        check(
            Packing::Document,
            (0, 1),
            &[&[5, 6], &[5, 6, 7, 8, 9], &[]],
            &[&[0, 5, 6, 1, PAD], &[0, 5, 6, 7, 8], &[0, 1, PAD, PAD, PAD]],
        );
    }

    #[test]
    fn documents_without_marks_stand_as_they_are() {
        let bare = |packing, expected: &[&[u32]]| {
            let docs: [&[u32]; 3] = [&[5, 6], &[1, 2, 3, 4, 9, 9], &[]];
            let mut ids = Vec::new();
            let n = rows(docs.iter().map(|d| d.to_vec()), 4, packing, None, &mut ids);
            assert_eq!((n, ids.chunks(5).collect::<Vec<_>>()), (expected.len(), expected.to_vec()));
        };
        bare(Packing::Document, &[&[5, 6, PAD, PAD, PAD], &[1, 2, 3, 4, 9]]);
        bare(Packing::Pack, &[&[5, 6, 1, 2, 3], &[3, 4, 9, 9, PAD]]);
    }

    #[test]
    fn packed_tokens_are_targets_exactly_once() {
        check(
            Packing::Pack,
            (0, 0),
            &[&[1, 2], &[3, 4, 5], &[6]],
            &[&[0, 1, 2, 0, 3], &[3, 4, 5, 0, 6], &[6, 0, PAD, PAD, PAD]],
        );
        check(Packing::Pack, (8, 9), &[&[1], &[2]], &[&[8, 1, 9, 8, 2], &[2, 9, PAD, PAD, PAD]]);
        check(Packing::Pack, (0, 0), &[&[1, 2, 3]], &[&[0, 1, 2, 3, 0]]);
        check(Packing::Pack, (0, 0), &[], &[]);
    }
}
