//! `grid`: an arm that stands for a family, one arm for each point.
//!
//! `grid = { "train.lr" = [1e-3, 3e-3], … }` names keys of the arm by their dotted path and lists what they take.
//! The points are all combinations, the last key fastest. The arms are called after the family and their values,
//! and are written into the tree before anything is read from it, so that everything else knows arms only.

use serde_json::{Map, Value};

use super::error::PathError;
use super::form::Family;
use super::merge::merge;
use super::tree::{Node, Origin, Tree};

/// Most points of one family.
const MOST: usize = 256;
/// Longest part of a name that is made of a value.
const LONGEST: usize = 16;

/// A family that was written out: its name, and of each arm the rest of the name and the point.
struct Written {
    name: String,
    points: Vec<(String, Map<String, Value>)>,
}

/// The tree with an arm for each point of a family. A stage that names a family is done for all its arms, and an
/// arm that goes on `from` a family becomes one itself.
pub(super) fn expanded(root: &Node) -> Result<Node, PathError> {
    let mut root = root.clone();
    let Tree::Table(entries) = &mut root.tree else { return Ok(root) };
    let mut families: Vec<Written> = Vec::new();
    if let Some((_, node)) = entries.iter_mut().find(|(key, _)| key == "arms")
        && let Tree::Table(arms) = &mut node.tree
    {
        let mut all = Vec::with_capacity(arms.len());
        for (name, arm) in std::mem::take(arms) {
            family(&name, arm, &mut families, &mut all).map_err(|e| e.within(&["arms", &name]))?;
        }
        if let Some((name, _)) =
            all.iter().enumerate().find_map(|(i, (name, _))| all[..i].iter().find(|(other, _)| other == name))
        {
            let what = "an arm of a family has this name, and so has another arm; rename one of them";
            return Err(PathError::new("", what).within(&["arms", name]));
        }
        *arms = all;
    }
    if let Some((_, node)) = entries.iter_mut().find(|(key, _)| key == "stage")
        && let Tree::List(stages) = &mut node.tree
    {
        for stage in stages {
            name_all(stage, &families);
        }
    }
    Ok(root)
}

/// Adds the arms of one entry of `[arms]` to `all`: itself, or the points of its family.
fn family(
    name: &str,
    arm: Node,
    families: &mut Vec<Written>,
    all: &mut Vec<(String, Node)>,
) -> Result<(), PathError> {
    let grid = arm.get("grid").cloned();
    let from = arm.get("from").and_then(Node::text);
    let parents = from.and_then(|from| families.iter().find(|f| f.name == from));
    if grid.is_none() && parents.is_none() {
        all.push((name.to_owned(), arm));
        return Ok(());
    }
    let mut plain = arm;
    if let Tree::Table(entries) = &mut plain.tree {
        entries.retain(|(key, _)| key != "grid");
    }
    // Each point as the rest of the name, the coordinates, and the arm.
    let mut points = vec![(String::new(), Map::new(), plain.clone())];
    if let Some(parents) = parents {
        points.clear();
        for (rest, point) in &parents.points {
            let mut arm = plain.clone();
            put(&mut arm, "from", Value::String(format!("{}-{rest}", parents.name)))?;
            points.push((rest.clone(), point.clone(), arm));
        }
    }
    if let Some(grid) = grid {
        for (key, values) in grid.entries(&["grid"])? {
            let of = |e: PathError| e.within(&["grid", key]);
            let Tree::List(values) = &values.tree else {
                let what = format!("expected a list of values for {key:?}, found {}", values.tree.kind());
                return Err(of(PathError::new("", what)));
            };
            if values.is_empty() || points.len() * values.len() > MOST {
                let what = format!("{} values: a family has 1 to {MOST} arms", values.len());
                return Err(of(PathError::new("", what)));
            }
            points = multiplied(&points, key, values).map_err(of)?;
        }
    }
    for (rest, point, mut arm) in points.iter().cloned() {
        describe(&mut arm, &point)?;
        let family = Family { name: name.to_owned(), point };
        put(&mut arm, "family", serde_json::to_value(family).unwrap_or_default())?;
        all.push((format!("{name}-{rest}"), arm));
    }
    let points = points.into_iter().map(|(rest, point, _)| (rest, point)).collect();
    families.push(Written { name: name.to_owned(), points });
    Ok(())
}

type Point = (String, Map<String, Value>, Node);

/// Every point with every value of one more key.
fn multiplied(points: &[Point], key: &str, values: &[Node]) -> Result<Vec<Point>, PathError> {
    let names = names(values);
    let mut out = Vec::with_capacity(points.len() * values.len());
    for (rest, point, arm) in points {
        for (value, name) in values.iter().zip(&names) {
            let (mut point, mut arm) = (point.clone(), arm.clone());
            let mut over = value.clone();
            for part in key.split('.').rev() {
                if part.is_empty() {
                    return Err(PathError::new("", "is not a dotted key of an arm"));
                }
                over =
                    Node { origin: value.origin.clone(), tree: Tree::Table(vec![(part.to_owned(), over)]) };
            }
            merge(&mut arm, &over)?;
            point.insert(key.to_owned(), value.to_json());
            out.push((if rest.is_empty() { name.clone() } else { format!("{rest}-{name}") }, point, arm));
        }
    }
    Ok(out)
}

/// What the values are called in names of arms: as they are written where that makes a name, else their number.
fn names(values: &[Node]) -> Vec<String> {
    let text = |node: &Node| match node.to_json() {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let written: Vec<String> = values.iter().map(|v| text(v).replace('.', "_")).collect();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    let plain = |name: &String| {
        (1..=LONGEST).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-')
    };
    let differ = written.iter().enumerate().all(|(i, name)| !written[..i].contains(name));
    if differ && written.iter().all(plain) {
        return written;
    }
    (1..=values.len()).map(|n| n.to_string()).collect()
}

/// Says in `about` which point of its family an arm is.
fn describe(arm: &mut Node, point: &Map<String, Value>) -> Result<(), PathError> {
    let at: Vec<String> = point.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let at = at.join(", ");
    let about = match arm.get("about").map(|node| (node, node.text())) {
        Some((_, Some(text))) => format!("{text} ({at})"),
        Some((_, None)) => return Ok(()),
        None => at,
    };
    put(arm, "about", Value::String(about))
}

fn put(arm: &mut Node, key: &str, value: Value) -> Result<(), PathError> {
    let value = Node { origin: arm.origin.clone(), tree: tree(value, &arm.origin) };
    merge(arm, &Node { origin: arm.origin.clone(), tree: Tree::Table(vec![(key.to_owned(), value)]) })
}

fn tree(value: Value, origin: &Origin) -> Tree {
    let node = |value| Node { origin: origin.clone(), tree: tree(value, origin) };
    match value {
        Value::Array(items) => Tree::List(items.into_iter().map(node).collect()),
        Value::Object(map) => Tree::Table(map.into_iter().map(|(key, value)| (key, node(value))).collect()),
        other => Tree::Scalar(other),
    }
}

/// Writes out the families in a stage's list of arms.
fn name_all(stage: &mut Node, families: &[Written]) {
    let Tree::Table(entries) = &mut stage.tree else { return };
    let Some((_, list)) = entries.iter_mut().find(|(key, _)| key == "arms") else { return };
    let Tree::List(items) = &mut list.tree else { return };
    let mut out = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        let found = item.text().and_then(|name| families.iter().find(|f| f.name == name));
        let Some(family) = found else {
            out.push(item);
            continue;
        };
        let arm = |(rest, _): &(String, _)| Value::String(format!("{}-{rest}", family.name));
        out.extend(family.points.iter().map(|point| Node { tree: Tree::Scalar(arm(point)), ..item.clone() }));
    }
    *items = out;
}
