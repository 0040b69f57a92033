//! One spelling: British, in prose, comments, messages and keys.
//!
//! What other tools and files are called keeps its spelling: names in code spans of Markdown, names in the
//! code itself, and the words listed here.

use crate::files::TextFile;

/// American beginnings of words, and the British ones. A word that starts like this is found with any ending.
const WORDS: [(&str, &str); 40] = [
    ("analyz", "analys"),
    ("artifact", "artefact"),
    ("behavior", "behaviour"),
    ("canceled", "cancelled"),
    ("capitaliz", "capitalis"),
    ("categoriz", "categoris"),
    ("center", "centre"),
    ("characteriz", "characteris"),
    ("color", "colour"),
    ("customiz", "customis"),
    ("emphasiz", "emphasis"),
    ("favor", "favour"),
    ("finaliz", "finalis"),
    ("fulfill", "fulfil"),
    ("generaliz", "generalis"),
    ("gray", "grey"),
    ("honor", "honour"),
    ("initializ", "initialis"),
    ("labeled", "labelled"),
    ("labeler", "labeller"),
    ("labeling", "labelling"),
    ("localiz", "localis"),
    ("maximiz", "maximis"),
    ("minimiz", "minimis"),
    ("modeled", "modelled"),
    ("modeling", "modelling"),
    ("neighbor", "neighbour"),
    ("normaliz", "normalis"),
    ("optimiz", "optimis"),
    ("organiz", "organis"),
    ("orthogonaliz", "orthogonalis"),
    ("penaliz", "penalis"),
    ("quantiz", "quantis"),
    ("randomiz", "randomis"),
    ("recogniz", "recognis"),
    ("regulariz", "regularis"),
    ("skeptic", "sceptic"),
    ("specializ", "specialis"),
    ("summariz", "summaris"),
    ("visualiz", "visualis"),
];
/// Names of other tools' settings, files and sites that hold such a word.
const EXEMPT: [&str; 13] = [
    "initializer_range",
    "normalized",
    "normalizer",
    "tokenizer",
    "detokenize",
    "no_color",
    "clicolor",
    "colorchoice",
    "dereference",
    "anstyle",
    "addresssanitizer",
    "prefers-color-scheme",
    "color-scheme",
];

/// American spellings of one file. Records hold what was printed when they were made, and tests what users
/// may type.
pub(crate) fn american(file: &TextFile) -> Vec<String> {
    let exempt = ["records/", "xtask/src/spelling.rs"].iter().any(|p| file.path.starts_with(p));
    if exempt || file.path.contains("/tests/") {
        return Vec::new();
    }
    let prose: fn(&str) -> Vec<String> = if file.is("rs") {
        of_rust
    } else if file.is("md") {
        of_markdown
    } else if file.is("toml") {
        of_toml
    } else {
        return Vec::new();
    };
    let mut out = Vec::new();
    let mut fence = false;
    for (i, line) in file.text.lines().enumerate() {
        // A block of code on a page, or in the comment that is one.
        let text = line.trim_start();
        let text =
            if file.is("md") { Some(text) } else { text.strip_prefix("//!").or(text.strip_prefix("///")) };
        if text.is_some_and(|t| t.trim_start().starts_with("```")) {
            fence = !fence;
        }
        if fence {
            continue;
        }
        for text in prose(line) {
            for (word, british) in found(&text) {
                out.push(format!("{}:{}: American spelling: {word} ({british}…)", file.path, i + 1));
            }
        }
    }
    out
}

/// The words of a text that are spelt the American way.
fn found(text: &str) -> Vec<(String, &'static str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let mut out = Vec::new();
    // A path is a name.
    let tokens = text.split_whitespace().filter(|t| !t.contains('/'));
    for word in tokens.flat_map(|t| t.split(|c: char| !is_word(c))).filter(|w| !w.is_empty()) {
        let lower = word.to_lowercase();
        // A name of the code, or of another tool.
        let name = word.contains('_') || word.chars().skip(1).any(char::is_uppercase);
        if name || EXEMPT.iter().any(|e| lower.contains(e)) {
            continue;
        }
        let hit = WORDS.iter().find(|(american, _)| lower.split('-').any(|part| part.starts_with(american)));
        out.extend(hit.map(|(_, british)| (word.to_owned(), *british)));
    }
    out
}

/// Comments and strings of a line of Rust, without code spans and attributes of other libraries.
fn of_rust(line: &str) -> Vec<String> {
    let trimmed = line.trim_start();
    if trimmed.starts_with("#[") || trimmed.starts_with("use ") {
        return Vec::new();
    }
    let mut strings = Vec::new();
    let (mut quoted, mut escaped, mut last) = (false, false, ' ');
    let mut text = String::new();
    for (at, c) in line.char_indices() {
        match (quoted, c) {
            (true, '"') if !escaped => {
                quoted = false;
                strings.push(std::mem::take(&mut text));
            }
            (true, _) => {
                escaped = c == '\\' && !escaped;
                text.push(c);
            }
            (false, '"') if last != '\'' => quoted = true,
            (false, '/') if last == '/' => {
                strings.extend(of_markdown(line[at + 1..].trim_start_matches(['/', '!'])));
                return strings;
            }
            (false, _) => {}
        }
        last = c;
    }
    if quoted {
        strings.push(text);
    }
    // What styles a page or a drawing is CSS or SVG, and a word alone may be a key of another tool's file.
    let key = |s: &str| ["color", "behavior", "artifacts"].contains(&s);
    strings.retain(|s| !s.contains("color:") && !s.contains("-color") && !s.contains("class=") && !key(s));
    strings
}

/// A line of Markdown without its code spans and the targets of its links.
fn of_markdown(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    let mut rest = prose.as_str();
    while let Some(at) = rest.find("](") {
        out += &rest[..at];
        rest = rest[at..].split_once(')').map_or("", |(_, after)| after);
    }
    vec![out + rest]
}

/// The comment of a line of TOML, its strings, and its key.
fn of_toml(line: &str) -> Vec<String> {
    vec![line.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Vec<String> {
        american(&TextFile { path: path.into(), text: text.into() })
    }

    #[test]
    fn american_words_are_found_where_people_read() {
        assert_eq!(of("a.md", "The behavior of it.\n"), ["a.md:1: American spelling: behavior (behaviour…)"]);
        assert_eq!(of("a.rs", "/// Initializes it.\n").len(), 1);
        assert_eq!(of("a.rs", "    let x = \"wrong color\"; // in the center\n").len(), 2);
        assert_eq!(of("a.toml", "optimizer = \"adam\" # unnormalized is fine\n").len(), 1);
        assert_eq!(of("a.md", "re-initialized").len(), 1);
    }

    #[test]
    fn names_of_other_tools_and_of_the_code_are_left_alone() {
        assert!(of("a.md", "`initializer_range` and [x](color.html), tokenizer, colour\n").is_empty());
        assert!(
            of("a.rs", "#[serde(color)]\nlet color = normalize(x);\nlet s = \"tokenizer.json\";\n")
                .is_empty()
        );
        assert!(of("a.md", "```sh\nset color\n```\n").is_empty());
        assert!(of("a.rs", "//! ```\n//! use a::Localize;\n//! ```\n").is_empty());
        assert!(of("records/x/README.md", "optimizer").is_empty());
        assert!(of("a.rs", "let css = \"a{color:red}\";\n").is_empty());
    }
}
