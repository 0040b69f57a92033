//! `metrics.jsonl`: one measured number a line, only ever appended, cut back on resume.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::StoreError;

/// One measured number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Step of its stage; absent for a number that belongs to no step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// True class of the data, or `all`.
    #[serde(default)]
    pub label: String,
    /// What was measured.
    pub metric: String,
    /// The number; finite when it is written, and not a number where a log that is read has null.
    #[serde(deserialize_with = "number_or_none")]
    pub value: f64,
    /// Its unit.
    #[serde(default)]
    pub unit: String,
}

fn number_or_none<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Metric {
    /// A number that belongs to no step.
    pub fn new(label: &str, metric: &str, value: f64, unit: &str) -> Metric {
        Metric {
            step: None,
            label: label.to_owned(),
            metric: metric.to_owned(),
            value,
            unit: unit.to_owned(),
        }
    }

    /// The same number as of `step`.
    pub fn at(self, step: Option<u64>) -> Metric {
        Metric { step, ..self }
    }
}

/// A metric's name, and behind `@` what it is of: a variant of an attack, a class, a decoder.
pub fn part(metric: &str) -> (&str, Option<&str>) {
    metric.split_once('@').map_or((metric, None), |(name, part)| (name, Some(part)))
}

/// An append-only log of [`Metric`]s.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    out: BufWriter<File>,
    len: u64,
}

impl MetricsLog {
    /// Opens or creates the log. A last line that a killed process left unfinished is removed.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn open(path: &Path) -> Result<MetricsLog, StoreError> {
        let io = |e| StoreError::io("cannot be opened", path)(e);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let len = whole_lines(&mut file, bytes).map_err(io)?;
        if len < bytes {
            file.set_len(len).map_err(io)?;
        }
        file.seek(SeekFrom::Start(len)).map_err(io)?;
        Ok(MetricsLog { path: path.to_owned(), out: BufWriter::new(file), len })
    }

    /// Appends one number. It reaches the disk with [`MetricsLog::sync`] or when the log is dropped.
    ///
    /// # Errors
    /// If the number is not finite (a missing number is an absent line), or the disk refuses.
    pub fn append(&mut self, metric: &Metric) -> Result<(), StoreError> {
        if !metric.value.is_finite() {
            let message =
                format!("{} of {} is {}: not a finite number", metric.metric, metric.label, metric.value);
            return Err(StoreError::NotFinite { message, path: self.path.clone() });
        }
        let mut line =
            serde_json::to_vec(metric).map_err(|e| StoreError::content(&self.path, e.to_string()))?;
        line.push(b'\n');
        self.out.write_all(&line).map_err(StoreError::io("cannot be appended to", &self.path))?;
        self.len += line.len() as u64;
        Ok(())
    }

    /// Length in bytes, with everything appended so far: what a checkpoint remembers.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing is logged.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Brings everything appended so far onto the disk; call before a checkpoint that remembers
    /// [`MetricsLog::len`].
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        let io = |e| StoreError::io("cannot be synced", &self.path)(e);
        self.out.flush().map_err(io)?;
        self.out.get_ref().sync_data().map_err(io)
    }

    /// Forgets everything after the first `len` bytes.
    ///
    /// # Errors
    /// If the log is shorter, or `len` does not lie between two lines: then it is not the log
    /// that the checkpoint belongs to.
    pub fn truncate_to(&mut self, len: u64) -> Result<(), StoreError> {
        let io = |e| StoreError::io("cannot be cut", &self.path)(e);
        self.out.flush().map_err(io)?;
        if len > self.len {
            let message = format!("has {} bytes, but the checkpoint was made at {len}", self.len);
            return Err(StoreError::content(&self.path, message));
        }
        let file = self.out.get_mut();
        if whole_lines(file, len).map_err(io)? != len {
            return Err(StoreError::content(&self.path, format!("no line ends at byte {len}")));
        }
        file.set_len(len).map_err(io)?;
        file.seek(SeekFrom::Start(len)).map_err(io)?;
        self.len = len;
        Ok(())
    }

    /// Reads a log. An unfinished last line is ignored; a file that is not there is empty.
    ///
    /// # Errors
    /// If a finished line is not a metric.
    pub fn read(path: &Path) -> Result<Vec<Metric>, StoreError> {
        let file = match File::open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::io("cannot be read", path))?,
        };
        let mut reader = BufReader::new(file);
        let (mut out, mut line) = (Vec::new(), Vec::new());
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line).map_err(StoreError::io("cannot be read", path))?;
            if line.pop() != Some(b'\n') {
                return Ok(out);
            }
            let wrong = |why: String| StoreError::content(path, format!("line {}: {why}", out.len() + 1));
            let metric: Metric = serde_json::from_slice(&line).map_err(|e| wrong(e.to_string()))?;
            if !metric.value.is_finite() {
                return Err(wrong("not a finite number".to_owned()));
            }
            out.push(metric);
        }
    }
}

/// The end of the last line that ends within the first `len` bytes.
fn whole_lines(file: &mut File, len: u64) -> std::io::Result<u64> {
    let mut end = len;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(4096);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        (&mut *file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}
