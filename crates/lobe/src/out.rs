//! The only door to standard output and standard error.

use std::io::{ErrorKind, IsTerminal as _, Write};

use serde_json::Value;

/// Writes to standard output. A reader that has gone away (`lobe list | head`) is no error.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
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
    writeln!(std::io::stderr().lock(), "{}", lobe_report::readable(text)).ok();
}

/// Whether somebody looks at standard output.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Columns of the terminal, or 100.
pub(crate) fn width() -> usize {
    terminal_size::terminal_size().map_or(100, |(w, _)| usize::from(w.0).max(40))
}
