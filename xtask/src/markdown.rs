//! Just enough Markdown: links, code spans and fenced code of a page.

/// Something on a page that may be a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    /// Line number, from 1.
    pub(crate) line: usize,
    /// The text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) place: Place,
}

/// Where a mention stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The target of a link or image.
    Link,
    /// One word in backticks, or one of several.
    Code,
    /// A word in a fenced block.
    Fence,
}

/// All mentions of a page, in order.
pub(crate) fn mentions(page: &str) -> Vec<Mention> {
    let mut out = Vec::new();
    let mut fence = false;
    for (i, line) in page.lines().enumerate() {
        let mut add = |text: &str, place| {
            out.push(Mention { line: i + 1, text: text.to_owned(), place });
        };
        if line.trim_start().starts_with("```") {
            fence = !fence;
        } else if fence {
            line.split_whitespace().for_each(|w| add(w, Place::Fence));
        } else {
            for (n, part) in line.split('`').enumerate() {
                if n % 2 == 1 {
                    part.split_whitespace().for_each(|w| add(w, Place::Code));
                } else {
                    links(part).for_each(|l| add(l, Place::Link));
                }
            }
            // A link whose text is code: [`name`](target).
            if line.contains("`](") {
                line.split("`](")
                    .skip(1)
                    .filter_map(|p| p.split(')').next())
                    .for_each(|l| add(l, Place::Link));
            }
        }
    }
    out
}

/// Targets of `[text](target)` and `![text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").filter_map(|(at, _)| {
        // The code spans were cut out, so a target may start in the next part.
        (at > 0).then(|| text[at + 2..].split([')', ' ']).next()).flatten()
    })
}

/// The rows of the first table whose header's first cell is `head`: cells without backticks.
pub(crate) fn table(page: &str, head: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim().trim_matches('|').split('|').map(|c| c.trim().replace('`', "")).collect()
    };
    let mut lines = page.lines().skip_while(|l| !l.starts_with('|') || cells(l)[0] != head);
    lines.by_ref().take(2).for_each(drop);
    lines.take_while(|l| l.starts_with('|')).map(cells).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The fenced blocks of `language`.
    fn blocks(page: &str, language: &str) -> Vec<String> {
        let open = format!("```{language}\n");
        page.split(&open).skip(1).filter_map(|b| b.split("```").next()).map(str::to_owned).collect()
    }

    #[test]
    fn the_recipe_of_the_readme_is_right() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let page = std::fs::read_to_string(root.join("README.md")).unwrap();
        let recipes = blocks(&page, "toml");
        assert_eq!(recipes.len(), 1);
        let written = lobe_lab::recipe::Written::from_str("README.md", &recipes[0]).unwrap();
        let (recipe, _) = lobe_lab::schedule::resolve(&written).unwrap();
        assert_eq!(recipe.arms.len(), 3);
    }

    #[test]
    fn links_code_and_fences_are_found_with_their_lines() {
        let page =
            "See [a](docs/a.md) and `crates/x`.\n\n```sh\ncargo run recipes/q.toml\n```\n[`b`](b.md)\n";
        let found: Vec<(usize, String, Place)> =
            mentions(page).into_iter().map(|m| (m.line, m.text, m.place)).collect();
        let expected = [
            (1, "docs/a.md", Place::Link),
            (1, "crates/x", Place::Code),
            (4, "cargo", Place::Fence),
            (4, "run", Place::Fence),
            (4, "recipes/q.toml", Place::Fence),
            (6, "b", Place::Code),
            (6, "b.md", Place::Link),
        ];
        assert_eq!(found, expected.map(|(l, t, p)| (l, t.to_owned(), p)));
    }

    #[test]
    fn a_table_is_found_by_its_first_heading() {
        let page = "| a | b |\n|---|---|\n| 1 | 2 |\n\n| crate | may use |\n|---|---|\n| `x` | – |\n| `y` | `x` |\n\nend";
        assert_eq!(table(page, "crate"), [["x", "–"], ["y", "x"]]);
        assert!(table(page, "none").is_empty());
    }
}
