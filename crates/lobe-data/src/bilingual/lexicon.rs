//! The words of the world, in both languages, with what grammar needs to know about them.

use std::collections::BTreeMap;

/// A language of the stories. The order is that of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    En,
    Es,
}

/// One word with its forms.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    en: String,
    /// Masculine, feminine.
    es: [String; 2],
    /// Grammatical gender of a noun, or the gender of a person.
    pub(crate) feminine: bool,
}

impl Entry {
    /// The word; an adjective or job agrees with `feminine`.
    pub(crate) fn form(&self, lang: Lang, feminine: bool) -> &str {
        match lang {
            Lang::En => &self.en,
            Lang::Es => &self.es[usize::from(feminine)],
        }
    }

    /// The noun itself.
    pub(crate) fn noun(&self, lang: Lang) -> &str {
        self.form(lang, self.feminine)
    }

    /// The plural: of a noun, or of an adjective that agrees with `feminine`.
    pub(crate) fn plural(&self, lang: Lang, feminine: bool) -> String {
        match lang {
            Lang::En => english_plural(&self.en),
            Lang::Es => spanish_plural(&self.es[usize::from(feminine)]),
        }
    }
}

fn english_plural(w: &str) -> String {
    let vowel_y = ["ay", "ey", "oy", "uy"].iter().any(|e| w.ends_with(e));
    if let Some(stem) = w.strip_suffix("fe").or_else(|| w.strip_suffix('f')) {
        format!("{stem}ves")
    } else if let Some(stem) = w.strip_suffix('y').filter(|_| !vowel_y) {
        format!("{stem}ies")
    } else if ["x", "s", "ch", "sh"].iter().any(|e| w.ends_with(e)) {
        format!("{w}es")
    } else {
        format!("{w}s")
    }
}

fn spanish_plural(w: &str) -> String {
    if w.ends_with(['a', 'e', 'o', 'é']) {
        format!("{w}s")
    } else if let Some(stem) = w.strip_suffix("ón") {
        format!("{stem}ones")
    } else if let Some(stem) = w.strip_suffix('z') {
        format!("{stem}ces")
    } else if w.ends_with('s') {
        // Words stressed before a final s do not change: el paraguas, los paraguas.
        w.to_owned()
    } else {
        format!("{w}es")
    }
}

/// Sections of `lexicon.txt`, each a list of entries.
#[derive(Debug, Clone)]
pub(crate) struct Lexicon(BTreeMap<&'static str, Vec<Entry>>);

impl Lexicon {
    /// The embedded lexicon.
    pub(crate) fn embedded() -> Lexicon {
        let mut sections: BTreeMap<&'static str, Vec<Entry>> = BTreeMap::new();
        let mut name = "";
        for line in include_str!("lexicon.txt").lines().filter(|l| !l.starts_with('#') && !l.is_empty()) {
            if let Some(section) = line.strip_prefix('[') {
                name = section.trim_end_matches(']');
                continue;
            }
            let list = sections.entry(name).or_default();
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            let entry = |en: &str, m: &str, f: &str, feminine| Entry {
                en: en.into(),
                es: [m.into(), f.into()],
                feminine,
            };
            match parts[..] {
                [names] => list.extend(names.split(' ').map(|n| entry(n, n, n, name == "woman"))),
                [en, es] | [en, es, "m"] => list.push(entry(en, es, es, false)),
                [en, es, "f"] => list.push(entry(en, es, es, true)),
                [en, m, f, ..] => list.push(entry(en, m, f, false)),
                [] => {}
            }
        }
        // Women and men alternate, so that any number of people is balanced.
        let pair = |s: &BTreeMap<&str, Vec<Entry>>| {
            let (w, m) =
                (s.get("woman").cloned().unwrap_or_default(), s.get("man").cloned().unwrap_or_default());
            w.into_iter().zip(m).flat_map(|(w, m)| [w, m]).collect()
        };
        let people = pair(&sections);
        sections.insert("person", people);
        Lexicon(sections)
    }

    /// The entries of a section.
    pub(crate) fn section(&self, name: &str) -> &[Entry] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every form a story may contain.
    pub(crate) fn forms(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (name, entries) in &self.0 {
            for e in entries {
                for lang in [Lang::En, Lang::Es] {
                    for feminine in [false, true] {
                        out.push(e.form(lang, feminine).to_owned());
                        if ["object", "adj", "colour"].contains(name)
                            && !(lang == Lang::En && *name != "object")
                        {
                            out.push(e.plural(lang, feminine));
                        }
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_follow_the_rules_of_each_language() {
        let en = [
            ("knife", "knives"),
            ("scarf", "scarves"),
            ("box", "boxes"),
            ("key", "keys"),
            ("kite", "kites"),
            ("lady", "ladies"),
        ];
        for (a, b) in en {
            assert_eq!(english_plural(a), b);
        }
        let es = [
            ("caja", "cajas"),
            ("reloj", "relojes"),
            ("paraguas", "paraguas"),
            ("ratón", "ratones"),
            ("pez", "peces"),
            ("té", "tés"),
        ];
        for (a, b) in es {
            assert_eq!(spanish_plural(a), b);
        }
    }

    #[test]
    fn names_and_words_are_unique_within_a_section() {
        let lex = Lexicon::embedded();
        for (name, entries) in &lex.0 {
            for lang in [Lang::En, Lang::Es] {
                let mut words: Vec<&str> = entries.iter().map(|e| e.noun(lang)).collect();
                assert!(words.iter().all(|w| !w.contains(' ') && !w.is_empty()), "{name}");
                words.sort_unstable();
                words.dedup();
                assert_eq!(words.len(), entries.len(), "{name}");
            }
        }
        assert_eq!(lex.section("person").len(), 64);
    }
}
