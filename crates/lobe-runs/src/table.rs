//! A small reader for the CSV files of a run: comma-separated, quoted fields with doubled quotes,
//! LF or CRLF, a header that must name the columns exactly.

use crate::ReadError;

/// Calls `each(line, fields)` for every record of `text` after the header.
///
/// # Errors
/// If the columns are others, a record has another number of fields, a quote never ends, or `each` refuses.
pub fn read_table(
    file: &str,
    text: &str,
    header: &[&str],
    mut each: impl FnMut(usize, &[String]) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut reader = Reader { file, rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let Some((line, found)) = reader.record()? else {
        return Err(ReadError::content(file, 1, format!("empty, expected the header {}", header.join(","))));
    };
    if found != header {
        let message = format!("columns are {:?}, expected {}", shorten(&found.join(",")), header.join(","));
        return Err(ReadError::content(file, line, message));
    }
    while let Some((line, fields)) = reader.record()? {
        if fields.len() == 1 && fields[0].is_empty() {
            continue;
        }
        if fields.len() != header.len() {
            let message = format!("{} fields, expected {}", fields.len(), header.len());
            return Err(ReadError::content(file, line, message));
        }
        each(line, &fields)?;
    }
    Ok(())
}

/// One record of a file that a spreadsheet may open: quoted where needed, and text that would be taken for a
/// formula is not.
pub fn record(out: &mut String, fields: &[String]) {
    for (i, field) in fields.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { "," });
        let formula = field.starts_with(['=', '+', '@', '-']) && field.parse::<f64>().is_err();
        let field = if formula { format!("'{field}") } else { field.clone() };
        if field.contains(['"', ',', '\n', '\r']) {
            out.push_str(&format!("\"{}\"", field.replace('"', "\"\"")));
        } else {
            out.push_str(&field);
        }
    }
    out.push('\n');
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

struct Reader<'a> {
    file: &'a str,
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// The next record with the line it starts on.
    fn record(&mut self) -> Result<Option<(usize, Vec<String>)>, ReadError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let start = self.line;
        let mut fields = Vec::new();
        loop {
            let (field, last) = self.field()?;
            fields.push(field);
            if last {
                return Ok(Some((start, fields)));
            }
        }
    }

    /// One field, and whether it ended its record.
    fn field(&mut self) -> Result<(String, bool), ReadError> {
        let mut text = String::new();
        if let Some(quoted) = self.rest.strip_prefix('"') {
            self.rest = quoted;
            loop {
                let Some(end) = self.rest.find('"') else {
                    return Err(ReadError::content(self.file, self.line, "a quoted field never ends"));
                };
                text.push_str(&self.rest[..end]);
                self.line += self.rest[..end].matches('\n').count();
                self.rest = &self.rest[end + 1..];
                match self.rest.strip_prefix('"') {
                    Some(more) => {
                        text.push('"');
                        self.rest = more;
                    }
                    None => break,
                }
            }
            if !(self.rest.is_empty() || self.rest.starts_with([',', '\n', '\r'])) {
                return Err(ReadError::content(self.file, self.line, "text after a closing quote"));
            }
        } else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            text.push_str(self.rest[..end].strip_suffix('\r').unwrap_or(&self.rest[..end]));
            self.rest = &self.rest[end..];
        }
        self.rest = self.rest.strip_prefix('\r').unwrap_or(self.rest);
        if let Some(more) = self.rest.strip_prefix(',') {
            self.rest = more;
            return Ok((text, false));
        }
        if let Some(more) = self.rest.strip_prefix('\n') {
            self.rest = more;
            self.line += 1;
        }
        Ok((text, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
        let mut out = Vec::new();
        read_table("x.csv", text, &["a", "b"], |line, f| {
            out.push((line, f.to_vec()));
            Ok(())
        })
        .map_err(|e| e.to_string())?;
        Ok(out)
    }

    #[test]
    fn quoted_fields_hold_commas_quotes_and_newlines() {
        let rows = check("a,b\r\n\"x,\"\"y\"\"\nz\",2\r\n\n3,\n").unwrap();
        assert_eq!(rows[0], (2, vec!["x,\"y\"\nz".into(), "2".into()]));
        assert_eq!(rows[1], (5, vec!["3".into(), String::new()]));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn errors_name_file_and_line() {
        assert_eq!(check("").unwrap_err(), "x.csv line 1: empty, expected the header a,b");
        assert_eq!(check("a,c\n").unwrap_err(), "x.csv line 1: columns are \"a,c\", expected a,b");
        assert_eq!(check("a,b\n1,2\n1,2,3\n").unwrap_err(), "x.csv line 3: 3 fields, expected 2");
        assert_eq!(check("a,b\n\"1,2\n").unwrap_err(), "x.csv line 2: a quoted field never ends");
        assert_eq!(check("a,b\n\"1\"x,2\n").unwrap_err(), "x.csv line 2: text after a closing quote");
    }
}
