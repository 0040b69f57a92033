//! A vector that is added at a site.
//!
//! Equation: what leaves the site becomes `x + θ`, the same θ for every row; θ = 0 at the start.
//! Paper: steering vectors; Turner et al. 2023 (arXiv 2308.10248), Mack and Turner 2024 (MELBO).
//! Unusual: each unit of the site owns its columns of θ, so that a cut of the unit cuts them, too.
//! Fails: where the direction that matters differs from row to row.

use std::sync::Arc;

use lobe_core::registry::{About, Entry, ParamError, params_of, read};
use lobe_core::{Key, Region};
use lobe_engine::ops::binary::Pair;
use lobe_engine::{Buf, Door, EngineError, Guest, Layout, Owner, ParamId, SiteId, Tape, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Adapter, Standing, check_free, check_name};

const ABOUT: About = About {
    name: "add",
    summary: "a trained vector that is added to what leaves a site (a steering vector)",
    reference: "Turner et al. 2023, arXiv 2308.10248",
    unusual: "the units of the site own the vector's columns",
    fails: "if the direction that matters differs from row to row",
};

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// Its part of the names of tensors: `blocks.1.resid_post.add`.
    #[serde(default = "name")]
    name: String,
    /// Whole sites, as the text of a region. Example: `blocks.1.resid_post`.
    at: String,
}

fn name() -> String {
    "add".into()
}

/// Who stands at a site.
struct Vector(ParamId);

impl Guest for Vector {
    fn pass(&self, tape: &mut Tape<'_>, _: Door, x: Var) -> Result<Var, EngineError> {
        let theta = tape.leaf(self.0);
        tape.pair(x, Pair::Add, theta)
    }
}

impl Add {
    fn sites(&self, host: &Layout) -> Result<Vec<SiteId>, ParamError> {
        let refuse = |message: String| ParamError { path: "at".into(), message };
        let region = self.at.parse::<Region>().and_then(|r| r.resolve(host.sites()));
        let region = region.map_err(|e| refuse(e.to_string()))?;
        let mut out = Vec::new();
        for (s, ranges) in region.sites().filter(|(_, ranges)| !ranges.is_empty()) {
            let site = &host.sites()[s];
            if !region.contains_all(s, &(0..site.units)) {
                let message =
                    format!("names {ranges:?} of {:?}; a vector is added at a whole site", site.name);
                return Err(refuse(message));
            }
            out.push(SiteId(s));
        }
        Ok(out)
    }
}

impl Adapter for Add {
    fn spec(&self) -> Value {
        super::spec(ABOUT.name, self)
    }

    fn declare(&self, host: &Layout, into: &mut Layout) -> Result<Standing, ParamError> {
        check_name(&self.name)?;
        let mut out: Standing = Vec::new();
        for site in self.sites(host)? {
            let (units, cols) = (host.sites()[site.0].units as usize, host.columns_at(site));
            let name = format!("{}.{}", host.sites()[site.0].name, self.name);
            check_free(into, &name)?;
            let owner = Owner::blocks(site, units, cols / units.max(1));
            let theta = into.tensor(name, 1, cols).cols_owned(owner).add();
            out.push((Door::Site(site), Arc::new(Vector(theta))));
        }
        Ok(out)
    }

    /// Zero is where every vector begins, and where `params` are before anybody fills them.
    fn start(&self, layout: &Layout, params: &mut [f32], _: Key) {
        let end = format!(".{}", self.name);
        let sites = self.sites(layout).unwrap_or_default();
        for site in sites {
            let name = format!("{}{end}", layout.sites()[site.0].name);
            if let Some(theta) = layout.find(&name) {
                params[layout.get(theta).span()].fill(0.0);
            }
        }
    }

    /// Not every site has a bias in front of it.
    fn merged(&self, _: &Layout, _: &[f32]) -> Option<Buf> {
        None
    }
}

/// The registered adapter.
pub(super) const ENTRY: Entry<dyn Adapter> = Entry {
    about: &ABOUT,
    params: params_of::<Add>,
    build: |v| read::<Add>(v).map(|(p, full)| (Box::new(p) as Box<dyn Adapter>, full)),
};
