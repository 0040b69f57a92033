//! The text form of a region: its grammar, how it is printed, and why a text is refused.
//!
//! ```text
//! region  = term { ("+" | "-") term }
//! term    = "!" term | "(" region ")" | site [ "[" index { "," index } "]" ]
//! site    = dotted segments; a segment is a word, a number, a range "0-4" or "*"
//! index   = N | -N | [N] ".." [N]        negative numbers count from the end
//! ```
//!
//! `blocks.0-4.mlp.post[2048..2112] + blocks.*.attn.z[-1]`. The complement `!r` is all other
//! units *of the sites that `r` names*, so that routing "everything else" never reaches sites
//! nobody mentioned.

pub(crate) mod parse;
pub(crate) mod resolve;

use std::fmt;

use thiserror::Error;

/// A parsed region. `Display` prints text that parses to the same region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Region {
    /// Units of every site that matches a pattern.
    Sites {
        /// Pattern segments between dots.
        pattern: Vec<Segment>,
        /// Selected indices; `None` is all units.
        indices: Option<Vec<Index>>,
    },
    /// Units in either.
    Union(Box<Region>, Box<Region>),
    /// Units in the first but not in the second.
    Difference(Box<Region>, Box<Region>),
    /// The other units of the named sites.
    Complement(Box<Region>),
}

/// One dotted segment of a site pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Matches any one segment.
    Any,
    /// Matches the word.
    Word(String),
    /// Matches the numbers from the first to the second, both included.
    Numbers(u32, u32),
}

/// One index expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// One unit; negative counts from the end.
    One(i64),
    /// Half-open range; a missing end is open.
    Span(Option<i64>, Option<i64>),
}

/// Why a region text is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegionError {
    /// The text does not follow the grammar.
    #[error("region: {what} at character {at} of {text:?}")]
    Syntax {
        /// What is wrong.
        what: String,
        /// Character position, from 1.
        at: usize,
        /// The whole text.
        text: String,
    },
    /// A pattern matches no site of the network.
    #[error("region: no site matches {pattern:?}{hint}")]
    NoSite {
        /// The pattern.
        pattern: String,
        /// Nearest valid choice.
        hint: String,
    },
    /// An index lies outside of a site.
    #[error("region: index {index} is outside of {site:?}, which has {units} units")]
    OutOfRange {
        /// The index as written.
        index: String,
        /// The site's name.
        site: String,
        /// The site's number of units.
        units: u32,
    },
    /// The whole region selects nothing.
    #[error("region: {text:?} names no unit")]
    Empty {
        /// The region's text.
        text: String,
    },
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Segment::Any => f.write_str("*"),
            Segment::Word(w) => f.write_str(w),
            Segment::Numbers(a, b) if a == b => write!(f, "{a}"),
            Segment::Numbers(a, b) => write!(f, "{a}-{b}"),
        }
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |n: &Option<i64>| n.map_or(String::new(), |n| n.to_string());
        match self {
            Index::One(n) => write!(f, "{n}"),
            Index::Span(a, b) => write!(f, "{}..{}", end(a), end(b)),
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // "+" and "-" bind equally and to the left, so only a compound right side needs brackets.
        let right = |r: &Region| {
            if matches!(r, Region::Union(..) | Region::Difference(..)) {
                format!("({r})")
            } else {
                r.to_string()
            }
        };
        match self {
            Region::Union(a, b) => write!(f, "{a} + {}", right(b)),
            Region::Difference(a, b) => write!(f, "{a} - {}", right(b)),
            Region::Complement(a) => write!(f, "!{}", right(a)),
            Region::Sites { pattern, indices } => {
                let parts: Vec<String> = pattern.iter().map(ToString::to_string).collect();
                f.write_str(&parts.join("."))?;
                let Some(list) = indices else { return Ok(()) };
                let list: Vec<String> = list.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", list.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Region;
    use super::parse::MAX_TEXT;
    use crate::select::{Selection, SiteInfo};

    fn sites() -> Vec<SiteInfo> {
        let mut out = Vec::new();
        for i in 0..12 {
            out.push(SiteInfo { name: format!("blocks.{i}.attn.z"), units: 4 });
            out.push(SiteInfo { name: format!("blocks.{i}.mlp.post"), units: 64 });
        }
        out.push(SiteInfo { name: "latent".into(), units: 32 });
        out
    }

    fn check(text: &str, count: usize, described: &str) {
        let s = sites();
        let sel = text.parse::<Region>().and_then(|r| r.resolve(&s)).unwrap();
        assert_eq!((sel.count(), sel.describe(&s).as_str()), (count, described), "{text}");
    }

    #[test]
    fn a_region_too_long_to_be_printed_is_refused() {
        let text = vec!["a"; 1400].join("+");
        assert!(text.len() < MAX_TEXT);
        let error = text.parse::<Region>().unwrap_err().to_string();
        assert!(error.contains("longer than 4096 bytes once printed"), "{error}");
        let region: Region = vec!["a"; 1000].join("+").parse().unwrap();
        assert_eq!(region.to_string().parse(), Ok(region));
    }

    #[test]
    fn regions_resolve() {
        check("latent[..16]", 16, "latent[0..16]");
        check("latent[-1]", 1, "latent[31]");
        check("!latent[..16]", 16, "latent[16..32]");
        check("latent - latent[4..8]", 28, "latent[0..4,8..32]");
        check("latent[0,2..4,3..5] + latent[5]", 5, "latent[0,2..6]");
        check("blocks.10-11.mlp.post[-8..]", 16, "blocks.10.mlp.post[56..64] + blocks.11.mlp.post[56..64]");
        check("blocks.3.attn.z - (blocks.3.attn.z[0] + blocks.3.attn.z[1])", 2, "blocks.3.attn.z[2..4]");
        assert_eq!(
            "blocks.*.mlp.post[-32..] + blocks.*.attn.z[-1]"
                .parse::<Region>()
                .unwrap()
                .resolve(&sites())
                .unwrap()
                .count(),
            12 * 33
        );
    }

    #[test]
    fn wrong_regions_say_what_and_where() {
        let err = |t: &str| t.parse::<Region>().and_then(|r| r.resolve(&sites())).unwrap_err().to_string();
        assert_eq!(err("latnt"), "region: no site matches \"latnt\"; did you mean \"latent\"?");
        assert_eq!(err("latent[40]"), "region: index 40 is outside of \"latent\", which has 32 units");
        assert_eq!(
            err("blocks.12.attn.z"),
            "region: no site matches \"blocks.12.attn.z\"; the model has 12 blocks (0 to 11)"
        );
        assert_eq!(err("latent[-8:]"), "region: write [-8..], not [-8:], at character 10 of \"latent[-8:]\"");
        assert!(err("latent[1:5]").contains("write [1..5], not [1:5],"));
        assert!(err("latent[:5]").contains("write [..5], not [:5],"));
        assert_eq!(err("latent[3..3]"), "region: \"latent[3..3]\" names no unit");
        assert_eq!(
            err("latent +"),
            "region: expected a site name, \"*\", \"!\" or \"(\" at character 9 of \"latent +\""
        );
        assert_eq!(err("latent]"), "region: expected \"+\", \"-\" or the end at character 7 of \"latent]\"");
        assert!(err(&"(".repeat(3000)).contains("nesting too deep"));
        assert!(err(&"!".repeat(3000)).contains("nesting too deep"));
        assert!(err("latent[99999999999999999999]").contains("number too large"));
    }

    proptest! {
        #[test]
        fn any_text_is_handled_and_parsed_text_round_trips(text in "[a-c0-9.*!()+ \\[\\],-]{0,40}") {
            if let Ok(region) = text.parse::<Region>() {
                let again: Region = region.to_string().parse().unwrap();
                prop_assert_eq!(&again, &region);
                region.resolve(&sites()).ok();
            }
        }

        #[test]
        fn set_laws(a in 0u32..64, b in 0u32..64, c in 0u32..64, d in 0u32..64) {
            let s = sites();
            let (a, b) = (a.min(b), a.max(b));
            let (c, d) = (c.min(d), c.max(d));
            let pick = |x: u32, y: u32| { let mut sel = Selection::default(); sel.add(1, std::iter::once(x..y)); sel };
            let (p, q) = (pick(a, b), pick(c, d));
            prop_assert_eq!(p.clone().complement(&s).complement(&s), p.clone());
            let both = p.intersection(&q).count();
            prop_assert_eq!(p.clone().union(&q).count() + both, p.count() + q.count());
            prop_assert_eq!(p.clone().difference(&q).count() + both, p.count());
        }
    }
}
