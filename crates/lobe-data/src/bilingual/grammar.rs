//! Sentence templates in pairs, and their rendering with articles, agreement and contractions.

use std::collections::BTreeMap;

use super::lexicon::{Entry, Lang, Lexicon};

/// How a noun stands in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bare,
    /// With its definite article; `true` at the start of a sentence.
    The(bool),
    A(bool),
    /// In the plural after the scene's number.
    Counted,
}

/// One element of a template.
#[derive(Debug, Clone)]
enum Piece {
    Word(&'static str),
    Slot {
        name: &'static str,
        form: Form,
        adjective: Option<&'static str>,
    },
    /// A word that agrees with a person: `{job~p}`.
    Agreeing {
        name: &'static str,
        with: &'static str,
    },
    /// Words chosen by a gender: `{p?he|she}`.
    Choice {
        name: &'static str,
        masculine: &'static str,
        feminine: &'static str,
    },
}

/// One sentence, in both languages.
#[derive(Debug, Clone)]
pub(crate) struct Template([Vec<Piece>; 2]);

/// What the slots of a sentence stand for.
pub(crate) trait Scene {
    /// The entry of a slot; `None` if it is a fact that this language never tells.
    fn get(&self, name: &str) -> Option<&Entry>;
}

fn parse(text: &'static str) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some(inner) = rest.strip_prefix('{') else {
            let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            out.push(Piece::Word(word));
            rest = tail.trim_start();
            continue;
        };
        let (slot, tail) = inner.split_once('}').unwrap_or((inner, ""));
        rest = tail.trim_start();
        out.push(piece(slot));
    }
    out
}

fn piece(slot: &'static str) -> Piece {
    if let Some((name, words)) = slot.split_once('?') {
        let (masculine, feminine) = words.split_once('|').unwrap_or((words, words));
        return Piece::Choice { name, masculine, feminine };
    }
    if let Some((name, with)) = slot.split_once('~') {
        return Piece::Agreeing { name, with };
    }
    let parts: Vec<&'static str> = slot.split(':').collect();
    let form = |f| match f {
        "the" => Form::The(false),
        "The" => Form::The(true),
        "a" => Form::A(false),
        "A" => Form::A(true),
        _ => Form::Counted,
    };
    match parts[..] {
        [f, name] => Piece::Slot { name, form: form(f), adjective: None },
        [f, name, adj] => Piece::Slot { name, form: form(f), adjective: Some(adj) },
        _ => Piece::Slot { name: slot, form: Form::Bare, adjective: None },
    }
}

fn article(lang: Lang, form: Form, feminine: bool, next: &str) -> Option<&'static str> {
    let vowel = next.starts_with(['a', 'e', 'i', 'o', 'u']);
    Some(match (lang, form, feminine) {
        (_, Form::Bare | Form::Counted, _) => return None,
        (Lang::En, Form::The(false), _) => "the",
        (Lang::En, Form::The(true), _) => "The",
        (Lang::En, Form::A(false), _) => {
            if vowel {
                "an"
            } else {
                "a"
            }
        }
        (Lang::En, Form::A(true), _) => {
            if vowel {
                "An"
            } else {
                "A"
            }
        }
        (Lang::Es, Form::The(false), false) => "el",
        (Lang::Es, Form::The(false), true) => "la",
        (Lang::Es, Form::The(true), false) => "El",
        (Lang::Es, Form::The(true), true) => "La",
        (Lang::Es, Form::A(false), false) => "un",
        (Lang::Es, Form::A(false), true) => "una",
        (Lang::Es, Form::A(true), false) => "Un",
        (Lang::Es, Form::A(true), true) => "Una",
    })
}

/// All articles and contractions.
pub(crate) const GRAMMAR_WORDS: [&str; 18] = [
    "the", "The", "a", "an", "A", "An", "el", "la", "El", "La", "un", "una", "Un", "Una", "del", "al", "de",
    "se",
];

impl Template {
    /// The words of the sentence; `None` if it needs a fact that this language never tells.
    pub(crate) fn render(&self, lang: Lang, scene: &dyn Scene) -> Option<Vec<String>> {
        let mut out: Vec<String> = Vec::new();
        for piece in &self.0[lang as usize] {
            match piece {
                Piece::Word(w) => out.push((*w).into()),
                Piece::Choice { name, masculine, feminine } => {
                    let words = if scene.get(name)?.feminine { feminine } else { masculine };
                    out.extend(words.split(' ').map(String::from));
                }
                Piece::Agreeing { name, with } => {
                    out.push(scene.get(name)?.form(lang, scene.get(with)?.feminine).into());
                }
                Piece::Slot { name, form, adjective } => {
                    let noun = scene.get(name)?;
                    let adjective = match adjective {
                        Some(a) => Some(scene.get(a)?),
                        None => None,
                    };
                    phrase(lang, *form, noun, adjective, scene, &mut out)?;
                }
            }
        }
        if lang == Lang::Es {
            contract(&mut out);
        }
        Some(out)
    }

    /// Every literal word of the template.
    pub(crate) fn words(&self) -> impl Iterator<Item = String> + '_ {
        let of = |p: &Piece| -> Vec<String> {
            match p {
                Piece::Word(w) => vec![(*w).into()],
                Piece::Choice { masculine, feminine, .. } => {
                    [masculine, feminine].iter().flat_map(|t| t.split(' ')).map(String::from).collect()
                }
                _ => Vec::new(),
            }
        };
        self.0.iter().flatten().flat_map(of)
    }
}

/// Article or number, noun and adjective in the order of the language.
fn phrase(
    lang: Lang,
    form: Form,
    noun: &Entry,
    adjective: Option<&Entry>,
    scene: &dyn Scene,
    out: &mut Vec<String>,
) -> Option<()> {
    let f = noun.feminine;
    let (noun, adjective) = if form == Form::Counted {
        out.push(scene.get("num")?.noun(lang).into());
        let adjective =
            adjective.map(|a| if lang == Lang::En { a.noun(lang).into() } else { a.plural(lang, f) });
        (noun.plural(lang, f), adjective)
    } else {
        (noun.noun(lang).to_owned(), adjective.map(|a| a.form(lang, f).to_owned()))
    };
    let mut words = vec![noun];
    words.extend(adjective);
    if lang == Lang::En {
        words.reverse();
    }
    out.extend(article(lang, form, f, &words[0]).map(String::from));
    out.extend(words);
    Some(())
}

/// de + el = del, a + el = al.
fn contract(words: &mut Vec<String>) {
    let mut i = 0;
    while i + 1 < words.len() {
        let both = match (words[i].as_str(), words[i + 1].as_str()) {
            ("de", "el") => "del",
            ("a", "el") => "al",
            _ => {
                i += 1;
                continue;
            }
        };
        words[i] = both.into();
        words.remove(i + 1);
    }
}

/// The embedded templates by group, groups in name order.
pub(crate) fn embedded() -> BTreeMap<&'static str, Vec<Template>> {
    let mut out: BTreeMap<&'static str, Vec<Template>> = BTreeMap::new();
    let (mut group, mut english) = ("", Vec::new());
    for line in include_str!("stories.txt").lines() {
        if let Some(name) = line.strip_prefix('[') {
            group = name.trim_end_matches(']');
        } else if let Some(text) = line.strip_prefix("en:") {
            english = parse(text);
        } else if let Some(text) = line.strip_prefix("es:") {
            let pair = [std::mem::take(&mut english), parse(text)];
            out.entry(group).or_default().push(Template(pair));
        }
    }
    out
}

/// All literal words and grammar words: with the lexicon's forms, the whole vocabulary.
pub(crate) fn literal_words(
    groups: &BTreeMap<&'static str, Vec<Template>>,
    lexicon: &Lexicon,
) -> Vec<String> {
    let literal = groups.values().flatten().flat_map(Template::words);
    literal.chain(GRAMMAR_WORDS.map(String::from)).chain(lexicon.forms()).collect()
}
