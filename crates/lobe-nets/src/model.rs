//! A model as a value: its network (adapters included), its parameters, the regions that were cut out of it, the
//! weights that were deleted for good, and the weights that were found and given a name. Its file is that of
//! [`save`](crate::save), with the latter three in the header: units of sites, and blocks of tensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use lobe_core::{Selection, Weights};
use lobe_engine::{Buf, Entries, Layout, Plan, Rectangle};
use serde::{Deserialize, Serialize};

use crate::network::{NetError, Network};
use crate::weights::{self, refuse};

/// Key of the deleted weights in the header.
const STILL: &str = "lobe.still";
/// Prefix of the keys of weights that have a name.
const FOUND: &str = "lobe.found.";
/// Key of the cuts.
const CUTS: &str = "lobe.cuts";
/// Most cuts of a model, and most ranges of units of them all.
const MOST_CUTS: usize = 1 << 12;
/// Most blocks of one set of weights in a file.
const MOST: usize = 1 << 16;

/// A block as it stands in a file: tensor, rows, columns.
type Block = (String, [usize; 2], [usize; 2]);

/// A region that was cut out of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// How, in the word of whoever cut it.
    pub how: String,
    /// The units, by the sites of the model's network.
    pub region: Selection,
}

/// A cut as it stands in a file: the ranges of units of each site by name.
#[derive(Serialize, Deserialize)]
struct SavedCut {
    how: String,
    region: Vec<(String, Vec<[u32; 2]>)>,
}

/// A model.
#[derive(Clone)]
pub struct Model {
    /// Its network, with what stands at its doors.
    pub net: Arc<dyn Network>,
    /// Its parameters.
    pub params: Buf,
    /// What was cut out of it, the first cut first.
    pub cuts: Vec<Cut>,
    /// Weights that no training of it may move: they were deleted, and stay so.
    pub still: Entries,
    /// Weights that have a name.
    pub found: BTreeMap<String, Entries>,
}

impl Model {
    /// A network with these parameters, of which every number may move.
    pub fn new(net: Arc<dyn Network>, params: Buf) -> Model {
        Model { net, params, cuts: Vec::new(), still: Entries::default(), found: BTreeMap::new() }
    }

    /// The same model with other numbers.
    #[must_use]
    pub fn with(&self, params: Buf) -> Model {
        Model { params, ..self.clone() }
    }

    /// Tensors and sites of its network.
    pub fn layout(&self) -> &Layout {
        self.net.layout()
    }

    /// `plan` (of its network) with what was deleted kept as it is.
    #[must_use]
    pub fn kept(&self, plan: Plan) -> Plan {
        if self.still.is_empty() { plan } else { plan.still(&self.still) }
    }

    /// The entries that a text of weights means in it; names of found weights count.
    ///
    /// # Errors
    /// If the text is none, or names what is not there.
    pub fn weights(&self, text: &str) -> Result<Entries, lobe_core::WeightsError> {
        Entries::resolve(&text.parse::<Weights>()?, self.layout(), &self.found)
    }

    /// The bytes of its file; `extra` goes into the header.
    ///
    /// # Errors
    /// If the weights that are still or have a name are scattered over too many blocks.
    pub fn save(&self, extra: &[(&str, String)]) -> Result<Vec<u8>, NetError> {
        let mut all: Vec<(String, String)> =
            extra.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        if !self.cuts.is_empty() {
            let cuts: Vec<SavedCut> = self.cuts.iter().map(|cut| saved(cut, self.layout())).collect();
            all.push((CUTS.to_owned(), serde_json::to_string(&cuts).unwrap_or_default()));
        }
        let still = (!self.still.is_empty()).then_some((STILL.to_owned(), &self.still));
        let found = self.found.iter().map(|(name, w)| (format!("{FOUND}{name}"), w));
        for (key, entries) in still.into_iter().chain(found) {
            let blocks = blocks(entries, self.layout());
            if blocks.len() > MOST {
                let what =
                    format!("{key}: {} weights in {} blocks; at most {MOST}", entries.count(), blocks.len());
                return refuse(Path::new("model"), what);
            }
            all.push((key, serde_json::to_string(&blocks).unwrap_or_default()));
        }
        let all: Vec<(&str, String)> = all.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        weights::save(&*self.net, &self.params, &all)
    }

    /// Reads a model; returns it and the rest of the header.
    ///
    /// # Errors
    /// If the file is not one that [`Model::save`] or [`save`](crate::save) wrote, or is damaged.
    pub fn load(path: &Path) -> Result<(Model, HashMap<String, String>), NetError> {
        let (net, params, mut info) = weights::load(path)?;
        let mut model = Model::new(net, params);
        if let Some(text) = info.remove(CUTS) {
            model.cuts = match cuts(&text, model.layout()) {
                Ok(cuts) => cuts,
                Err(why) => return refuse(path, format!("{CUTS}: {why}")),
            };
        }
        let texts: Vec<(String, String)> = info
            .iter()
            .filter(|(k, _)| *k == STILL || k.starts_with(FOUND))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        for (key, text) in texts {
            info.remove(&key);
            let entries = match entries(&text, model.layout()) {
                Ok(entries) => entries,
                Err(why) => return refuse(path, format!("{key}: {why}")),
            };
            match key.strip_prefix(FOUND) {
                Some(name) => {
                    model.found.insert(name.to_owned(), entries);
                }
                None => model.still = entries,
            }
        }
        Ok((model, info))
    }
}

fn saved(cut: &Cut, layout: &Layout) -> SavedCut {
    let site = |(site, units): (usize, &[std::ops::Range<u32>])| {
        (layout.sites()[site].name.clone(), units.iter().map(|r| [r.start, r.end]).collect())
    };
    SavedCut { how: cut.how.clone(), region: cut.region.sites().map(site).collect() }
}

/// The other way; refuses units that the network has not.
fn cuts(text: &str, layout: &Layout) -> Result<Vec<Cut>, String> {
    let saved: Vec<SavedCut> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let ranges: usize = saved.iter().flat_map(|cut| &cut.region).map(|(_, units)| units.len()).sum();
    if saved.len() > MOST_CUTS || ranges > MOST_CUTS {
        return Err(format!("{} cuts of {ranges} ranges; at most {MOST_CUTS}", saved.len()));
    }
    let mut out = Vec::with_capacity(saved.len());
    for cut in saved {
        let mut region = Selection::default();
        for (name, units) in cut.region {
            let Some(site) = layout.sites().iter().position(|s| s.name == name) else {
                return Err(format!("there is no site {name:?}"));
            };
            let has = layout.sites()[site].units;
            if let Some([start, end]) = units.iter().find(|[start, end]| start >= end || *end > has) {
                return Err(format!("{start}..{end} are no units of {name:?}, which has {has}"));
            }
            region.add(site, units.iter().map(|[start, end]| *start..*end));
        }
        out.push(Cut { how: cut.how, region });
    }
    Ok(out)
}

fn blocks(of: &Entries, layout: &Layout) -> Vec<Block> {
    let block = |p, (r, c): Rectangle| (layout.get(p).name.clone(), [r.start, r.end], [c.start, c.end]);
    of.tensors().flat_map(|p| of.rectangles(p).map(move |rectangle| block(p, rectangle))).collect()
}

/// The other way; refuses what is not in the network.
fn entries(text: &str, layout: &Layout) -> Result<Entries, String> {
    let blocks: Vec<Block> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if blocks.len() > MOST {
        return Err(format!("{} blocks; at most {MOST}", blocks.len()));
    }
    let mut out = Vec::with_capacity(blocks.len());
    for (name, [r0, r1], [c0, c1]) in blocks {
        let Some(p) = layout.find(&name) else { return Err(format!("there is no tensor {name:?}")) };
        let t = layout.get(p);
        if r0 >= r1 || r1 > t.rows || c0 >= c1 || c1 > t.cols {
            let what =
                format!("[{r0}..{r1},{c0}..{c1}] is no block of {name:?}, which is {} x {}", t.rows, t.cols);
            return Err(what);
        }
        out.push((p, (r0..r1, c0..c1)));
    }
    Ok(Entries::of(out))
}
