//! The only door to standard output and standard error, and whether they are coloured.
//!
//! Text is styled as it is made; the streams take the styles out again unless a terminal shows them.
//! `NO_COLOR` turns colour off, `CLICOLOR_FORCE` turns it on in a pipe.

use std::io::{ErrorKind, IsTerminal as _, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde_json::Value;

/// The word `error:`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// A finding that speaks for the removal.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A finding that speaks against it.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// No finding, and warnings.
pub(crate) const OPEN: Style = AnsiColor::Yellow.on_default().bold();

/// The text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Headings and names.
pub(crate) fn bold(text: &str) -> String {
    styled(Style::new().bold(), text)
}

/// The report's verdicts, longer ones before those they hold.
const VERDICTS: [(&str, Style); 10] = [
    ("hidden, not removed", BAD),
    ("not removed", BAD),
    ("gone; return undecided", OPEN),
    ("gone; not attacked", OPEN),
    ("gone, but damaged", BAD),
    ("removed at this scale", GOOD),
    ("nothing to remove", OPEN),
    ("not judged: one seed", OPEN),
    ("not judged", OPEN),
    ("undecided", OPEN),
];

/// The text with its verdicts in colour.
pub(crate) fn verdicts(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((at, word, style)) = first_verdict(rest) {
        out += &rest[..at];
        out += &styled(style, word);
        rest = &rest[at + word.len()..];
    }
    out + rest
}

fn first_verdict(text: &str) -> Option<(usize, &'static str, Style)> {
    let found = VERDICTS.iter().filter_map(|(word, style)| Some((text.find(word)?, *word, *style)));
    found.min_by_key(|(at, word, _)| (*at, std::cmp::Reverse(word.len())))
}

/// Writes to standard output. A reader that has gone away (`lobe list | head`) is no error.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = AutoStream::auto(std::io::stdout().lock());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a value as indented JSON.
pub(crate) fn json(value: &Value) -> std::io::Result<()> {
    print(&format!("{value:#}\n"))
}

/// Writes a line to standard error. Nobody can be told if that fails.
pub(crate) fn note(text: &str) {
    let text = lobe_report::readable(text);
    let (first, rest) = text.split_once(':').unwrap_or(("", &text));
    let style = match first {
        "error" => Some(ERROR),
        "warning" | "stopped" => Some(OPEN),
        "note" => Some(Style::new().bold()),
        _ => None,
    };
    let line = style.map_or_else(|| text.clone(), |s| format!("{}{rest}", styled(s, &format!("{first}:"))));
    let mut err = AutoStream::auto(std::io::stderr().lock());
    writeln!(err, "{line}").ok();
}

/// Whether somebody looks at standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns of the terminal, or 100.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(w, _)| usize::from(w.0).max(40))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_coloured_once_and_the_longest_counts() {
        let said = verdicts("a  hidden, not removed  b  undecided\n");
        let plain: String = anstream::adapter::strip_str(&said).to_string();
        assert_eq!(plain, "a  hidden, not removed  b  undecided\n");
        assert_eq!(said.matches("\u{1b}[1m").count(), 2, "{said:?}");
        assert!(said.contains(&styled(BAD, "hidden, not removed")), "{said:?}");
        assert_eq!(verdicts("nothing of the kind"), "nothing of the kind");
    }
}
