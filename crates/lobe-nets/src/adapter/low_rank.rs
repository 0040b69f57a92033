//! A low-rank map beside matrices (LoRA).
//!
//! Equation: `x W` becomes `x W + s (x A) B` with A `[in, r]` drawn and B `[r, out]` zero at the start.
//! Paper: Hu et al. 2021 (arXiv 2106.09685).
//! Unusual: the r dimensions between A and B are units of a site. Unit k owns column k of A and row k of B,
//! and A and B belong to the units of the host that own the rows and columns of W. So regions, routes and
//! cuts work on a part of an adapter, and a cut of the host's units cuts the adapter's weights of them.
//! Matrices that lie side by side in one tensor (queries, keys and values; gate and up) have a map each.
//! Fails: where what is to be learnt has a higher rank.

use std::ops::Range;
use std::sync::Arc;

use lobe_core::registry::{About, Entry, ParamError, in_range, params_of, read};
use lobe_core::{JointKind, Key, Weights};
use lobe_engine::ops::linear::LinearSpec;
use lobe_engine::ops::unary::Function;
use lobe_engine::{
    Buf, Door, EngineError, Entries, Guest, Init, Layout, Owner, ParamId, SiteId, Tape, Tensor, Var, View,
    ViewMut, gemm,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Adapter, Standing, check_free, check_name};

const ABOUT: About = About {
    name: "low-rank",
    summary: "a trained low-rank map beside matrices of a network (LoRA)",
    reference: "Hu et al. 2021, arXiv 2106.09685",
    unusual: "its rank dimensions are units, which regions, routes and cuts can name",
    fails: "if what is to be learnt has a higher rank than the adapter",
};

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LowRank {
    /// Its part of the names of sites and tensors: `blocks.0.mlp.in.lora`.
    name: String,
    /// Rank of each map.
    #[schemars(range(min = 1, max = 65536))]
    rank: usize,
    /// Factor on the map.
    #[schemars(range(min = -1000000.0, max = 1000000.0))]
    scale: f32,
    /// Whole matrices, as the text of weights; empty for all but embeddings and read-outs.
    /// Example: `blocks.*.mlp.in.weight`.
    on: String,
}

impl Default for LowRank {
    fn default() -> Self {
        LowRank { name: "lora".into(), rank: 8, scale: 1.0, on: String::new() }
    }
}

/// The map beside one matrix.
#[derive(Debug, Clone)]
struct Map {
    /// Columns of the matrix in its tensor.
    cols: Range<usize>,
    /// A, B and the site between them; `None` where no map is wanted.
    own: Option<(ParamId, ParamId, SiteId)>,
}

/// Who stands at a tensor: a map for each of its matrices.
struct Beside {
    weight: ParamId,
    scale: f32,
    maps: Vec<Map>,
}

impl Guest for Beside {
    fn pass(&self, tape: &mut Tape<'_>, _: Door, x: Var) -> Result<Var, EngineError> {
        let y = tape.product(x, self.weight)?;
        if let [one] = self.maps.as_slice() {
            return self.add(tape, one, x, y);
        }
        let mut out = None;
        for map in &self.maps {
            let part = tape.columns(y, map.cols.clone())?;
            let part = self.add(tape, map, x, part)?;
            out = Some(match out {
                None => part,
                Some(left) => tape.concat(left, part)?,
            });
        }
        Ok(out.unwrap_or(y))
    }
}

impl Beside {
    fn add(&self, tape: &mut Tape<'_>, map: &Map, x: Var, y: Var) -> Result<Var, EngineError> {
        let Some((a, b, site)) = map.own else { return Ok(y) };
        let mut h = tape.linear(x, LinearSpec { site: Some(site), ..LinearSpec::new(a) })?;
        if self.scale != 1.0 {
            h = tape.map(h, Function::Scale(self.scale));
        }
        // Open: the network may read the product before the site that its columns belong to.
        tape.linear(h, LinearSpec { residual: Some(y), open: true, ..LinearSpec::new(b) })
    }
}

/// The name of the map beside matrix `n` of a tensor.
fn map_name(t: &Tensor, n: usize, name: &str) -> String {
    let stem = t.name.strip_suffix(".weight").unwrap_or(&t.name);
    if t.matrices.len() == 1 { format!("{stem}.{name}") } else { format!("{stem}.{n}.{name}") }
}

impl LowRank {
    /// The entries of matrices that get a map.
    fn wanted(&self, host: &Layout) -> Result<Entries, ParamError> {
        if self.on.is_empty() {
            let inner = |(_, t): &(usize, &Tensor)| t.matrix && t.cols > 1 && t.joint.is_none();
            let all = host.tensors().iter().enumerate().filter(inner).map(|(i, _)| ParamId(i));
            return Ok(Entries::whole(host, all));
        }
        let found = std::collections::BTreeMap::new();
        let resolved = self.on.parse::<Weights>().and_then(|w| Entries::resolve(&w, host, &found));
        resolved.map_err(|e| ParamError { path: "on".into(), message: e.to_string() })
    }

    /// The maps of every tensor that has one. `own` says, for the name of a map, what belongs to it.
    fn maps(
        &self,
        layout: &Layout,
        mut own: impl FnMut(ParamId, usize, String) -> Result<Option<(ParamId, ParamId, SiteId)>, ParamError>,
    ) -> Result<Vec<(ParamId, Vec<Map>)>, ParamError> {
        let mut out = Vec::new();
        for (i, t) in layout.tensors().iter().enumerate() {
            let mut maps = Vec::new();
            for (n, cols) in t.matrices.iter().enumerate() {
                let own = own(ParamId(i), n, map_name(t, n, &self.name))?;
                maps.push(Map { cols: cols.clone(), own });
            }
            if maps.iter().any(|m| m.own.is_some()) {
                out.push((ParamId(i), maps));
            }
        }
        Ok(out)
    }

    /// The maps that were declared into `layout`.
    fn declared(&self, layout: &Layout) -> Vec<(ParamId, Vec<Map>)> {
        let named = |_: ParamId, _: usize, name: String| {
            let tensor = |end: &str| layout.find(&format!("{name}.{end}"));
            Ok(tensor("a").zip(tensor("b")).zip(layout.find_site(&name)).map(|((a, b), site)| (a, b, site)))
        };
        self.maps(layout, named).unwrap_or_default()
    }

    /// Declares the map beside matrix `n` of tensor `t` of the host.
    fn place(
        &self,
        t: &Tensor,
        n: usize,
        into: &mut Layout,
    ) -> Result<(ParamId, ParamId, SiteId), ParamError> {
        let (name, cols) = (map_name(t, n, &self.name), &t.matrices[n]);
        check_free(into, &name)?;
        let site = into.site(&name, self.rank);
        let units = || Owner::units(site, self.rank);
        let spread = Init::Normal(1.0 / (t.rows as f32).sqrt());
        let mut a = into.tensor(format!("{name}.a"), t.rows, self.rank).init(spread).cols_owned(units());
        if let Some(owner) = &t.row_owner {
            a = a.rows_owned(owner.clone());
        }
        let a = a.add();
        let mut b = into.tensor(format!("{name}.b"), self.rank, cols.len()).rows_owned(units());
        if let Some(owner) = &t.col_owner {
            let message = format!("the units that own {:?} do not end where its matrices do", t.name);
            let part = owner.part(cols).ok_or(ParamError { path: "on".into(), message })?;
            b = b.cols_owned(part);
        }
        Ok((a, b.add(), site))
    }
}

impl Adapter for LowRank {
    fn spec(&self) -> Value {
        super::spec(ABOUT.name, self)
    }

    fn declare(&self, host: &Layout, into: &mut Layout) -> Result<Standing, ParamError> {
        check_name(&self.name)?;
        let wanted = self.wanted(host)?;
        let refuse = |message: String| ParamError { path: "on".into(), message };
        // What is named must be matrices, and all of each.
        let mut named = 0;
        let maps = self.maps(host, |p, n, _| {
            let t = host.get(p);
            let matrix = Entries::of([(p, (0..t.rows, t.matrices[n].clone()))]);
            let part = matrix.intersection(&wanted).count();
            named += part;
            if part == 0 {
                return Ok(None);
            }
            if part < t.rows * t.matrices[n].len() {
                return Err(refuse(format!(
                    "names a part of a matrix in {:?}; an adapter stands at a whole one",
                    t.name
                )));
            }
            if matches!(t.joint, Some(JointKind::Embedding | JointKind::Head)) {
                return Err(refuse(format!(
                    "names {:?}, an embedding or a read-out; no guest stands there",
                    t.name
                )));
            }
            self.place(t, n, into).map(Some)
        })?;
        if named < wanted.count() {
            return Err(refuse("names a vector; an adapter stands at matrices".into()));
        }
        if maps.is_empty() {
            return Err(refuse("names no matrix".into()));
        }
        let guest = |(weight, maps): (ParamId, Vec<Map>)| {
            let beside = Beside { weight, scale: self.scale, maps };
            (Door::Weight(weight), Arc::new(beside) as Arc<dyn Guest>)
        };
        Ok(maps.into_iter().map(guest).collect())
    }

    fn start(&self, layout: &Layout, params: &mut [f32], key: Key) {
        for (p, maps) in self.declared(layout) {
            let t = layout.get(p);
            let own = key.child(&t.name);
            for (n, map) in maps.iter().enumerate() {
                let Some((a, b, _)) = map.own else { continue };
                let mut rng = if maps.len() == 1 { own } else { own.index(n as u64) }.rng();
                let spread = 1.0 / (t.rows as f64).sqrt();
                params[layout.get(a).span()].iter_mut().for_each(|x| *x = (spread * rng.normal()) as f32);
                params[layout.get(b).span()].fill(0.0);
            }
        }
    }

    fn merged(&self, layout: &Layout, params: &[f32]) -> Option<Buf> {
        let mut out = Buf::from_slice(params);
        for (p, maps) in self.declared(layout) {
            let t = layout.get(p);
            for map in maps {
                let Some((a, b, _)) = map.own else { continue };
                let (a, b) = (layout.get(a).span(), layout.get(b).span());
                let rank = a.len() / t.rows;
                let (av, bv) = (
                    View::new(&params[a], t.rows, rank),
                    View::new(&params[b.clone()], rank, map.cols.len()),
                );
                let w = ViewMut::new(&mut out[t.span()], t.rows, t.cols).block(0..t.rows, map.cols);
                gemm(w, self.scale, av, bv, true);
                out[b].fill(0.0);
            }
        }
        Some(out)
    }
}

/// The registered adapter.
pub(super) const ENTRY: Entry<dyn Adapter> = Entry {
    about: &ABOUT,
    params: params_of::<LowRank>,
    build: |v| {
        let (p, full) = read::<LowRank>(v)?;
        in_range::<LowRank>(&full)?;
        Ok((Box::new(p), full))
    },
};
