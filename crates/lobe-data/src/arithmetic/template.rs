//! Word problems: templates and what fills them.

use lobe_core::Rng;

use super::problem::{Op, Problem};

const NAMES: [&str; 24] = [
    "Ada", "Bela", "Carl", "Dina", "Emil", "Fay", "Gus", "Hana", "Ivo", "Jana", "Kofi", "Lena", "Milo",
    "Nora", "Omar", "Pia", "Rosa", "Sami", "Tessa", "Uwe", "Vera", "Wim", "Yara", "Zeno",
];
/// All nouns take a plain plural.
const OBJECTS: [&str; 24] = [
    "ball", "bead", "bell", "brick", "button", "candle", "card", "cup", "feather", "flag", "key", "lemon",
    "marble", "nut", "pear", "pebble", "pencil", "ribbon", "ring", "shell", "spoon", "stamp", "stone",
    "ticket",
];
const CONTAINERS: [&str; 12] =
    ["bag", "basket", "bowl", "bucket", "case", "chest", "crate", "drawer", "jar", "sack", "tin", "tray"];
const PLACES: [&str; 12] = [
    "bakery", "camp", "fair", "farm", "garden", "harbour", "library", "market", "mill", "museum", "school",
    "station",
];

/// One element of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Word(&'static str),
    /// A slot that is no number: `{n}`.
    Slot(&'static str),
    /// An operand: `{a}`; with its noun: `{a:o}`.
    Operand(&'static str, Option<&'static str>),
}

/// A word problem with slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

/// The templates of one operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Templates {
    pub(super) train: Vec<Template>,
    pub(super) held_out: Vec<Template>,
}

/// The embedded templates, by operation.
pub(super) fn embedded() -> [Templates; 4] {
    let mut out: [Templates; 4] = Default::default();
    let mut section = "";
    for line in include_str!("templates.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
            continue;
        }
        let (name, held_out) = section.strip_suffix(" held-out").map_or((section, false), |n| (n, true));
        let Some(op) = Op::ALL.iter().position(|o| o.name() == name) else { continue };
        let of = if held_out { &mut out[op].held_out } else { &mut out[op].train };
        of.push(Template(line.split(' ').map(piece).collect()));
    }
    out
}

fn piece(text: &'static str) -> Piece {
    let Some(slot) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        return Piece::Word(text);
    };
    match slot.split_once(':') {
        Some((operand, noun)) => Piece::Operand(operand, Some(noun)),
        None if slot == "a" || slot == "b" => Piece::Operand(slot, None),
        None => Piece::Slot(slot),
    }
}

fn plural(noun: &str) -> String {
    format!("{noun}s")
}

impl Template {
    /// The words of the problem, without its result.
    pub(super) fn render(&self, problem: Problem, rng: &mut Rng) -> Vec<String> {
        let first = rng.below(NAMES.len());
        let second = (first + 1 + rng.below(NAMES.len() - 1)) % NAMES.len();
        let object = *rng.choose(&OBJECTS);
        let container = *rng.choose(&CONTAINERS);
        let place = *rng.choose(&PLACES);
        let mut out = Vec::new();
        for piece in &self.0 {
            match *piece {
                Piece::Word(w) => out.push(w.to_owned()),
                Piece::Slot(slot) => out.push(match slot {
                    "n" => NAMES[first].to_owned(),
                    "m" => NAMES[second].to_owned(),
                    "p" => place.to_owned(),
                    "c" => container.to_owned(),
                    "cs" => plural(container),
                    _ => plural(object),
                }),
                Piece::Operand(operand, noun) => {
                    let n = if operand == "a" { problem.a } else { problem.b };
                    out.push(n.to_string());
                    let noun = noun.map(|noun| match noun {
                        "o" => object,
                        "c" => container,
                        other => other,
                    });
                    out.extend(noun.map(|w| if n == 1 { w.to_owned() } else { plural(w) }));
                }
            }
        }
        out
    }

    /// How many words a rendered problem has.
    pub(super) fn len(&self) -> usize {
        self.0.iter().map(|p| if let Piece::Operand(_, Some(_)) = p { 2 } else { 1 }).sum()
    }

    /// Every word that the template itself brings.
    pub(super) fn words(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().flat_map(|p| match *p {
            Piece::Word(w) => vec![w.to_owned()],
            Piece::Operand(_, Some(noun)) if !["o", "c"].contains(&noun) => {
                vec![noun.to_owned(), plural(noun)]
            }
            _ => Vec::new(),
        })
    }
}

/// Every word that fills a slot.
pub(super) fn fillers() -> impl Iterator<Item = String> {
    let nouns = OBJECTS.iter().chain(&CONTAINERS);
    let forms = nouns.flat_map(|w| [(*w).to_owned(), plural(w)]);
    NAMES.iter().chain(&PLACES).map(|w| (*w).to_owned()).chain(forms)
}
