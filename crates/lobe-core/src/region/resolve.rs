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
    /// The indices that it means among `0..extent`; `None` if one lies outside.
    pub fn within(self, extent: usize) -> Option<Range<usize>> {
        let extent = i64::try_from(extent).ok()?;
        let place = |n: i64| if n < 0 { extent + n } else { n };
        let (start, end) = match self {
            Index::One(n) => (place(n), place(n) + 1),
            Index::Span(a, b) => (a.map_or(0, place), b.map_or(extent, place)),
        };
        (start >= 0 && end <= extent && start <= end).then_some(start as usize..end as usize)
    }

    fn resolve(self, site: &SiteInfo) -> Result<Range<u32>, RegionError> {
        let range = self.within(site.units as usize).ok_or_else(|| RegionError::OutOfRange {
            index: self.to_string(),
            site: site.name.clone(),
            units: site.units,
        })?;
        Ok(range.start as u32..range.end as u32)
    }
}

/// Whether the dotted `name` is one that `pattern` means.
pub(crate) fn matches(pattern: &[Segment], name: &str) -> bool {
    let mut parts = name.split('.');
    pattern.iter().all(|p| parts.next().is_some_and(|s| p.matches(s))) && parts.next().is_none()
}

/// A pattern as it is written.
pub(crate) fn written(pattern: &[Segment]) -> String {
    pattern.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// What a pattern that matches none of `names` may have meant.
pub(crate) fn hint<'a>(pattern: &[Segment], names: impl Iterator<Item = &'a str> + Clone) -> String {
    numbers(pattern, names.clone()).unwrap_or_else(|| did_you_mean(&written(pattern), names))
}

/// Where only a number is wrong, which numbers there are: `; the model has 2 blocks (0 and 1)`.
fn numbers<'a>(pattern: &[Segment], names: impl Iterator<Item = &'a str>) -> Option<String> {
    let at = pattern.iter().position(|s| matches!(s, Segment::Numbers(..)))?;
    let word = pattern[..at].last()?;
    let mut there: Vec<u32> = Vec::new();
    for name in names {
        let parts: Vec<&str> = name.split('.').collect();
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
                let mut found = false;
                for (i, site) in sites.iter().enumerate().filter(|(_, s)| matches(pattern, &s.name)) {
                    found = true;
                    let ranges: Vec<Range<u32>> = match indices {
                        None => std::iter::once(0..site.units).collect(),
                        Some(list) => list.iter().map(|x| x.resolve(site)).collect::<Result<_, _>>()?,
                    };
                    out.add(i, ranges);
                }
                if found {
                    return Ok(out);
                }
                let hint = hint(pattern, sites.iter().map(|s| s.name.as_str()));
                Err(RegionError::NoSite { pattern: written(pattern), hint })
            }
        }
    }
}
