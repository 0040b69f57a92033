//! Resolved weights: which entries of which tensors, as rectangles.

use std::collections::BTreeMap;
use std::ops::Range;

use lobe_core::{Edges, Index, Line, Region, Segment, Sign, Term, Weights, WeightsError};

use crate::layout::{Layout, ParamId, Tensor};

/// A block of a tensor: rows and columns.
pub type Rectangle = (Range<usize>, Range<usize>);

/// Some rows of a tensor and the columns that are meant in each of them: sorted, disjoint, never
/// adjacent, never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Band {
    rows: Range<usize>,
    cols: Vec<Range<usize>>,
}

/// Entries of tensors. Two values are equal when they hold the same entries: bands are sorted, disjoint,
/// and neighbours differ in their columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries(BTreeMap<ParamId, Vec<Band>>);

/// Sorts ranges and merges those that touch.
fn tidy(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.retain(|r| r.start < r.end);
    ranges.sort_by_key(|r| r.start);
    let mut out: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for r in ranges {
        match out.last_mut() {
            Some(last) if r.start <= last.end => last.end = last.end.max(r.end),
            _ => out.push(r),
        }
    }
    out
}

/// What `keep(in a, in b)` holds for, of two tidy lists of ranges.
fn combine(a: &[Range<usize>], b: &[Range<usize>], keep: fn(bool, bool) -> bool) -> Vec<Range<usize>> {
    let mut ends: Vec<usize> = a.iter().chain(b).flat_map(|r| [r.start, r.end]).collect();
    ends.sort_unstable();
    ends.dedup();
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    for pair in ends.windows(2) {
        while a.get(i).is_some_and(|r| r.end <= pair[0]) {
            i += 1;
        }
        while b.get(j).is_some_and(|r| r.end <= pair[0]) {
            j += 1;
        }
        let within = |r: Option<&Range<usize>>| r.is_some_and(|r| r.start <= pair[0]);
        if keep(within(a.get(i)), within(b.get(j))) {
            out.push(pair[0]..pair[1]);
        }
    }
    tidy(out)
}

/// Adds a band behind the others, to the last one if it goes on.
fn push(bands: &mut Vec<Band>, rows: Range<usize>, cols: Vec<Range<usize>>) {
    match bands.last_mut() {
        _ if rows.is_empty() || cols.is_empty() => {}
        Some(last) if last.rows.end == rows.start && last.cols == cols => last.rows.end = rows.end,
        _ => bands.push(Band { rows, cols }),
    }
}

/// The bands of rectangles in any order.
fn bands(mut rectangles: Vec<Rectangle>) -> Vec<Band> {
    rectangles.retain(|(r, c)| !r.is_empty() && !c.is_empty());
    rectangles.sort_by_key(|(r, _)| r.start);
    let mut ends: Vec<usize> = rectangles.iter().flat_map(|(r, _)| [r.start, r.end]).collect();
    ends.sort_unstable();
    ends.dedup();
    let (mut next, mut open, mut out) = (0, Vec::<&Rectangle>::new(), Vec::new());
    for pair in ends.windows(2) {
        open.retain(|(r, _)| r.end > pair[0]);
        while let Some(rectangle) = rectangles.get(next).filter(|(r, _)| r.start <= pair[0]) {
            open.push(rectangle);
            next += 1;
        }
        push(&mut out, pair[0]..pair[1], tidy(open.iter().map(|(_, c)| c.clone()).collect()));
    }
    out
}

/// [`combine`], band by band.
fn combine_bands(a: &[Band], b: &[Band], keep: fn(bool, bool) -> bool) -> Vec<Band> {
    let mut ends: Vec<usize> = a.iter().chain(b).flat_map(|x| [x.rows.start, x.rows.end]).collect();
    ends.sort_unstable();
    ends.dedup();
    let (mut i, mut j) = (0, 0);
    let mut out = Vec::new();
    for pair in ends.windows(2) {
        while a.get(i).is_some_and(|x| x.rows.end <= pair[0]) {
            i += 1;
        }
        while b.get(j).is_some_and(|x| x.rows.end <= pair[0]) {
            j += 1;
        }
        let cols = |x: Option<&'_ Band>| -> Vec<Range<usize>> {
            x.filter(|x| x.rows.start <= pair[0]).map_or(Vec::new(), |x| x.cols.clone())
        };
        push(&mut out, pair[0]..pair[1], combine(&cols(a.get(i)), &cols(b.get(j)), keep));
    }
    out
}

impl Entries {
    /// These rectangles, in any order and perhaps overlapping.
    pub fn of(rectangles: impl IntoIterator<Item = (ParamId, Rectangle)>) -> Entries {
        let mut lists: BTreeMap<ParamId, Vec<Rectangle>> = BTreeMap::new();
        for (p, rectangle) in rectangles {
            lists.entry(p).or_default().push(rectangle);
        }
        let lists = lists.into_iter().map(|(p, list)| (p, bands(list)));
        Entries(lists.filter(|(_, bands)| !bands.is_empty()).collect())
    }

    /// Every entry of some tensors.
    pub fn whole(layout: &Layout, tensors: impl IntoIterator<Item = ParamId>) -> Entries {
        Entries::of(tensors.into_iter().map(|p| {
            let t = layout.get(p);
            (p, (0..t.rows, 0..t.cols))
        }))
    }

    /// The entries that `weights` mean in a network; `found` are weights that have names.
    ///
    /// # Errors
    /// If a pattern matches no tensor, a region no site, an index lies outside, a name is a tensor's, too,
    /// or nothing is named.
    pub fn resolve(
        weights: &Weights,
        layout: &Layout,
        found: &BTreeMap<String, Entries>,
    ) -> Result<Entries, WeightsError> {
        let out = resolve(weights, layout, found)?;
        if out.is_empty() {
            return Err(WeightsError::Empty { text: weights.to_string() });
        }
        Ok(out)
    }

    fn with(mut self, other: &Entries, keep: fn(bool, bool) -> bool) -> Entries {
        let tensors: Vec<ParamId> = self.0.keys().chain(other.0.keys()).copied().collect();
        for p in tensors {
            let bands = combine_bands(self.bands(p), other.bands(p), keep);
            if bands.is_empty() {
                self.0.remove(&p);
            } else {
                self.0.insert(p, bands);
            }
        }
        self
    }

    /// Entries of either.
    pub fn union(self, other: &Entries) -> Entries {
        self.with(other, |a, b| a || b)
    }

    /// Entries of both.
    pub fn intersection(self, other: &Entries) -> Entries {
        self.with(other, |a, b| a && b)
    }

    /// Entries that are not among `other`.
    pub fn difference(self, other: &Entries) -> Entries {
        self.with(other, |a, b| a && !b)
    }

    fn bands(&self, p: ParamId) -> &[Band] {
        self.0.get(&p).map_or(&[], Vec::as_slice)
    }

    /// Tensors with an entry, in the layout's order.
    pub fn tensors(&self) -> impl Iterator<Item = ParamId> {
        self.0.keys().copied()
    }

    /// Rectangles of one tensor, disjoint, by row and then by column.
    pub fn rectangles(&self, p: ParamId) -> impl Iterator<Item = Rectangle> {
        let of = |b: &Band| {
            let rows = b.rows.clone();
            b.cols.clone().into_iter().map(move |c| (rows.clone(), c))
        };
        self.bands(p).iter().flat_map(of)
    }

    /// Number of entries.
    pub fn count(&self) -> usize {
        let of = |b: &Band| b.rows.len() * b.cols.iter().map(ExactSizeIterator::len).sum::<usize>();
        self.0.values().flatten().map(of).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether row `row`, column `col` of `p` is one.
    pub fn contains(&self, p: ParamId, row: usize, col: usize) -> bool {
        let bands = self.bands(p);
        let at = bands.partition_point(|b| b.rows.end <= row);
        bands.get(at).is_some_and(|b| b.rows.start <= row && b.cols.iter().any(|c| c.contains(&col)))
    }

    /// Contiguous ranges of one tensor in the flat parameter vector, ascending, never adjacent.
    pub fn ranges(&self, p: ParamId, tensor: &Tensor) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        for band in self.bands(p) {
            for row in band.rows.clone() {
                let start = tensor.offset + row * tensor.cols;
                for c in &band.cols {
                    let range = start + c.start..start + c.end;
                    match out.last_mut() {
                        Some(last) if last.end == range.start => last.end = range.end,
                        _ => out.push(range),
                    }
                }
            }
        }
        out
    }

    /// Calls `f` with every contiguous range of the flat parameter vector, ascending.
    pub fn for_ranges(&self, layout: &Layout, mut f: impl FnMut(ParamId, Range<usize>)) {
        for p in self.tensors() {
            self.ranges(p, layout.get(p)).into_iter().for_each(|r| f(p, r));
        }
    }

    /// Sets every entry of `params` to zero.
    pub fn zero(&self, layout: &Layout, params: &mut [f32]) {
        self.for_ranges(layout, |_, r| params[r].fill(0.0));
    }

    /// The entries as text that resolves to themselves, as far as a text of weights may be that long.
    pub fn describe(&self, layout: &Layout) -> String {
        let index = |r: &Range<usize>, extent: usize| match r.len() {
            n if n == extent => "*".to_owned(),
            1 => r.start.to_string(),
            _ => format!("{}..{}", r.start, r.end),
        };
        let part = |p: ParamId, (rows, cols): Rectangle| {
            let t = layout.get(p);
            if rows.len() * cols.len() == t.rows * t.cols {
                return t.name.clone();
            }
            format!("{}[{},{}]", t.name, index(&rows, t.rows), index(&cols, t.cols))
        };
        let parts: Vec<String> =
            self.tensors().flat_map(|p| self.rectangles(p).map(move |r| part(p, r))).collect();
        if parts.is_empty() { "(nothing)".into() } else { parts.join(" + ") }
    }
}

fn resolve(
    weights: &Weights,
    layout: &Layout,
    found: &BTreeMap<String, Entries>,
) -> Result<Entries, WeightsError> {
    let mut out = Entries::default();
    for (sign, term) in weights.terms() {
        let entries = match term {
            Term::Units(edges, region) => units(*edges, region, layout)?,
            Term::Lines(line, of) => lines(*line, &resolve(of, layout, found)?, layout),
            Term::Tensors { pattern, at } => tensors(term, (pattern, at.as_ref()), layout, found)?,
        };
        out = match sign {
            Sign::Plus => out.union(&entries),
            Sign::Minus => out.difference(&entries),
        };
    }
    Ok(out)
}

fn tensors(
    term: &Term,
    (pattern, at): (&[Segment], Option<&[Index; 2]>),
    layout: &Layout,
    found: &BTreeMap<String, Entries>,
) -> Result<Entries, WeightsError> {
    let named = term.name().and_then(|name| Some((name, found.get(name)?)));
    if let Some((name, entries)) = named {
        return match layout.find(name) {
            Some(_) => Err(WeightsError::Ambiguous { name: name.to_owned() }),
            None => Ok(entries.clone()),
        };
    }
    let names = layout.tensors().iter().map(|t| t.name.as_str());
    let list = Term::tensors(pattern, names, found.keys().map(String::as_str))?;
    let mut rectangles = Vec::new();
    for p in list.into_iter().map(ParamId) {
        let t = layout.get(p);
        let within = |line: Line, index: &Index, extent: usize| {
            index.within(extent).ok_or_else(|| WeightsError::OutOfRange {
                line: line.word(),
                index: index.to_string(),
                tensor: t.name.clone(),
                extent,
            })
        };
        rectangles.push(match at {
            None => (p, (0..t.rows, 0..t.cols)),
            Some([row, col]) => (p, (within(Line::Row, row, t.rows)?, within(Line::Column, col, t.cols)?)),
        });
    }
    Ok(Entries::of(rectangles))
}

fn units(edges: Edges, region: &Region, layout: &Layout) -> Result<Entries, WeightsError> {
    let selection = region.resolve(layout.sites())?;
    let mut out = Vec::new();
    for (i, t) in layout.tensors().iter().enumerate() {
        if edges != Edges::In {
            let rows = t.row_owner.as_ref().map_or(Vec::new(), |o| o.owned(&selection));
            out.extend(rows.into_iter().map(|r| (ParamId(i), (r, 0..t.cols))));
        }
        if edges != Edges::Out {
            let cols = t.col_owner.as_ref().map_or(Vec::new(), |o| o.owned(&selection));
            out.extend(cols.into_iter().map(|c| (ParamId(i), (0..t.rows, c))));
        }
    }
    Ok(Entries::of(out))
}

fn lines(line: Line, of: &Entries, layout: &Layout) -> Entries {
    let whole = |p: ParamId, (rows, cols): Rectangle| match line {
        Line::Row => (p, (rows, 0..layout.get(p).cols)),
        Line::Column => (p, (0..layout.get(p).rows, cols)),
    };
    Entries::of(of.tensors().flat_map(|p| of.rectangles(p).map(move |r| whole(p, r))))
}
