//! The units that a region names among a network's sites.

use std::ops::Range;

use super::{Index, Region, RegionError, Segment};
use crate::nearest::did_you_mean;
use crate::select::{Selection, SiteInfo};

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Segment::Any => true,
            Segment::Word(w) => w == part,
            Segment::Numbers(a, b) => part.parse::<u32>().is_ok_and(|n| (*a..=*b).contains(&n)),
        }
    }
}

impl Index {
    fn resolve(self, site: &SiteInfo) -> Result<Range<u32>, RegionError> {
        let units = i64::from(site.units);
        let place = |n: i64| if n < 0 { units + n } else { n };
        let (start, end) = match self {
            Index::One(n) => (place(n), place(n) + 1),
            Index::Span(a, b) => (a.map_or(0, place), b.map_or(units, place)),
        };
        if start < 0 || end > units || start > end {
            return Err(RegionError::OutOfRange {
                index: self.to_string(),
                site: site.name.clone(),
                units: site.units,
            });
        }
        Ok(start as u32..end as u32)
    }
}

/// Where only a number is wrong, which numbers there are: `; the model has 2 blocks (0 and 1)`.
fn numbers(pattern: &[Segment], sites: &[SiteInfo]) -> Option<String> {
    let at = pattern.iter().position(|s| matches!(s, Segment::Numbers(..)))?;
    let word = pattern[..at].last()?;
    let mut there: Vec<u32> = Vec::new();
    for site in sites {
        let parts: Vec<&str> = site.name.split('.').collect();
        let fits = |(i, (s, part)): (usize, (&Segment, &&str))| i == at || s.matches(part);
        if parts.len() == pattern.len() && pattern.iter().zip(&parts).enumerate().all(fits) {
            there.extend(parts[at].parse::<u32>());
        }
    }
    there.sort_unstable();
    there.dedup();
    let (first, last) = (there.first()?, there.last()?);
    let which = match there.len() {
        1 => first.to_string(),
        2 => format!("{first} and {last}"),
        _ => format!("{first} to {last}"),
    };
    Some(match (word.to_string().strip_suffix('s'), there.len()) {
        (Some(one), 1) => format!("; the model has 1 {one} ({which})"),
        (Some(_), n) => format!("; the model has {n} {word} ({which})"),
        (None, _) => format!("; the numbers after \"{word}\" are {which}"),
    })
}

impl Region {
    /// Resolves against a network's sites, in their order.
    ///
    /// # Errors
    /// If a pattern matches no site, an index lies outside, or nothing is selected.
    pub fn resolve(&self, sites: &[SiteInfo]) -> Result<Selection, RegionError> {
        let out = self.select(sites)?;
        if out.count() == 0 {
            return Err(RegionError::Empty { text: self.to_string() });
        }
        Ok(out)
    }

    fn select(&self, sites: &[SiteInfo]) -> Result<Selection, RegionError> {
        match self {
            Region::Union(a, b) => Ok(a.select(sites)?.union(&b.select(sites)?)),
            Region::Difference(a, b) => Ok(a.select(sites)?.difference(&b.select(sites)?)),
            Region::Complement(a) => Ok(a.select(sites)?.complement(sites)),
            Region::Sites { pattern, indices } => {
                let mut out = Selection::default();
                let mut hit = false;
                for (i, site) in sites.iter().enumerate() {
                    let parts: Vec<&str> = site.name.split('.').collect();
                    if parts.len() != pattern.len() || !pattern.iter().zip(&parts).all(|(p, s)| p.matches(s))
                    {
                        continue;
                    }
                    hit = true;
                    let ranges: Vec<Range<u32>> = match indices {
                        None => std::iter::once(0..site.units).collect(),
                        Some(list) => list.iter().map(|x| x.resolve(site)).collect::<Result<_, _>>()?,
                    };
                    out.add(i, ranges);
                }
                if hit {
                    return Ok(out);
                }
                let hint = numbers(pattern, sites);
                let pattern: String = pattern.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
                let hint =
                    hint.unwrap_or_else(|| did_you_mean(&pattern, sites.iter().map(|s| s.name.as_str())));
                Err(RegionError::NoSite { pattern, hint })
            }
        }
    }
}
