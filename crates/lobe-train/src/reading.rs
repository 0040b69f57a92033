//! A number that somebody took.

/// One number: of which label, of what, when.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The label; `all` where it is of everything.
    pub label: String,
    /// What was measured.
    pub metric: String,
    /// The step it belongs to, if to one.
    pub step: Option<u64>,
    /// The number.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
}

impl Reading {
    /// A number of no step.
    pub fn new(label: &str, metric: impl Into<String>, value: f64, unit: &'static str) -> Reading {
        Reading { label: label.to_owned(), metric: metric.into(), step: None, value, unit }
    }

    /// The same at a step.
    pub fn at(self, step: u64) -> Reading {
        Reading { step: Some(step), ..self }
    }
}
