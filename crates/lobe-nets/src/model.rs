//! A model as a value: its network (adapters included), its parameters, the weights that were deleted for good,
//! and the weights that were found and given a name. Its file is that of [`save`](crate::save), with the
//! latter two in the header, as blocks of tensors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use lobe_core::Weights;
use lobe_engine::{Buf, Entries, Layout, Plan, Rectangle};

use crate::network::{NetError, Network};
use crate::weights::{self, refuse};

/// Key of the deleted weights in the header.
const STILL: &str = "lobe.still";
/// Prefix of the keys of weights that have a name.
const FOUND: &str = "lobe.found.";
/// Most blocks of one set of weights in a file.
const MOST: usize = 1 << 16;

/// A block as it stands in a file: tensor, rows, columns.
type Block = (String, [usize; 2], [usize; 2]);

/// A model.
#[derive(Clone)]
pub struct Model {
    /// Its network, with what stands at its doors.
    pub net: Arc<dyn Network>,
    /// Its parameters.
    pub params: Buf,
    /// Weights that no training of it may move: they were deleted, and stay so.
    pub still: Entries,
    /// Weights that have a name.
    pub found: BTreeMap<String, Entries>,
}

impl Model {
    /// A network with these parameters, of which every number may move.
    pub fn new(net: Arc<dyn Network>, params: Buf) -> Model {
        Model { net, params, still: Entries::default(), found: BTreeMap::new() }
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
