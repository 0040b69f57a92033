//! Localisation methods: which data trains which part of the network. Each is a small table of
//! routes.

pub mod activation_masking;
pub mod era;
pub mod experts;
pub mod filter;
pub mod gradient_routing;
mod kinds;
pub mod modular;
pub mod none;
pub mod parameter_masking;
pub mod partition;
pub mod routes;
pub mod sgtm;
mod start;

use lobe_core::{LabelId, LabelSet, RETAIN, Region, RouteTable, UNLABELLED, did_you_mean};

pub use kinds::{Kind, assign, with_kinds};
pub use start::{check_silence, silence};

use lobe_core::registry::{Entry, List, ParamError};

/// What a method may know when it writes its table.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// All labels of the experiment, those of the method's [`Localize::kinds`] included.
    pub labels: &'a LabelSet,
    /// Names of the arm's regions, in order.
    pub regions: &'a [String],
}

/// Which data an arm trains on.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainsOn {
    /// Everything.
    All,
    /// Everything but data that carries one of these labels.
    Without(Vec<LabelId>),
    /// Everything, but tokens of this label's data are no targets where their strength is above
    /// the number; they stay as context. Without token weights every strength is 1.
    Context(LabelId, f32),
}

impl TrainsOn {
    /// Whether a token of data labelled `label` is a target, given its strength.
    pub fn counts(&self, label: LabelId, strength: f32) -> bool {
        match self {
            TrainsOn::All => true,
            TrainsOn::Without(without) => !without.contains(&label),
            TrainsOn::Context(of, above) => label != *of || strength <= *above,
        }
    }
}

/// A part of the network whose gradient the conformance suite looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Parameters owned by the region.
    Region,
    /// Parameters owned by the other units of the region's sites.
    Elsewhere,
    /// Token and position embeddings: upstream of everything.
    Embedding,
    /// Biases into the residual stream.
    OutBias,
    /// Norm gains and shifts.
    Norm,
    /// The read-out.
    Head,
}

/// What a gradient must be, compared with ordinary training on the same data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Exactly zero everywhere.
    Zero,
    /// Equal to ordinary training, bit for bit.
    Plain,
    /// Non-zero and different from ordinary training.
    Changed,
}

/// One line of a method's conformance table.
pub type Expect = (LabelId, Part, Status);

/// A localisation method.
pub trait Localize: Send + Sync {
    /// The routes.
    ///
    /// # Errors
    /// If the arm lacks a region the method needs.
    fn table(&self, context: &Context<'_>) -> Result<RouteTable, ParamError>;

    /// Which data the arm trains on.
    ///
    /// # Errors
    /// If a parameter names no label of the experiment.
    fn trains_on(&self, _: &LabelSet) -> Result<TrainsOn, ParamError> {
        Ok(TrainsOn::All)
    }

    /// Whether every optimiser step must hold data of one label only.
    fn needs_uniform_steps(&self) -> bool {
        false
    }

    /// Kinds of steps beside the ordinary step of each label. Their labels join the experiment's
    /// ([`with_kinds`]), and the table says what they do.
    ///
    /// # Errors
    /// If a parameter names no label, or a share is out of range.
    fn kinds(&self, _: &LabelSet) -> Result<Vec<Kind>, ParamError> {
        Ok(Vec::new())
    }

    /// Whether the regions start with zero out-going weights ([`silence`]).
    fn zero_start(&self) -> bool {
        false
    }

    /// Weight of an L1 penalty on the activations of the arm's regions, per target.
    fn l1(&self) -> f32 {
        0.0
    }

    /// Fewest and most regions an arm of this method names.
    fn regions(&self) -> (usize, usize) {
        (1, 1)
    }

    /// The conformance table for one region of a transformer, with default parameters.
    fn expected(&self) -> Vec<Expect>;
}

/// Most regions of an arm, where a method takes several: as many as there are labels.
const MOST_REGIONS: usize = 48;

/// All localisation methods, in the order they are listed.
pub static LOCALIZE: List<Entry<dyn Localize>> = List::new(&[
    none::ENTRY,
    filter::ENTRY,
    gradient_routing::ENTRY,
    parameter_masking::ENTRY,
    sgtm::ENTRY,
    activation_masking::ENTRY,
    experts::ENTRY,
    era::ENTRY,
    modular::ENTRY,
    partition::ENTRY,
    routes::ENTRY,
]);

/// The parameter `joint_projections`, for [`RouteTable::joint_rows`]; empty is none.
fn joint_rows(text: &str) -> Result<Option<String>, ParamError> {
    if text.is_empty() {
        return Ok(None);
    }
    let refuse = |message: String| ParamError { path: "joint_projections".into(), message };
    text.parse::<Region>().map(|_| Some(text.to_owned())).map_err(|e| refuse(e.to_string()))
}

/// The parameter `topics`: labels of what is restricted, each once; what trains the core is none.
fn restricted(topics: &[String], labels: &LabelSet) -> Result<Vec<LabelId>, ParamError> {
    let mut out = Vec::new();
    for (i, name) in topics.iter().enumerate() {
        let refuse = |message: String| Err(ParamError { path: format!("topics.{i}"), message });
        match labels.find(name) {
            Some(RETAIN | UNLABELLED) => return refuse(format!("{name:?} is what is kept")),
            Some(l) if out.contains(&l) => return refuse(format!("{name:?} is listed twice")),
            Some(l) => out.push(l),
            None => {
                let hint = did_you_mean(name, labels.names().iter().map(String::as_str));
                return refuse(format!("no label {name:?}{hint}"));
            }
        }
    }
    Ok(out)
}

/// "1 region", "2 regions".
fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// Refuses a number of regions that a method cannot use; `known` are the recipe's.
///
/// # Errors
/// Says how many the method takes, how many there are, and what to write.
pub fn check_regions(
    method: &str,
    (fewest, most): (usize, usize),
    given: usize,
    known: &[&str],
) -> Result<(), String> {
    if (fewest..=most).contains(&given) {
        return Ok(());
    }
    let takes = match (fewest, most) {
        (_, 0) => "no region".to_owned(),
        (f, m) if f == m => counted(f, "region"),
        (f, m) => format!("{f} to {m} regions"),
    };
    let found = if given == 0 { "none is named".to_owned() } else { format!("found {given}") };
    let help = match known {
        _ if given > most => String::new(),
        [] => "; name units in [regions], then write region = \"NAME\"".to_owned(),
        known => format!("; write region = {:?} (of {})", known[0], known.join(", ")),
    };
    Err(format!("{method} takes {takes}, {found}{help}"))
}

/// What masking leaves of the gradient of units whose projections may be joint.
fn masked(joint_projections: &str) -> Status {
    if joint_projections.is_empty() { Status::Zero } else { Status::Changed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_number_of_regions_is_said_in_words() {
        let of = |takes, given, known: &[&str]| check_regions("sgtm", takes, given, known).err();
        assert_eq!(of((1, 1), 1, &["a"]), None);
        assert_eq!(
            of((1, 1), 0, &["a", "b"]).unwrap(),
            "sgtm takes 1 region, none is named; write region = \"a\" (of a, b)"
        );
        assert_eq!(of((0, 0), 1, &["a"]).unwrap(), "sgtm takes no region, found 1");
        assert_eq!(of((1, 8), 9, &["a"]).unwrap(), "sgtm takes 1 to 8 regions, found 9");
        assert!(
            of((1, 1), 0, &[]).unwrap().ends_with("name units in [regions], then write region = \"NAME\"")
        );
    }

    #[test]
    fn names_are_unique_and_described() {
        for (i, e) in LOCALIZE.iter().enumerate() {
            assert!(LOCALIZE.iter().take(i).all(|f| f.about.name != e.about.name));
            assert!(
                !e.about.summary.is_empty() && !e.about.reference.is_empty() && !e.about.fails.is_empty()
            );
            assert!(
                (e.params)().iter().all(|p| !p.doc.is_empty()),
                "{}: undocumented parameter",
                e.about.name
            );
        }
    }
}
