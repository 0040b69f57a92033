//! `[[stage]]`: the steps of the experiment, and what each of them starts from.

use serde_json::{Map, Value};

use super::Starts;
use super::arms::region_names;
use super::callbacks::Callbacks;
use super::check::{name, one_of, range};
use super::error::PathError;
use super::form::{Arm, ArmKind, Derived, NamedRegion, Stage, StageFacts, lineage};
use super::resolve::{complete, required};
use super::scale::Scale;
use super::tree::{Node, Tree, item_names};
use super::typed::typed;

/// The keys of a stage that are not its parameters: no stage and no attack may have one of that name.
pub const STAGE_KEYS: [&str; 4] = ["do", "name", "from", "arms"];
/// Most stages of one recipe.
const MAX_STAGES: usize = 256;
/// Most steps of a stage.
const MAX_STEPS: u64 = 1_000_000_000;

/// What a stage may refer to.
pub(super) struct Around<'a> {
    pub regions: &'a [NamedRegion],
    pub arms: &'a [Arm],
    pub scale: Scale,
    pub callbacks: &'a Callbacks<'a>,
}

pub(super) fn stages(
    root: &Node,
    all: &Around<'_>,
    derived: &mut Vec<Derived>,
) -> Result<Vec<Stage>, PathError> {
    let Some(node) = root.get("stage") else {
        return Err(PathError::new("", "no [[stage]]: a recipe has at least one"));
    };
    let Tree::List(items) = &node.tree else {
        let message = format!("expected tables [[stage]], found {}", node.tree.kind());
        return Err(PathError::new("stage", message));
    };
    if items.is_empty() || items.len() > MAX_STAGES {
        return Err(PathError::new(
            "stage",
            format!("{} stages; 1 to {MAX_STAGES} are possible", items.len()),
        ));
    }
    let mut done: Vec<Stage> = Vec::with_capacity(items.len());
    for (i, (item, title)) in items.iter().zip(item_names(items)).enumerate() {
        let stage = stage(item, &title, &done, all, derived);
        done.push(stage.map_err(|e| e.within(&["stage", &i.to_string()]))?);
    }
    Ok(done)
}

fn stage(
    node: &Node,
    title: &str,
    done: &[Stage],
    all: &Around<'_>,
    derived: &mut Vec<Derived>,
) -> Result<Stage, PathError> {
    node.entries(&[])?;
    let does: String = required(node, "do", "what the stage does")?;
    if let Some(given) = node.get("name") {
        let _: String = typed(&given.to_json()).map_err(|e| e.within(&["name"]))?;
    }
    name("a stage's name", title).map_err(|m| PathError::new("name", m))?;
    if done.iter().any(|d| d.name == title) {
        return Err(PathError::new("name", format!("two stages are called {title:?}")));
    }
    let mut rest = node.to_map(&STAGE_KEYS);
    let key = format!("stage.{title}.steps");
    let written = scaled(&mut rest, all.scale, &key, derived)?;
    let info = (all.callbacks.stage)(&does, &Value::Object(rest))?;
    let mut params = complete(info.params, &STAGE_KEYS)?;
    if !written {
        scaled(&mut params, all.scale, &key, derived)?;
    }
    region_names(node, all.regions)?;
    let facts = info.facts;
    let from = from(node, title, facts, done, derived)?;
    let arms = subset(node, (&does, facts), all.arms, done)?;
    Ok(Stage { does, name: title.to_owned(), from, arms, params, facts })
}

/// Scales `steps` if it is there.
fn scaled(
    table: &mut Map<String, Value>,
    scale: Scale,
    key: &str,
    derived: &mut Vec<Derived>,
) -> Result<bool, PathError> {
    let Some(value) = table.get_mut("steps") else { return Ok(false) };
    let steps: u64 = typed(value).map_err(|e| e.within(&["steps"]))?;
    range("steps", steps, 1..=MAX_STEPS)?;
    let steps = scale.steps(key, steps, 1, derived);
    // Again: a recipe that was scaled must load as it was saved.
    range("steps", steps, 1..=MAX_STEPS)?;
    *value = steps.into();
    Ok(true)
}

fn from(
    node: &Node,
    title: &str,
    facts: StageFacts,
    done: &[Stage],
    derived: &mut Vec<Derived>,
) -> Result<Option<String>, PathError> {
    let mut makers = done.iter().filter(|d| d.makes_model()).map(|d| d.name.as_str());
    if let Some(written) = node.get("from") {
        let from: String = typed(&written.to_json()).map_err(|e| e.within(&["from"]))?;
        one_of("from", "earlier stage that makes a model", &from, makers.clone())?;
        return Ok(Some(from));
    }
    if matches!(facts.starts, Starts::Drawn | Starts::Files) {
        return Ok(None);
    }
    let Some(last) = makers.next_back() else {
        return Err(PathError::new("", "needs a model, but no earlier stage makes one"));
    };
    let rule = "the last earlier stage that makes a model".to_owned();
    derived.push(Derived { key: format!("stage.{title}.from"), value: last.to_owned(), rule });
    Ok(Some(last.to_owned()))
}

/// The arms of a stage in the recipe's order: those written, or all that it can work on. Arms that
/// go on from another arm's model have none of their own before `unlearn`.
fn subset(
    node: &Node,
    (does, facts): (&str, StageFacts),
    all: &[Arm],
    done: &[Stage],
) -> Result<Vec<String>, PathError> {
    let made = |name: &str| done.iter().any(|d| d.makes_model() && d.arms.iter().any(|a| a == name));
    let fits = |a: &&Arm| match facts.starts {
        Starts::From => a.kind == ArmKind::PostHoc,
        Starts::Files => a.from.is_none(),
        Starts::Drawn => match (&a.from, a.kind) {
            (Some(from), ArmKind::GoesOn) => lineage(all, from).iter().any(|name| made(name)),
            (from, _) => from.is_none(),
        },
        Starts::Models => lineage(all, &a.name).iter().any(|name| made(name)),
    };
    let possible: Vec<&str> = all.iter().filter(fits).map(|a| a.name.as_str()).collect();
    if possible.is_empty() {
        let post_hoc = facts.starts == Starts::From;
        let why = if post_hoc { "no arm has a post-hoc method" } else { "no arm has a model here" };
        return Err(PathError::new("do", format!("{why}, so {does:?} would do nothing")));
    }
    let Some(written) = node.get("arms") else {
        // What has a model already is not trained from scratch once more, unless it is named.
        let fresh: Vec<&str> = possible.iter().copied().filter(|name| !made(name)).collect();
        let again = facts.starts == Starts::Drawn && !fresh.is_empty();
        return Ok((if again { fresh } else { possible }).into_iter().map(String::from).collect());
    };
    let names: Vec<String> = typed(&written.to_json()).map_err(|e| e.within(&["arms"]))?;
    if names.is_empty() {
        return Err(PathError::new("arms", "an empty list: the stage would do nothing"));
    }
    for (i, arm) in names.iter().enumerate() {
        let path = format!("arms.{i}");
        one_of(&path, "arm", arm, all.iter().map(|a| a.name.as_str()))?;
        if names[..i].contains(arm) {
            return Err(PathError::new(&path, format!("the arm {arm:?} is listed twice")));
        }
        if !possible.contains(&arm.as_str()) {
            let why = match facts.starts {
                Starts::From => "has no post-hoc method",
                Starts::Drawn | Starts::Files => "starts from another arm, which has no model at this point",
                Starts::Models => "has no model at this point",
            };
            return Err(PathError::new(&path, format!("the arm {arm:?} {why}")));
        }
    }
    Ok(possible.into_iter().filter(|p| names.iter().any(|n| n == p)).map(String::from).collect())
}
