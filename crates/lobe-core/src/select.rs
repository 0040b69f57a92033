//! A resolved region: contiguous unit ranges per site of one network.

use std::collections::BTreeMap;
use std::ops::Range;

/// A site that a network declares: its dotted name and how many units it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteInfo {
    /// Dotted name, such as `blocks.3.mlp.post`.
    pub name: String,
    /// Number of units.
    pub units: u32,
}

/// Unit ranges per site index, sorted, disjoint and never adjacent. A site may be present with
/// no range: it was *named* but nothing of it is selected, which is what complement needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection(BTreeMap<usize, Vec<Range<u32>>>);

fn tidy(mut ranges: Vec<Range<u32>>) -> Vec<Range<u32>> {
    ranges.retain(|r| r.start < r.end);
    ranges.sort_by_key(|r| r.start);
    let mut out: Vec<Range<u32>> = Vec::with_capacity(ranges.len());
    for r in ranges {
        match out.last_mut() {
            Some(last) if r.start <= last.end => last.end = last.end.max(r.end),
            _ => out.push(r),
        }
    }
    out
}

fn subtract(a: &[Range<u32>], b: &[Range<u32>]) -> Vec<Range<u32>> {
    let mut out = Vec::new();
    for r in a {
        let mut start = r.start;
        for cut in b.iter().filter(|c| c.end > r.start && c.start < r.end) {
            if cut.start > start {
                out.push(start..cut.start);
            }
            start = start.max(cut.end);
        }
        if start < r.end {
            out.push(start..r.end);
        }
    }
    out
}

impl Selection {
    /// Adds ranges of one site (union).
    pub fn add(&mut self, site: usize, ranges: impl IntoIterator<Item = Range<u32>>) {
        let entry = self.0.entry(site).or_default();
        entry.extend(ranges);
        *entry = tidy(std::mem::take(entry));
    }

    /// Sites named by the region, with their (possibly empty) selected ranges, in site order.
    pub fn sites(&self) -> impl Iterator<Item = (usize, &[Range<u32>])> {
        self.0.iter().map(|(s, r)| (*s, r.as_slice()))
    }

    /// Selected ranges of one site; empty if it is not named.
    pub fn ranges(&self, site: usize) -> &[Range<u32>] {
        self.0.get(&site).map_or(&[], Vec::as_slice)
    }

    /// Whether the region names `site` at all.
    pub fn names(&self, site: usize) -> bool {
        self.0.contains_key(&site)
    }

    /// Whether all `units` of `site` are selected.
    pub fn contains_all(&self, site: usize, units: &Range<u32>) -> bool {
        self.ranges(site).iter().any(|r| r.start <= units.start && units.end <= r.end)
    }

    /// Number of selected units over all sites.
    pub fn count(&self) -> usize {
        self.0.values().flatten().map(ExactSizeIterator::len).sum()
    }

    /// Units in either.
    pub fn union(mut self, other: &Selection) -> Selection {
        for (site, ranges) in &other.0 {
            self.add(*site, ranges.iter().cloned());
        }
        self
    }

    /// Units in `self` but not in `other`. Keeps every site that `self` names.
    pub fn difference(mut self, other: &Selection) -> Selection {
        for (site, ranges) in &mut self.0 {
            *ranges = subtract(ranges, other.ranges(*site));
        }
        self
    }

    /// All other units of the sites that `self` names.
    pub fn complement(mut self, sites: &[SiteInfo]) -> Selection {
        for (site, ranges) in &mut self.0 {
            let all = 0..sites[*site].units;
            *ranges = subtract(std::slice::from_ref(&all), ranges);
        }
        self
    }

    /// Units in both.
    pub fn intersection(&self, other: &Selection) -> Selection {
        let rest = self.clone().difference(other);
        self.clone().difference(&rest)
    }

    /// The selection as region text that resolves to itself.
    pub fn describe(&self, sites: &[SiteInfo]) -> String {
        let parts: Vec<String> =
            self.sites()
                .filter(|(_, r)| !r.is_empty())
                .map(|(s, ranges)| {
                    let list: Vec<String> = ranges
                        .iter()
                        .map(|r| {
                            if r.len() == 1 { r.start.to_string() } else { format!("{}..{}", r.start, r.end) }
                        })
                        .collect();
                    if ranges.len() == 1 && ranges[0] == (0..sites[s].units) {
                        sites[s].name.clone()
                    } else {
                        format!("{}[{}]", sites[s].name, list.join(","))
                    }
                })
                .collect();
        if parts.is_empty() { "(nothing)".into() } else { parts.join(" + ") }
    }
}
