//! Text as Markdown: what names hold breaks no table, and commands lose the machine they ran on.

/// Text that Markdown shows as it is.
pub(crate) fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// A command without the absolute paths of the machine it ran on: only their last name stays. A path begins
/// after a space, a quote, a bracket, `=` or a comma, and ends at the quote it began with, or else at a
/// space, a bracket, a comma or another quote.
pub(crate) fn portable(command: &str) -> String {
    let chars: Vec<char> = command.chars().collect();
    let (mut out, mut i) = (String::new(), 0);
    while i < chars.len() {
        let before = if i == 0 { ' ' } else { chars[i - 1] };
        let starts = " \"'=[({,".contains(before);
        let drive = chars
            .get(i..i + 3)
            .is_some_and(|c| c[0].is_ascii_alphabetic() && c[1] == ':' && matches!(c[2], '/' | '\\'));
        if !starts || !(chars[i] == '/' || drive) {
            out.push(chars[i]);
            i += 1;
            continue;
        }
        let quoted = matches!(before, '"' | '\'');
        let ends = |c: &char| if quoted { *c == before } else { " \"'])},".contains(*c) };
        let length = chars[i..].iter().position(ends).unwrap_or(chars.len() - i);
        let path: String = chars[i..i + length].iter().collect();
        let last = path.rsplit(['/', '\\']).find(|p| !p.is_empty()).unwrap_or("");
        out.push_str(&format!("…/{last}"));
        i += length;
    }
    out
}

/// A heading and a table under it.
pub(crate) fn section(out: &mut String, title: &str, header: &[String], rows: &[Vec<String>]) {
    let line = |cells: &[String]| {
        format!("| {} |\n", cells.iter().map(|c| inline_cell(c)).collect::<Vec<_>>().join(" | "))
    };
    *out += &format!("\n## {}\n\n{}|{}\n", inline(title), line(header), "---|".repeat(header.len()));
    for r in rows {
        *out += &line(r);
    }
}

/// Our own brackets stay; what could break the table does not.
fn inline_cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('`', "\\`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_lose_the_machine() {
        let said = portable(
            "lobe run recipes/x.toml --set data.dir=/some/where/data/ --out '/my disk/runs/a' --set t='/x y' --n=3",
        );
        assert_eq!(said, "lobe run recipes/x.toml --set data.dir=…/data --out '…/a' --set t='…/x y' --n=3");
        let said = portable(
            "lobe run x --set 'data.sources=[{path=\"/some/where/a.txt\"}, {path = \"b/c\"}]' -n 1/2",
        );
        assert_eq!(said, "lobe run x --set 'data.sources=[{path=\"…/a.txt\"}, {path = \"b/c\"}]' -n 1/2");
        assert_eq!(portable("C:\\bin\\lobe run a"), "…/lobe run a");
    }

    #[test]
    fn names_cannot_break_a_table() {
        let mut out = String::new();
        section(&mut out, "a", &["x|y".into()], &[vec!["<b>`|".into()]]);
        assert_eq!(out, "\n## a\n\n| x\\|y |\n|---|\n| &lt;b>\\`\\| |\n");
    }
}
