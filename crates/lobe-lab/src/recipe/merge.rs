//! Presets and `--set`: a tree of overrides merged over the recipe.

use lobe_core::did_you_mean;

use super::error::PathError;
use super::tree::{Node, Origin, Tree, item_names, parse_set_value};

/// Merges `over` into `base`: tables entry by entry, everything else is replaced.
///
/// A table that changes `kind` replaces the whole table, because the other keys belonged to the
/// old kind. A table laid over a list of tables addresses the items by name, or by number from 0.
pub(super) fn merge(base: &mut Node, over: &Node) -> Result<(), PathError> {
    match (&mut base.tree, &over.tree) {
        (Tree::Table(_), Tree::Table(new)) => {
            if changes_kind(base, over) {
                *base = over.clone();
                return Ok(());
            }
            for (key, value) in new {
                let Tree::Table(entries) = &mut base.tree else { return Ok(()) };
                match entries.iter_mut().find(|(k, _)| k == key) {
                    Some((_, old)) => merge(old, value).map_err(|e| e.within(&[key]))?,
                    None => entries.push((key.clone(), value.clone())),
                }
            }
            Ok(())
        }
        (Tree::List(items), Tree::Table(new)) if items.iter().all(|i| matches!(i.tree, Tree::Table(_))) => {
            for (key, value) in new {
                let at = find_item(items, key)?;
                merge(&mut items[at], value).map_err(|e| e.within(&[&at.to_string()]))?;
            }
            Ok(())
        }
        _ => {
            *base = over.clone();
            Ok(())
        }
    }
}

fn changes_kind(base: &Node, over: &Node) -> bool {
    let kind = |n: &Node| n.get("kind").and_then(Node::text).map(str::to_owned);
    matches!((kind(base), kind(over)), (Some(a), Some(b)) if a != b)
}

fn find_item(items: &[Node], key: &str) -> Result<usize, PathError> {
    let names = item_names(items);
    let by_name = names.iter().position(|name| name == key);
    let by_number = || key.parse().ok().filter(|&i: &usize| i < items.len());
    by_name.or_else(by_number).ok_or_else(|| {
        let hint = did_you_mean(key, names.iter().map(String::as_str).filter(|n| !n.is_empty()));
        PathError::new("", format!("no entry is called {key:?}{hint}"))
    })
}

/// Merges `a.b.c=value`. The error has no place in the file: it is about the argument.
pub(super) fn set(base: &mut Node, argument: &str) -> Result<(), PathError> {
    let fail = |message: String| PathError::new("", message);
    let Some((path, text)) = argument.split_once('=') else {
        return Err(fail("expected KEY=VALUE, for example train.lr=0.001".to_owned()));
    };
    let keys: Vec<&str> = path.trim().split('.').collect();
    let plain = |k: &&str| !k.is_empty() && k.chars().all(|c| c.is_alphanumeric() || "_-".contains(c));
    if !keys.iter().all(plain) {
        return Err(fail(format!("{:?} is not a dotted key", path.trim())));
    }
    let mut over = parse_set_value(argument, text.trim(), keys.len()).map_err(fail)?;
    for key in keys.iter().rev() {
        let origin = Origin::Set(argument.to_owned());
        over = Node { origin, tree: Tree::Table(vec![((*key).to_owned(), over)]) };
    }
    merge(base, &over)
}
