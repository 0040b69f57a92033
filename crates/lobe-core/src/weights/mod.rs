//! Single weights by name, the sibling of a region: which numbers of a network move, stay or are deleted.
//!
//! ```text
//! weights = term { ("+" | "-") term }
//! term    = tensor [ "[" index "," index "]" ]      row (input), column (output); a vector has one row
//!         | "owned(" region ")"                     all weights of units
//!         | "in(" region ")" | "out(" region ")"    what units read, what they write
//!         | "row(" weights ")" | "column(" weights ")"    the whole line that an entry stands in
//!         | name                                    weights that a stage found
//! tensor  = dotted segments, as in a region: a word, a number, a range "0-4" or "*"
//! index   = "*" | N | -N | [N] ".." [N]             negative numbers count from the end
//! ```
//!
//! `blocks.1.mlp.out.weight[1710,64]`, `blocks.*.mlp.out.weight[-1,*] - column(outliers)`. Terms apply from
//! left to right. Matrices are `[in, out]`, as they are stored.

mod parse;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::region::resolve::{hint, matches, written};
use crate::region::{Index, Region, RegionError, Segment};

/// Parsed weights. `Display` prints text that parses to the same weights. Which numbers of a network
/// they are, only somebody who knows its tensors can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights(Vec<(Sign, Term)>);

/// Whether a term adds weights or takes them away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Also these.
    Plus,
    /// Not these.
    Minus,
}

/// One term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// Entries of every tensor that a pattern matches. One word without indices may also be the name of
    /// weights that were found: [`Term::name`].
    Tensors {
        /// Pattern segments between dots.
        pattern: Vec<Segment>,
        /// Row and column; `None` is every entry.
        at: Option<[Index; 2]>,
    },
    /// Weights of units.
    Units(Edges, Region),
    /// The lines that entries stand in.
    Lines(Line, Box<Weights>),
}

/// Which weights of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Edges {
    /// All that it owns.
    #[default]
    Owned,
    /// Those that it reads: the columns that it owns.
    In,
    /// Those that it writes: the rows that it owns.
    Out,
}

/// A direction in a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// All weights of one input.
    Row,
    /// All weights of one output.
    Column,
}

/// Why the text of weights is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WeightsError {
    /// The text does not follow the grammar.
    #[error("weights: {what} at character {at} of {text:?}")]
    Syntax {
        /// What is wrong.
        what: String,
        /// Character position, from 1.
        at: usize,
        /// The whole text.
        text: String,
    },
    /// A pattern matches no tensor of the network.
    #[error("weights: no tensor matches {pattern:?}{hint}")]
    NoTensor {
        /// The pattern.
        pattern: String,
        /// Nearest valid choice.
        hint: String,
    },
    /// One word names a tensor and weights that were found.
    #[error("weights: {name:?} is a tensor and also the name of weights that were found; rename the latter")]
    Ambiguous {
        /// The word.
        name: String,
    },
    /// An index lies outside of a tensor.
    #[error("weights: {line} {index} is outside of {tensor:?}, which has {extent} {line}s")]
    OutOfRange {
        /// "row" or "column".
        line: &'static str,
        /// The index as written.
        index: String,
        /// The tensor's name.
        tensor: String,
        /// Its number of such lines.
        extent: usize,
    },
    /// The units of a term are no region of the network.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The whole text names nothing.
    #[error("weights: {text:?} names no weight")]
    Empty {
        /// The text.
        text: String,
    },
}

impl Weights {
    /// The terms, from left to right; the first one adds.
    pub fn terms(&self) -> &[(Sign, Term)] {
        &self.0
    }
}

impl Term {
    /// The word, if the term is one word without indices: perhaps a name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Term::Tensors { pattern, at: None } => match pattern.as_slice() {
                [Segment::Word(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    /// Places among `tensors` (names in the network's order) that `pattern` matches.
    ///
    /// # Errors
    /// If it matches none; `found` are the names of weights that one word may mean as well.
    pub fn tensors<'a>(
        pattern: &[Segment],
        tensors: impl Iterator<Item = &'a str> + Clone,
        found: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Vec<usize>, WeightsError> {
        let list: Vec<usize> =
            tensors.clone().enumerate().filter(|(_, n)| matches(pattern, n)).map(|(i, _)| i).collect();
        if list.is_empty() {
            let hint = hint(pattern, found.chain(tensors));
            return Err(WeightsError::NoTensor { pattern: written(pattern), hint });
        }
        Ok(list)
    }
}

impl Edges {
    const ALL: [(&'static str, Edges); 3] = [("owned", Edges::Owned), ("in", Edges::In), ("out", Edges::Out)];

    /// The word before the bracket.
    pub fn word(self) -> &'static str {
        match self {
            Edges::Owned => "owned",
            Edges::In => "in",
            Edges::Out => "out",
        }
    }
}

impl Line {
    const ALL: [(&'static str, Line); 2] = [("row", Line::Row), ("column", Line::Column)];

    /// The word before the bracket.
    pub fn word(self) -> &'static str {
        match self {
            Line::Row => "row",
            Line::Column => "column",
        }
    }
}

/// An index between the brackets of a tensor; every index is `*`.
struct Written(Index);

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Index::Span(None, None) => f.write_str("*"),
            index => index.fmt(f),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Term::Units(edges, region) => write!(f, "{}({region})", edges.word()),
            Term::Lines(line, weights) => write!(f, "{}({weights})", line.word()),
            Term::Tensors { pattern, at } => {
                f.write_str(&written(pattern))?;
                let Some([row, column]) = at else { return Ok(()) };
                write!(f, "[{},{}]", Written(*row), Written(*column))
            }
        }
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (sign, term)) in self.0.iter().enumerate() {
            match (i, sign) {
                (0, _) => {}
                (_, Sign::Plus) => f.write_str(" + ")?,
                (_, Sign::Minus) => f.write_str(" - ")?,
            }
            term.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::region::parse::MAX_TEXT;

    fn parsed(text: &str) -> Weights {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<Weights>().unwrap_err().to_string()
    }

    #[test]
    fn weights_print_as_they_parse() {
        for (text, printed) in [
            ("blocks.1.mlp.out.weight[1710,64]", None),
            ("blocks.1.mlp.out.weight[1710,*]", None),
            ("blocks.0-4.*.weight[-1,..8]", None),
            ("a.b[..,3..]", Some("a.b[*,3..]")),
            ("owned(blocks.*.mlp.post[-8..] + !z)", None),
            ("in(z[0])+out( z )-found", Some("in(z[0]) + out(z) - found")),
            ("row(a - column(b[0,1]))", None),
            // Words of functions are names, too, where no bracket follows.
            ("in + row.out[0,0]", None),
        ] {
            let weights = parsed(text);
            assert_eq!(weights.to_string(), printed.unwrap_or(text));
            assert_eq!(parsed(&weights.to_string()), weights);
        }
    }

    #[test]
    fn one_word_may_be_a_name() {
        let names = |text: &str| {
            let weights = parsed(text);
            weights.terms().iter().map(|(_, t)| t.name().map(str::to_owned)).collect::<Vec<_>>()
        };
        assert_eq!(
            names("found - found[0,0] + a.found + 3 + *"),
            [Some("found".into()), None, None, None, None]
        );
    }

    #[test]
    fn wrong_weights_say_what_and_where() {
        assert_eq!(
            refused("w[3]"),
            "weights: expected \",\" and a column: an entry is [row,column], and a vector has one row, 0, at \
             character 4 of \"w[3]\""
        );
        assert_eq!(refused("w[1,2,3]"), "weights: expected \"]\" at character 6 of \"w[1,2,3]\"");
        assert_eq!(refused("w[1:2,*]"), "weights: write [1..2], not [1:2], at character 4 of \"w[1:2,*]\"");
        assert_eq!(
            refused("owner(z)"),
            "weights: nothing is called \"owner\"; did you mean \"owned\"? at character 1 of \"owner(z)\""
        );
        assert_eq!(
            refused("a + "),
            "weights: expected a tensor, a name or \"owned(\", \"in(\", \"out(\", \"row(\", \"column(\" at \
             character 5 of \"a + \""
        );
        assert_eq!(refused("owned(z"), "weights: expected \")\" at character 8 of \"owned(z\"");
        assert_eq!(
            refused("owned()"),
            "weights: expected a site name, \"*\", \"!\" or \"(\" at character 7 of \"owned()\""
        );
        assert_eq!(refused("w]"), "weights: expected \"+\", \"-\" or the end at character 2 of \"w]\"");
        assert!(refused(&"row(".repeat(1000)).contains("nesting too deep"));
        assert!(refused(&"a".repeat(MAX_TEXT + 1)).contains("longer than 4096 bytes"));
        assert!(refused(&vec!["a"; 1400].join("+")).contains("longer than 4096 bytes once printed"));
    }

    #[test]
    fn a_pattern_finds_its_tensors_or_the_nearest() {
        let tensors = ["blocks.0.w", "blocks.1.w", "head"];
        let find = |text: &str| {
            let weights = parsed(text);
            let Term::Tensors { pattern, .. } = &weights.terms()[0].1 else { panic!("a pattern") };
            Term::tensors(pattern, tensors.into_iter(), std::iter::once("outliers"))
        };
        assert_eq!(find("blocks.*.w"), Ok(vec![0, 1]));
        let error = |text: &str| find(text).unwrap_err().to_string();
        assert_eq!(
            error("blocks.2.w"),
            "weights: no tensor matches \"blocks.2.w\"; the model has 2 blocks (0 and 1)"
        );
        assert_eq!(error("outlier"), "weights: no tensor matches \"outlier\"; did you mean \"outliers\"?");
    }

    proptest! {
        #[test]
        fn any_text_is_handled_and_parsed_text_round_trips(
            text in "([ab0-9.*, +()\\[\\]-]|owned\\(|in\\(|row\\(|\\.\\.|\\[0,){0,12}",
        ) {
            if let Ok(weights) = text.parse::<Weights>() {
                let again: Weights = weights.to_string().parse().unwrap();
                prop_assert_eq!(again, weights);
            }
        }
    }
}
