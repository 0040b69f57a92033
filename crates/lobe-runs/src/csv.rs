//! `results.csv` and `timings.csv`: the same rows always give the same bytes.

use std::cmp::Ordering;
use std::fmt::Write as _;

use crate::error::{ReadError, StoreError};
use crate::table::read_table;
use crate::text::clean;

const RESULTS: [&str; 8] = ["stage", "arm", "seed", "label", "metric", "step", "value", "unit"];
const ATTACKS: [&str; 11] =
    ["stage", "arm", "seed", "attack", "start", "settings", "label", "metric", "step", "value", "unit"];
const TIMINGS: [&str; 6] = ["stage", "arm", "seed", "seconds", "rate", "unit"];

/// One measured number of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultRow {
    /// The stage that produced it.
    pub stage: String,
    /// The arm.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// True class of the data, or `all`.
    pub label: String,
    /// What was measured.
    pub metric: String,
    /// Step of the stage; absent for a number that belongs to no step.
    pub step: Option<u64>,
    /// The number; finite when it is written, and not a number when a file that is read has none here.
    pub value: f64,
    /// Its unit.
    pub unit: String,
}

/// A number of one variant of an attack.
#[derive(Debug, Clone, PartialEq)]
pub struct AttackRow {
    /// What the attack is: `relearn`, `quantise`, …
    pub attack: String,
    /// What the variant starts from: `zero`, `reinit`, …; may be empty.
    pub start: String,
    /// What else sets it apart, `key=value;key=value`.
    pub settings: String,
    /// The number, its metric without the variant.
    pub row: ResultRow,
}

/// How long something took.
#[derive(Debug, Clone, PartialEq)]
pub struct TimingRow {
    /// The stage.
    pub stage: String,
    /// The arm.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Work per second, where the stage counts its work.
    pub rate: Option<f64>,
    /// Unit of the rate.
    pub unit: String,
}

/// The order of stages and arms in the recipe, which is the order of rows.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// Names of all stages.
    pub stages: &'a [String],
    /// Names of all arms.
    pub arms: &'a [String],
}

impl Order<'_> {
    fn of(&self, stage: &str, arm: &str) -> Result<(usize, usize), StoreError> {
        let find = |what: &str, names: &[String], name: &str| {
            let missing = || StoreError::Row { message: format!("no {what} is called {name:?}") };
            names.iter().position(|n| n == name).ok_or_else(missing)
        };
        Ok((find("stage", self.stages, stage)?, find("arm", self.arms, arm)?))
    }
}

/// The content of `results.csv`: sorted by stage, arm, seed, label, metric and step, rows without
/// a step last. Equal rows are written once.
///
/// # Errors
/// If a number is not finite, a stage or an arm is unknown, or one thing has two values.
pub fn results_csv(rows: &[ResultRow], order: Order) -> Result<String, StoreError> {
    let mut sorted = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.value.is_finite() {
            return Err(StoreError::Row { message: format!("{} is not a finite number", describe(row)) });
        }
        sorted.push((order.of(&row.stage, &row.arm)?, row));
    }
    sorted.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| compare(x, y)));
    let mut out = header(&RESULTS);
    for (i, (_, row)) in sorted.iter().enumerate() {
        if let Some((_, before)) = i.checked_sub(1).map(|i| sorted[i])
            && before.stage == row.stage
            && before.arm == row.arm
            && compare(before, row) == Ordering::Equal
        {
            if before.value == row.value && before.unit == row.unit {
                continue;
            }
            let message = format!("{} and {} {}", describe(before), number(row.value), row.unit);
            return Err(StoreError::Row { message });
        }
        let step = row.step.map_or(String::new(), |s| s.to_string());
        let seed = row.seed.to_string();
        let value = number(row.value);
        line(&mut out, &[&row.stage, &row.arm, &seed, &row.label, &row.metric, &step, &value, &row.unit]);
    }
    Ok(out)
}

/// The content of `attacks.csv`: the numbers of single variants, in the order of `results.csv`, with what sets
/// a variant apart in columns of its own.
pub fn attacks_csv(rows: &[AttackRow]) -> String {
    let mut out = header(&ATTACKS);
    for AttackRow { attack, start, settings, row } in rows {
        let step = row.step.map_or(String::new(), |s| s.to_string());
        let (seed, value) = (row.seed.to_string(), number(row.value));
        let of_variant = [attack.as_str(), start, settings];
        let head = [row.stage.as_str(), &row.arm, &seed];
        let tail = [row.label.as_str(), &row.metric, &step, &value, &row.unit];
        line(&mut out, &[&head[..], &of_variant, &tail].concat());
    }
    out
}

fn compare(a: &ResultRow, b: &ResultRow) -> Ordering {
    let key = |r: &ResultRow| (r.step.is_none(), r.step);
    (a.seed, &a.label, &a.metric).cmp(&(b.seed, &b.label, &b.metric)).then(key(a).cmp(&key(b)))
}

fn describe(row: &ResultRow) -> String {
    let step = row.step.map_or(String::new(), |s| format!(" at step {s}"));
    let (stage, arm, seed) = (&row.stage, &row.arm, row.seed);
    format!(
        "{stage}, {arm}.{seed}: {} of {}{step} is {} {}",
        row.metric,
        row.label,
        number(row.value),
        row.unit
    )
}

/// The content of `timings.csv`, in the recipe's order.
///
/// # Errors
/// If a number is not finite, or a stage or an arm is unknown.
pub fn timings_csv(rows: &[TimingRow], order: Order) -> Result<String, StoreError> {
    let mut sorted = Vec::with_capacity(rows.len());
    for row in rows {
        if !row.seconds.is_finite() || row.rate.is_some_and(|r| !r.is_finite()) {
            let message =
                format!("the time of {}, {}.{} is not a finite number", row.stage, row.arm, row.seed);
            return Err(StoreError::Row { message });
        }
        sorted.push((order.of(&row.stage, &row.arm)?, row));
    }
    sorted.sort_by(|(a, x), (b, y)| a.cmp(b).then((x.seed, &x.unit).cmp(&(y.seed, &y.unit))));
    let mut out = header(&TIMINGS);
    for (_, row) in sorted {
        let (seed, seconds, rate) =
            (row.seed.to_string(), number(row.seconds), row.rate.map_or_else(String::new, number));
        line(&mut out, &[&row.stage, &row.arm, &seed, &seconds, &rate, &row.unit]);
    }
    Ok(out)
}

/// Calls `each(line, row)` for every row of `results.csv`. Numbers may be none, names may be anybody's: the caller
/// decides what it takes.
///
/// # Errors
/// With the line of what is not in the format, or what `each` refuses.
pub fn read_results(
    text: &str,
    mut each: impl FnMut(usize, ResultRow) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    read_table("results.csv", text, &RESULTS, |line, f| {
        let at = At("results.csv", line);
        let row = result_row(at, &f[..3], &f[3..])?;
        each(line, row)
    })
}

/// Calls `each(line, row)` for every row of `attacks.csv`, like [`read_results`].
///
/// # Errors
/// See [`read_results`].
pub fn read_attacks(
    text: &str,
    mut each: impl FnMut(usize, AttackRow) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    read_table("attacks.csv", text, &ATTACKS, |line, f| {
        let row = result_row(At("attacks.csv", line), &f[..3], &f[6..])?;
        let [attack, start, settings] = [3, 4, 5].map(|i| clean(&f[i]));
        each(line, AttackRow { attack, start, settings, row })
    })
}

/// Calls `each(line, row)` for every row of `timings.csv`, like [`read_results`].
///
/// # Errors
/// See [`read_results`].
pub fn read_timings(
    text: &str,
    mut each: impl FnMut(usize, TimingRow) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    read_table("timings.csv", text, &TIMINGS, |line, f| {
        let at = At("timings.csv", line);
        let row = TimingRow {
            stage: clean(&f[0]),
            arm: clean(&f[1]),
            seed: at.whole("seed", &f[2])?,
            seconds: at.float("seconds", &f[3])?,
            rate: if f[4].is_empty() { None } else { Some(at.float("rate", &f[4])?) },
            unit: clean(&f[5]),
        };
        each(line, row)
    })
}

/// `stage, arm, seed` and `label, metric, step, value, unit`.
fn result_row(at: At<'_>, head: &[String], tail: &[String]) -> Result<ResultRow, ReadError> {
    let step = if tail[2].is_empty() { None } else { Some(at.whole("step", &tail[2])?) };
    let value = if tail[3].is_empty() { f64::NAN } else { at.float("value", &tail[3])? };
    let seed = at.whole("seed", &head[2])?;
    let [stage, arm, label, metric, unit] =
        [&head[0], &head[1], &tail[0], &tail[1], &tail[4]].map(|t| clean(t));
    Ok(ResultRow { stage, arm, seed, label, metric, step, value, unit })
}

/// A line of a file.
#[derive(Clone, Copy)]
struct At<'a>(&'a str, usize);

impl At<'_> {
    fn whole(self, column: &str, text: &str) -> Result<u64, ReadError> {
        let wrong = || format!("{column} is {:?}, not a whole number", clean(text));
        text.parse().map_err(|_| ReadError::content(self.0, self.1, wrong()))
    }

    fn float(self, column: &str, text: &str) -> Result<f64, ReadError> {
        let wrong = || format!("{column} is {:?}, not a number", clean(text));
        text.parse().map_err(|_| ReadError::content(self.0, self.1, wrong()))
    }
}

fn header(columns: &[&str]) -> String {
    columns.join(",") + "\n"
}

fn line(out: &mut String, fields: &[&str]) {
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", field.replace('"', "\"\"")).ok();
        } else {
            out.push_str(field);
        }
    }
    out.push('\n');
}

/// The shortest text that reads back as the same number; whole numbers without a point.
fn number(value: f64) -> String {
    // Adding zero turns -0 into 0: equal numbers get equal bytes.
    let text = format!("{:?}", value + 0.0);
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_exactly() {
        for (value, text) in [
            (3.0, "3"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-9, "1e-9"),
            (1.5e300, "1.5e300"),
        ] {
            assert_eq!(number(value), text);
            assert_eq!(text.parse::<f64>().unwrap(), value);
        }
    }
}
