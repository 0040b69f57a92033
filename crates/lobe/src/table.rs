//! Plain columns for the terminal.

/// Rows of text under a heading, columns two spaces apart; columns from `numbers` on stand right.
pub(crate) fn columns(heading: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let heading: Vec<String> = heading.iter().map(|h| (*h).to_owned()).collect();
    let all = || std::iter::once(&heading).chain(rows);
    let width = |c: usize| all().filter_map(|r| r.get(c)).map(|s| s.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let mut out = String::new();
    for row in all() {
        let cells = row.iter().zip(&widths).enumerate().map(|(c, (cell, width))| {
            if c >= numbers { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// `text` in lines of at most `width` characters, each after `indent` spaces.
pub(crate) fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if length > 0 && indent + length + 1 + n > width {
            out.push('\n');
            length = 0;
        }
        if length == 0 {
            out.push_str(&" ".repeat(indent));
        } else {
            out.push(' ');
            length += 1;
        }
        out.push_str(word);
        length += n;
    }
    out.push('\n');
    out
}

/// `1 seed`, `3 seeds`, `12,000 steps`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// `12,345`: digits in threes.
pub(crate) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_words_wrap() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "10".into()]];
        assert_eq!(columns(&["x", "n"], &rows, 1), "x      n\na      1\nlong  10\n");
        assert_eq!(wrap("one two three", 9, 1), " one two\n three\n");
        assert_eq!([1, 0, 12_345].map(|n| counted(n, "seed")), ["1 seed", "0 seeds", "12,345 seeds"]);
        assert_eq!([999, 1000, 1_234_567].map(grouped), ["999", "1,000", "1,234,567"]);
    }
}
