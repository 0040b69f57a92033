//! `[arms]`: the treatments that are compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::callbacks::Callbacks;
use super::check::{name, one_of, range};
use super::error::PathError;
use super::form::{Arm, ArmData, ArmKind, Derived, NamedRegion, Section};
use super::merge::merge;
use super::resolve::{about, complete, required};
use super::scale::{Scale, train};
use super::train::{Train, is_of_another};
use super::tree::{Node, Tree};
use super::typed::typed;

/// The keys of an arm that are not its method's parameters: no method may have one of that name.
pub const ARM_KEYS: [&str; 15] = [
    "method",
    "from",
    "about",
    "region",
    "data",
    "labels",
    "control",
    "loss_weight",
    "train",
    "masked",
    "objective",
    "model",
    "weights",
    "grid",
    "family",
];
/// Those that a method's parser does not get to see: `objective` it takes out itself.
pub(super) const KEYS: [&str; 14] = [
    "method",
    "from",
    "about",
    "region",
    "data",
    "labels",
    "control",
    "loss_weight",
    "train",
    "masked",
    "model",
    "weights",
    "grid",
    "family",
];
/// The method that trains in the ordinary way, and changes nothing of a model it starts from.
const PLAIN: &str = "none";
/// Most arms of one recipe.
const MAX_ARMS: usize = 256;

pub(super) fn arms(all: &Around<'_>, derived: &mut Vec<Derived>) -> Result<Vec<Arm>, PathError> {
    let none = || PathError::new("", "the table [arms] is missing: a recipe compares at least one arm");
    let entries = all.root.get("arms").ok_or_else(none)?.entries(&["arms"])?;
    if entries.is_empty() || entries.len() > MAX_ARMS {
        return Err(PathError::new("arms", format!("{} arms; 1 to {MAX_ARMS} are possible", entries.len())));
    }
    let mut out = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let next = arm(key, node, all, derived).and_then(|a| from(&out, a));
        out.push(next.map_err(|e| e.within(&["arms", key]))?);
    }
    Ok(out)
}

/// What an arm may refer to.
pub(super) struct Around<'a> {
    pub root: &'a Node,
    pub regions: &'a [NamedRegion],
    pub data: &'a Section,
    pub model: &'a Section,
    pub base: &'a Train,
    /// `[unlearn]`: how post-hoc arms are trained.
    pub after: &'a Train,
    pub scale: Scale,
    pub callbacks: &'a Callbacks<'a>,
}

fn arm(key: &str, node: &Node, all: &Around, derived: &mut Vec<Derived>) -> Result<Arm, PathError> {
    name("an arm's name", key).map_err(|m| PathError::new("", m))?;
    node.entries(&[])?;
    let method: String = required(node, "method", "how the arm trains")?;
    let rest = Value::Object(node.to_map(&KEYS));
    let params = complete((all.callbacks.method)(&method, &rest)?, &KEYS)?;
    let data = optional(node, "data")?.unwrap_or_default();
    let loss_weight = loss_weight(node)?;
    let asks = [("data", data != ArmData::All), ("loss_weight", !loss_weight.is_empty())];
    // Who knows no methods reads what somebody who knew them wrote.
    let known = (all.callbacks.post_hoc)(&method);
    let (starts, trained) = (node.get("from").is_some(), node.get("train").is_some());
    let kind = match (starts, known) {
        (_, Some(true)) => ArmKind::PostHoc,
        (true, _) if method == PLAIN && !trained && asks.iter().all(|(_, asked)| !asked) => ArmKind::Profile,
        (true, None) if method != PLAIN => ArmKind::PostHoc,
        (true, _) => ArmKind::GoesOn,
        (false, _) => ArmKind::Scratch,
    };
    if kind == ArmKind::Profile || known == Some(true) {
        untrained(node, &method, asks, kind == ArmKind::Profile)?;
    }
    let control = match (optional(node, "control")?, unseen(&data)?) {
        (Some(written), _) => written,
        (None, None) => false,
        (None, Some(rule)) => {
            derived.push(Derived { key: format!("arms.{key}.control"), value: "true".into(), rule });
            true
        }
    };
    Ok(Arm {
        name: key.to_owned(),
        about: about(node).map_err(|e| e.within(&["about"]))?,
        from: optional(node, "from")?,
        method,
        regions: region_names(node, all.regions)?,
        data,
        labels: labels(node, all)?,
        control,
        loss_weight,
        train: own_train(key, node, all, kind == ArmKind::PostHoc, derived)?,
        model: model(node, kind, all)?,
        weights: optional(node, "weights")?,
        family: optional(node, "family")?,
        params,
        kind,
    })
}

/// What the arm has different in `[model]`, held against the network's own settings.
fn model(node: &Node, kind: ArmKind, all: &Around) -> Result<Map<String, Value>, PathError> {
    let Some(written) = node.get("model") else { return Ok(Map::new()) };
    let own: Map<String, Value> = typed(&written.to_json()).map_err(|e| e.within(&["model"]))?;
    if kind != ArmKind::Scratch {
        let what = "the arm starts from another arm's model, whose network it has";
        return Err(PathError::new("model", what));
    }
    if own.contains_key("kind") {
        return Err(PathError::new(
            "model.kind",
            "an arm changes settings of [model], not the kind of network",
        ));
    }
    let mut whole = all.model.params.clone();
    whole.extend(own.clone());
    let checked = (all.callbacks.model)(&all.model.kind, &Value::Object(whole));
    checked.map_err(|e| e.within(&["model"])).map(|_| own)
}

/// Refuses what decides over training where nothing is trained, or not in that way.
fn untrained(node: &Node, method: &str, asks: [(&str, bool); 2], profile: bool) -> Result<(), PathError> {
    let settings = ["train", "masked"].map(|key| (key, profile && node.get(key).is_some()));
    let what = if profile {
        "the arm is another arm's model as it is, and trains nothing".to_owned()
    } else {
        format!("{method} starts from a trained model and has its own objective")
    };
    match asks.iter().chain(&settings).find(|(_, asked)| *asked) {
        Some((key, _)) => Err(PathError::new(key, format!("{what}; it takes no {key}"))),
        None => Ok(()),
    }
}

/// Why an arm that trains on such data is a control; `None` if it is none.
fn unseen(data: &ArmData) -> Result<Option<String>, PathError> {
    match data {
        ArmData::RetainOnly => Ok(Some("trains on \"retain only\"".to_owned())),
        ArmData::Without(labels) if labels.is_empty() => {
            Err(PathError::new("data.without", "an empty list: name the labels that the arm never sees"))
        }
        ArmData::Without(labels) => Ok(Some(format!("trains without {}", labels.join(", ")))),
        _ => Ok(None),
    }
}

/// An arm that does not train from scratch names an arm before it to start from.
fn from(before: &[Arm], arm: Arm) -> Result<Arm, PathError> {
    match &arm.from {
        Some(from) => {
            let names = before.iter().map(|a| a.name.as_str());
            one_of("from", "earlier arm", from, names).map(|()| arm)
        }
        None if arm.kind == ArmKind::PostHoc => {
            let what = format!("{} starts from a trained model: name its arm with `from`", arm.method);
            Err(PathError::new("", what))
        }
        None => Ok(arm),
    }
}

fn optional<T: serde::de::DeserializeOwned>(table: &Node, key: &str) -> Result<Option<T>, PathError> {
    table.get(key).map(|n| typed(&n.to_json())).transpose().map_err(|e| e.within(&[key]))
}

/// `region`: the name of a region, or a list of them.
pub(super) fn region_names(table: &Node, regions: &[NamedRegion]) -> Result<Vec<String>, PathError> {
    let Some(node) = table.get("region") else { return Ok(Vec::new()) };
    let named =
        |path: &str, text: &str| one_of(path, "region", text, regions.iter().map(|r| r.name.as_str()));
    if let Some(text) = node.text() {
        named("region", text)?;
        return Ok(vec![text.to_owned()]);
    }
    if !matches!(node.tree, Tree::List(_)) {
        let message = format!("expected the name of a region or a list of names, found {}", node.tree.kind());
        return Err(PathError::new("region", message));
    }
    let names: Vec<String> = typed(&node.to_json()).map_err(|e| e.within(&["region"]))?;
    for (i, text) in names.iter().enumerate() {
        named(&format!("region.{i}"), text)?;
        if names[..i].contains(text) {
            return Err(PathError::new(
                &format!("region.{i}"),
                format!("the region {text:?} is listed twice"),
            ));
        }
    }
    Ok(names)
}

fn labels(node: &Node, all: &Around) -> Result<Map<String, Value>, PathError> {
    let Some(labels) = node.get("labels") else { return Ok(Map::new()) };
    labels.entries(&["labels"])?;
    let data = serde_json::to_value(all.data).unwrap_or_default();
    let answer = (all.callbacks.labels)(&data, &labels.to_json());
    answer.and_then(|v| complete(v, &[])).map_err(|e| e.within(&["labels"]))
}

fn loss_weight(node: &Node) -> Result<BTreeMap<String, f64>, PathError> {
    let weights: BTreeMap<String, f64> = optional(node, "loss_weight")?.unwrap_or_default();
    for (label, weight) in &weights {
        range("", *weight, 0.0..=1e6).map_err(|e| e.within(&["loss_weight", label]))?;
    }
    Ok(weights)
}

/// Where an arm has another optimiser, the parameters of the recipe's are not its own.
fn forget_the_other(table: &mut Node, over: &Node) {
    let Some(optimiser) = over.get("optimiser").and_then(Node::text) else { return };
    if let Tree::Table(entries) = &mut table.tree {
        entries.retain(|(key, _)| over.get(key).is_some() || !is_of_another(optimiser, key));
    }
}

/// The arm's own training settings: `[train]` with the arm's overrides, derived values anew.
fn own_train(
    key: &str,
    node: &Node,
    all: &Around,
    post_hoc: bool,
    derived: &mut Vec<Derived>,
) -> Result<Option<Train>, PathError> {
    let over = node.get("train");
    let masked = node.get("masked");
    if let (Some(_), Some(_)) = (masked, over.and_then(|o| o.get("masked"))) {
        return Err(PathError::new("masked", "is set here and in the arm's train table; keep one"));
    }
    let (table_name, base) = if post_hoc { ("unlearn", all.after) } else { ("train", all.base) };
    let none = || post_hoc.then(|| base.clone());
    let Some(first) = over.or(masked) else { return Ok(none()) };
    if let Some(over) = over {
        over.entries(&["train"])?;
    }
    let empty = Node { origin: first.origin.clone(), tree: Tree::Table(Vec::new()) };
    let mut table = all.root.get(table_name).cloned().unwrap_or_else(|| empty.clone());
    if let Some(over) = over {
        merge(&mut table, over)?;
        forget_the_other(&mut table, over);
    }
    if let Some(masked) = masked {
        // Read on its own first, so that a wrong word is found where it stands.
        optional::<super::train::Masked>(node, "masked")?;
        let entry = Tree::Table(vec![("masked".to_owned(), masked.clone())]);
        merge(&mut table, &Node { tree: entry, ..empty })?;
    }
    let mut own = Vec::new();
    let train = train(Some(&table), all.scale, &format!("arms.{key}.train"), &mut own);
    let train = train.map_err(|e| e.within(&["train"]))?;
    if train == *base {
        return Ok(none());
    }
    derived.extend(own);
    Ok(Some(train))
}
