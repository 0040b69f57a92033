//! Numbers that somebody else published, to hold a run against.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use lobe_runs::{clean, read_table};

use crate::ReportError;

/// Most bytes of a file of targets.
const LIMIT: u64 = 1 << 20;
/// Numbers beyond this are not measurements.
const HUGE: f64 = 1e30;

/// One published number.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Arm it belongs to.
    pub arm: String,
    /// Label it belongs to.
    pub label: String,
    /// Metric.
    pub metric: String,
    /// The number; `None` where the source has none.
    pub value: Option<f64>,
    /// Where it is from.
    pub source: String,
}

/// A list of published numbers, in the order of their file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targets(pub Vec<Target>);

impl Targets {
    /// Reads CSV with the columns `arm,label,metric,value,source`. An empty value is a missing one.
    ///
    /// # Errors
    /// If the columns are others, a value is no finite number, or two rows are about the same.
    pub fn parse(file: &str, text: &str) -> Result<Targets, ReportError> {
        let mut out: Vec<Target> = Vec::new();
        read_table(file, text, &["arm", "label", "metric", "value", "source"], |line, f| {
            let value = match f[3].trim() {
                "" => None,
                text => match text.parse::<f64>() {
                    Ok(v) if (-HUGE..=HUGE).contains(&v) => Some(v),
                    _ => {
                        let message = format!("value is {:?}, not a number", clean(text));
                        return Err(ReportError::content(file, line, message));
                    }
                },
            };
            let [arm, label, metric] = [0, 1, 2].map(|i| clean(f[i].trim()));
            if out.iter().any(|t| (&t.arm, &t.label, &t.metric) == (&arm, &label, &metric)) {
                let message = format!("{metric} of {arm} on {label} stands here twice");
                return Err(ReportError::content(file, line, message));
            }
            out.push(Target { arm, label, metric, value, source: clean(f[4].trim()) });
            Ok(())
        })?;
        Ok(Targets(out))
    }

    /// Reads a file, see [`Targets::parse`].
    ///
    /// # Errors
    /// If it cannot be read, is larger than a megabyte, or is not what it should be.
    pub fn load(path: &Path) -> Result<Targets, ReportError> {
        let file = path.display().to_string();
        let fail = |source| ReportError::Io { file: file.clone(), source };
        let mut text = String::new();
        let bytes =
            File::open(path).and_then(|f| f.take(LIMIT + 1).read_to_string(&mut text)).map_err(fail)?;
        if bytes as u64 > LIMIT {
            return Err(ReportError::TooLarge { file, bytes: bytes as u64, limit: LIMIT });
        }
        Targets::parse(&file, &text)
    }

    /// The target of a quantity, if there is one.
    pub fn find(&self, arm: &str, label: &str, metric: &str) -> Option<&Target> {
        self.0.iter().find(|t| t.arm == arm && t.label == label && t.metric == metric)
    }
}
