//! What a network declares: its tensors, who owns them, and its sites.

use std::ops::Range;

use lobe_core::{JointKind, Key, Selection, SiteInfo};

use crate::buffer::Buf;
use crate::error::EngineError;

/// Index of a tensor in a [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamId(pub usize);

/// Index of a site in a [`Layout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub usize);

/// How a tensor starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zeros.
    Zeros,
    /// All ones.
    Ones,
    /// Normal with this standard deviation.
    Normal(f32),
    /// Uniform in ±bound.
    Uniform(f32),
    /// Rows of length 1 in directions drawn evenly: a random embedding.
    UnitRows,
}

/// Consecutive equal blocks of rows (or columns) and the units that own them: block `b` covers
/// `start + b*width ..` and is owned together by units `b*units_per_block ..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerPart {
    /// First row (or column).
    pub start: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Rows (or columns) per block.
    pub width: usize,
    /// Units that own one block together (query heads sharing a key/value head).
    pub units_per_block: usize,
}

/// Which units of a site own the rows or the columns of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The site whose units own.
    pub site: SiteId,
    /// The owned blocks. Rows or columns outside of every part are joint.
    pub parts: Vec<OwnerPart>,
}

impl Owner {
    /// Row (or column) `i` belongs to unit `i`.
    pub fn units(site: SiteId, count: usize) -> Owner {
        Owner::blocks(site, count, 1)
    }

    /// `width` rows (or columns) for each of `count` units.
    pub fn blocks(site: SiteId, count: usize, width: usize) -> Owner {
        Owner { site, parts: vec![OwnerPart { start: 0, blocks: count, width, units_per_block: 1 }] }
    }

    /// Who owns the rows (or columns) `range`, counted from its start; `None` if a part crosses its border.
    pub fn part(&self, range: &Range<usize>) -> Option<Owner> {
        let mut parts = Vec::new();
        for p in &self.parts {
            let end = p.start + p.blocks * p.width;
            if range.start <= p.start && end <= range.end {
                parts.push(OwnerPart { start: p.start - range.start, ..*p });
            } else if p.start < range.end && range.start < end {
                return None;
            }
        }
        Some(Owner { site: self.site, parts })
    }

    /// The ranges wholly owned by `selection`, sorted and merged.
    pub fn owned(&self, selection: &Selection) -> Vec<Range<usize>> {
        let mut out: Vec<Range<usize>> = Vec::new();
        for part in &self.parts {
            for b in 0..part.blocks {
                let units = (b * part.units_per_block) as u32..((b + 1) * part.units_per_block) as u32;
                if !selection.contains_all(self.site.0, &units) {
                    continue;
                }
                let start = part.start + b * part.width;
                match out.last_mut() {
                    Some(last) if last.end == start => last.end += part.width,
                    _ => out.push(start..start + part.width),
                }
            }
        }
        out
    }
}

/// One parameter tensor, `[rows, cols]` row-major; vectors have one row.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Dotted name.
    pub name: String,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// First element in the flat parameter vector.
    pub offset: usize,
    /// How it starts.
    pub init: Init,
    /// Who owns its rows.
    pub row_owner: Option<Owner>,
    /// Who owns its columns.
    pub col_owner: Option<Owner>,
    /// What it is when no unit owns it.
    pub joint: Option<JointKind>,
    /// Whether it never trains: no plan computes a gradient for it or holds its moments.
    pub frozen: bool,
    /// Whether it is more than a vector.
    pub matrix: bool,
    /// The columns of every matrix that it holds side by side, ascending: queries, keys and values are three
    /// matrices in one tensor. Most hold one; a vector holds none.
    pub matrices: Vec<Range<usize>>,
}

impl Tensor {
    /// Where it lies in the flat parameter vector.
    pub fn span(&self) -> Range<usize> {
        self.offset..self.offset + self.rows * self.cols
    }

    /// Rectangles (row range, column range) owned by `selection`: owned rows in full, and owned
    /// columns in the remaining rows. Disjoint.
    pub fn owned(&self, selection: &Selection) -> Vec<(Range<usize>, Range<usize>)> {
        let rows = self.row_owner.as_ref().map_or(Vec::new(), |o| o.owned(selection));
        let cols = self.col_owner.as_ref().map_or(Vec::new(), |o| o.owned(selection));
        let mut out: Vec<_> = rows.iter().map(|r| (r.clone(), 0..self.cols)).collect();
        let mut start = 0;
        for r in rows.iter().cloned().chain(std::iter::once(self.rows..self.rows)) {
            if start < r.start {
                out.extend(cols.iter().map(|c| (start..r.start, c.clone())));
            }
            start = r.end;
        }
        out
    }
}

/// The tensors and sites of one network. Parameters live in one flat vector.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    tensors: Vec<Tensor>,
    sites: Vec<SiteInfo>,
    len: usize,
}

/// Adds a tensor step by step: `layout.tensor("w", 4, 8).init(..).cols_owned(..).add()`.
pub struct TensorBuilder<'a> {
    layout: &'a mut Layout,
    tensor: Tensor,
}

impl TensorBuilder<'_> {
    /// How it starts (default: zeros).
    pub fn init(mut self, init: Init) -> Self {
        self.tensor.init = init;
        self
    }
    /// Who owns its rows.
    pub fn rows_owned(mut self, owner: Owner) -> Self {
        self.tensor.row_owner = Some(owner);
        self
    }
    /// Who owns its columns.
    pub fn cols_owned(mut self, owner: Owner) -> Self {
        self.tensor.col_owner = Some(owner);
        self
    }
    /// That it is several matrices side by side, by their numbers of columns.
    ///
    /// # Panics
    /// If they are not all columns.
    pub fn side_by_side(mut self, cols: &[usize]) -> Self {
        assert_eq!(cols.iter().sum::<usize>(), self.tensor.cols, "{}: all columns", self.tensor.name);
        let mut end = 0;
        let next = |n: &usize| {
            end += n;
            end - n..end
        };
        self.tensor.matrices = cols.iter().map(next).collect();
        self
    }
    /// What it is when no unit owns it.
    pub fn joint(mut self, kind: JointKind) -> Self {
        self.tensor.joint = Some(kind);
        self
    }
    /// That it never trains.
    pub fn frozen(mut self) -> Self {
        self.tensor.frozen = true;
        self
    }
    /// Adds it.
    pub fn add(self) -> ParamId {
        self.layout.len += self.tensor.rows * self.tensor.cols;
        self.layout.tensors.push(self.tensor);
        ParamId(self.layout.tensors.len() - 1)
    }
}

impl Layout {
    /// Starts a tensor of `rows × cols` (one row for a vector).
    pub fn tensor(&mut self, name: impl Into<String>, rows: usize, cols: usize) -> TensorBuilder<'_> {
        let tensor = Tensor {
            name: name.into(),
            rows,
            cols,
            offset: self.len,
            init: Init::Zeros,
            row_owner: None,
            col_owner: None,
            joint: None,
            frozen: false,
            matrix: rows > 1,
            matrices: if rows > 1 { std::iter::once(0..cols).collect() } else { Vec::new() },
        };
        TensorBuilder { layout: self, tensor }
    }

    /// Declares a site.
    pub fn site(&mut self, name: impl Into<String>, units: usize) -> SiteId {
        self.sites.push(SiteInfo { name: name.into(), units: units as u32 });
        SiteId(self.sites.len() - 1)
    }

    /// All tensors, in declaration order.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// One tensor.
    pub fn get(&self, id: ParamId) -> &Tensor {
        &self.tensors[id.0]
    }

    /// The tensor named `name`.
    pub fn find(&self, name: &str) -> Option<ParamId> {
        self.tensors.iter().position(|t| t.name == name).map(ParamId)
    }

    /// All sites, in declaration order.
    pub fn sites(&self) -> &[SiteInfo] {
        &self.sites
    }

    /// The site named `name`.
    pub fn find_site(&self, name: &str) -> Option<SiteId> {
        self.sites.iter().position(|s| s.name == name).map(SiteId)
    }

    /// Columns of the activation at `site`: its units, times the rows that one of them owns in what reads it.
    pub fn columns_at(&self, site: SiteId) -> usize {
        let mut readers = self.tensors.iter().filter_map(|t| t.row_owner.as_ref()).filter(|o| o.site == site);
        let part = readers.find_map(|o| o.parts.first());
        let width = part.map_or(1, |p| p.width / p.units_per_block.max(1));
        self.sites[site.0].units as usize * width.max(1)
    }

    /// Total number of parameters.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no parameter at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of parameters owned by `selection`.
    pub fn count_owned(&self, selection: &Selection) -> usize {
        self.tensors.iter().flat_map(|t| t.owned(selection)).map(|(r, c)| r.len() * c.len()).sum()
    }

    /// A site of `selection` whose units own no out-going weights: one matrix is the way to them and the way back.
    pub fn without_way_out(&self, selection: &Selection) -> Option<&SiteInfo> {
        let owns =
            |site: usize| self.tensors.iter().any(|t| t.row_owner.as_ref().is_some_and(|o| o.site.0 == site));
        let mut named = selection.sites().filter(|(_, units)| !units.is_empty()).map(|(site, _)| site);
        named.find(|site| !owns(*site)).and_then(|site| self.sites.get(site))
    }

    /// Calls `f` with every contiguous run of parameters owned by `selection`.
    pub fn for_owned(&self, selection: &Selection, mut f: impl FnMut(&Tensor, Range<usize>)) {
        for t in &self.tensors {
            for (rows, cols) in t.owned(selection) {
                for r in rows {
                    let start = t.offset + r * t.cols;
                    f(t, start + cols.start..start + cols.end);
                }
            }
        }
    }

    /// Fresh parameters. Each tensor draws from the key's child of its own name, so networks that
    /// share a tensor share its initial values.
    pub fn init(&self, key: Key) -> Buf {
        let mut out = Buf::zeros(self.len);
        for t in &self.tensors {
            fill(&mut out[t.span()], t.cols, t.init, key.child(&t.name));
        }
        out
    }

    /// Checks that owners name existing sites and fit their tensors.
    ///
    /// # Errors
    /// If an owner's blocks exceed the tensor or the site.
    pub fn check(&self) -> Result<(), EngineError> {
        for t in &self.tensors {
            for (owner, extent) in [(&t.row_owner, t.rows), (&t.col_owner, t.cols)] {
                let Some(owner) = owner else { continue };
                let units = self.sites.get(owner.site.0).map_or(0, |s| s.units as usize);
                for p in &owner.parts {
                    if p.start + p.blocks * p.width > extent || p.blocks * p.units_per_block > units {
                        return Err(EngineError::Invalid(format!("owner of {:?} does not fit", t.name)));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Fills `out`, rows of `cols` numbers, with fresh values.
pub(crate) fn fill(out: &mut [f32], cols: usize, init: Init, key: Key) {
    let mut rng = key.rng();
    match init {
        Init::Zeros => out.fill(0.0),
        Init::Ones => out.fill(1.0),
        Init::Normal(std) => out.iter_mut().for_each(|x| *x = std * rng.normal() as f32),
        Init::Uniform(b) => out.iter_mut().for_each(|x| *x = b * (2.0 * rng.uniform() as f32 - 1.0)),
        Init::UnitRows => {
            for row in out.chunks_exact_mut(cols) {
                for x in row.iter_mut() {
                    *x = rng.normal() as f32;
                }
                let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                for x in row.iter_mut() {
                    *x = (f64::from(*x) / norm) as f32;
                }
            }
        }
    }
}
