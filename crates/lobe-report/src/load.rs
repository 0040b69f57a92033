//! Reading a run directory that somebody else may have written.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::data::{Activity, Point, Prefix, Quantity, RunData, Timing};
use crate::manifest::{Arm, Manifest, Stage, clean, lines};
use crate::svg::plain_name;
use crate::{ReportError, csv, samples};

/// Most bytes read of one file.
const LIMIT: u64 = 256 << 20;
/// Most bytes read of one run.
const TOTAL: u64 = 1 << 30;
/// Most different arms, stages or labels, so that a hostile file cannot ask for a gigabyte of HTML.
const MOST_NAMES: usize = 256;
/// Most seeds of one arm.
const MOST_SEEDS: usize = 1000;
/// Most folders of one stage.
const MOST_MEMBERS: usize = MOST_NAMES * MOST_SEEDS;
/// Most bytes of a recipe, and of what one member says.
const RECIPE_LIMIT: u64 = 256 << 10;
const SAMPLES_LIMIT: u64 = 256 << 10;
/// Most entries of `activity.json` or `prefixes.json`.
const MOST_ACTIVITY: usize = 20_000;
/// Most different quantities.
const MOST_QUANTITIES: usize = 20_000;
/// Numbers beyond this are not measurements, and arithmetic on them would overflow.
const HUGE: f64 = 1e30;

impl RunData {
    /// Reads a run directory. Only `manifest.json` must exist; what else is missing is left out of
    /// the report.
    pub fn load(dir: &Path) -> Result<RunData, ReportError> {
        let root = Root::open(dir)?;
        let Some(text) = root.read("manifest.json")? else {
            let source =
                std::io::Error::new(std::io::ErrorKind::NotFound, "no such file, is this a run directory?");
            let file = dir.join("manifest.json").display().to_string();
            return Err(ReportError::Io { file, source });
        };
        let manifest: Manifest = json("manifest.json", 0, &text)?;
        let mut run = RunData::default();
        run.manifest = manifest;
        let names = [run.manifest.arms.len(), run.manifest.stages.len(), run.manifest.labels.len()];
        if names.iter().any(|n| *n > MOST_NAMES) {
            return Err(ReportError::content(
                "manifest.json",
                1,
                format!("more than {MOST_NAMES} arms, stages or labels"),
            ));
        }
        let mut reader = Rows { run: &mut run, unusable: 0, unknown: BTreeSet::new() };
        if let Some(text) = root.read("results.csv")? {
            reader.results(&text)?;
        }
        // A finished run has all its numbers there; what else lies in its folders belongs to another form of it.
        if reader.run.manifest.state != "done" {
            reader.metrics(&root)?;
        }
        reader.finish();
        if let Some(text) = root.read("timings.csv")? {
            timings(&mut run, &text)?;
        }
        if let Some(text) = root.read("activity.json")? {
            activity(&mut run, &text)?;
        }
        if let Some(text) = root.read("prefixes.json")? {
            prefixes(&mut run, &text)?;
        }
        samples::load(&mut run, &|file| root.read_up_to(file, SAMPLES_LIMIT));
        // A recipe that cannot be read is no reason to show nothing.
        match root.read_up_to("recipe.toml", RECIPE_LIMIT) {
            Ok(text) => run.recipe = text.map_or_else(String::new, |t| lines(&t, RECIPE_LIMIT as usize)),
            Err(e) => run.warnings.push(e.to_string()),
        }
        Ok(run)
    }
}

/// A directory from which only its own ordinary files are read, and of them only so much.
struct Root {
    dir: PathBuf,
    left: Cell<u64>,
}

impl Root {
    fn open(dir: &Path) -> Result<Root, ReportError> {
        let fail = |source| ReportError::Io { file: dir.display().to_string(), source };
        Ok(Root { dir: dir.canonicalize().map_err(fail)?, left: Cell::new(TOTAL) })
    }

    /// Names of the folders in a folder, sorted; none if it does not exist.
    fn folders(&self, name: &str) -> Result<BTreeSet<String>, ReportError> {
        let fail = |source| ReportError::Io { file: name.to_owned(), source };
        let path = match self.dir.join(name).canonicalize() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            found => found.map_err(fail)?,
        };
        if !path.starts_with(&self.dir) {
            return Err(ReportError::Outside { file: name.to_owned() });
        }
        let mut out = BTreeSet::new();
        for entry in path.read_dir().map_err(fail)?.take(MOST_MEMBERS) {
            out.extend(entry.map_err(fail)?.file_name().into_string());
        }
        Ok(out)
    }

    /// The text of a file, or `None` if it does not exist.
    fn read(&self, name: &str) -> Result<Option<String>, ReportError> {
        self.read_up_to(name, LIMIT)
    }

    /// The text of a file of at most `most` bytes, or `None` if it does not exist.
    fn read_up_to(&self, name: &str, most: u64) -> Result<Option<String>, ReportError> {
        let fail = |source| ReportError::Io { file: name.to_owned(), source };
        let plain = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
        let path = match self.dir.join(name).canonicalize() {
            _ if !plain => return Err(ReportError::Outside { file: name.to_owned() }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(fail)?,
        };
        // Links are followed by `canonicalize`; what they lead to must still be inside.
        let meta = path.metadata().map_err(fail)?;
        if !path.starts_with(&self.dir) || !meta.is_file() {
            return Err(ReportError::Outside { file: name.to_owned() });
        }
        let limit = most.min(self.left.get());
        if meta.len() > limit {
            return Err(ReportError::TooLarge { file: name.to_owned(), bytes: meta.len(), limit });
        }
        let mut bytes = Vec::new();
        // The file may grow while it is read: the limit holds for the reading, too.
        File::open(&path).and_then(|f| f.take(limit).read_to_end(&mut bytes)).map_err(fail)?;
        self.left.set(self.left.get().saturating_sub(bytes.len() as u64));
        String::from_utf8(bytes).map(Some).map_err(|e| {
            let line = 1 + String::from_utf8_lossy(&e.as_bytes()[..e.utf8_error().valid_up_to()])
                .matches('\n')
                .count();
            ReportError::content(name, line, "not UTF-8")
        })
    }
}

pub(crate) fn json<'a, T: Deserialize<'a>>(
    file: &str,
    lines_before: usize,
    text: &'a str,
) -> Result<T, ReportError> {
    serde_json::from_str(text).map_err(|e| {
        let message = e.to_string();
        // serde_json appends its own position, which would be wrong for a line of a longer file.
        let message = message.split(" at line ").next().unwrap_or_default();
        ReportError::content(
            file,
            lines_before + e.line(),
            format!("column {}: {}", e.column(), clean(message)),
        )
    })
}

/// A line of `metrics.jsonl`.
#[derive(Deserialize)]
struct MetricLine {
    #[serde(default)]
    step: Option<u64>,
    #[serde(default)]
    label: String,
    metric: String,
    /// Null stands for a number that was not finite.
    value: Option<f64>,
    #[serde(default)]
    unit: String,
}

struct Rows<'a> {
    run: &'a mut RunData,
    unusable: usize,
    unknown: BTreeSet<String>,
}

impl Rows<'_> {
    fn results(&mut self, text: &str) -> Result<(), ReportError> {
        let file = "results.csv";
        let header = ["stage", "arm", "seed", "label", "metric", "step", "value", "unit"];
        csv::read(file, text, &header, |line, f| {
            let seed = whole(file, line, "seed", &f[2])?;
            let step = if f[5].is_empty() { None } else { Some(whole(file, line, "step", &f[5])?) };
            let value = if f[6].is_empty() { None } else { Some(float(file, line, "value", &f[6])?) };
            let quantity = Quantity { stage: clean(&f[0]), metric: clean(&f[4]), label: clean(&f[3]) };
            self.add(
                file,
                line,
                quantity,
                &clean(&f[1]),
                seed,
                Point { step, value: value.unwrap_or(f64::NAN) },
                &f[7],
            )
        })
    }

    /// The members' own files fill in what `results.csv` does not have yet while a run is going on.
    fn metrics(&mut self, root: &Root) -> Result<(), ReportError> {
        let known: BTreeSet<(String, String, u64)> = (self.run.results.iter())
            .flat_map(|(q, m)| {
                m.by_arm.iter().flat_map(|(a, s)| s.keys().map(|s| (q.stage.clone(), a.clone(), *s)))
            })
            .collect();
        let stages: Vec<String> = self.run.stages().map(String::from).collect();
        let arms: BTreeSet<String> = self.run.arms().iter().map(|a| a.name.clone()).collect();
        let seeds: BTreeSet<u64> = self.run.manifest.seeds.iter().copied().take(MOST_SEEDS).collect();
        for stage in stages.iter().filter(|s| plain_name(s)) {
            for member in root.folders(&format!("stages/{stage}"))? {
                let named = member.rsplit_once('.').and_then(|(a, s)| Some((a.to_owned(), s.parse().ok()?)));
                let Some((arm, seed)) = named.filter(|(a, s)| arms.contains(a) && seeds.contains(s)) else {
                    continue;
                };
                if known.contains(&(stage.clone(), arm.clone(), seed)) {
                    continue;
                }
                let file = format!("stages/{stage}/{member}/metrics.jsonl");
                let Some(text) = root.read(&file)? else { continue };
                self.member(&file, &text, stage, &arm, seed)?;
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        file: &str,
        text: &str,
        stage: &str,
        arm: &str,
        seed: u64,
    ) -> Result<(), ReportError> {
        // A last line without a newline is still being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (at, line) in whole.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let m: MetricLine = json(file, at, line)?;
            // `train:loss` is a number about another stage's model; results.csv has it under that stage.
            if m.metric.contains(':') {
                continue;
            }
            let quantity = Quantity { stage: stage.into(), metric: clean(&m.metric), label: clean(&m.label) };
            let point = Point { step: m.step, value: m.value.unwrap_or(f64::NAN) };
            self.add(file, at + 1, quantity, arm, seed, point, &m.unit)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        file: &str,
        line: usize,
        quantity: Quantity,
        arm: &str,
        seed: u64,
        point: Point,
        unit: &str,
    ) -> Result<(), ReportError> {
        // A range does not contain NaN either.
        if !(-HUGE..=HUGE).contains(&point.value) {
            self.unusable += 1;
            return Ok(());
        }
        let manifest = &mut self.run.manifest;
        if !manifest.arms.iter().any(|a| a.name == arm) {
            manifest.arms.push(Arm { name: arm.to_owned(), ..Arm::default() });
            self.unknown.insert(format!("arm {arm}"));
        }
        if !manifest.stages.iter().any(|s| s.name == quantity.stage) {
            manifest.stages.push(Stage { name: quantity.stage.clone(), ..Stage::default() });
            self.unknown.insert(format!("stage {}", quantity.stage));
        }
        if !manifest.labels.contains(&quantity.label) {
            manifest.labels.push(quantity.label.clone());
        }
        let names = [manifest.arms.len(), manifest.stages.len(), manifest.labels.len()];
        if names.iter().any(|n| *n > MOST_NAMES) || self.run.results.len() > MOST_QUANTITIES {
            let message =
                format!("more than {MOST_NAMES} arms, stages or labels, or {MOST_QUANTITIES} quantities");
            return Err(ReportError::content(file, line, message));
        }
        let measured = self.run.results.entry(quantity).or_default();
        // `> steps`: it took more than this.
        if let Some(unit) = unit.strip_prefix("> ") {
            if measured.unit.is_empty() {
                measured.unit = clean(unit);
            }
            let bounds = measured.bounds.entry(arm.to_owned()).or_default();
            bounds.insert(seed, point.value);
            return if bounds.len() > MOST_SEEDS {
                Err(ReportError::content(file, line, format!("more than {MOST_SEEDS} seeds")))
            } else {
                Ok(())
            };
        }
        if measured.unit.is_empty() {
            measured.unit = clean(unit);
        }
        let seeds = measured.by_arm.entry(arm.to_owned()).or_default();
        seeds.entry(seed).or_default().push(point);
        if seeds.len() > MOST_SEEDS {
            return Err(ReportError::content(file, line, format!("more than {MOST_SEEDS} seeds")));
        }
        Ok(())
    }

    fn finish(self) {
        let series =
            self.run.results.values_mut().flat_map(|m| m.by_arm.values_mut()).flat_map(|a| a.values_mut());
        for points in series {
            // Stable, so that of two numbers for one step the later row stays the later one.
            points.sort_by_key(|p| p.step.unwrap_or(u64::MAX));
        }
        if self.unusable > 0 {
            let warning = format!(
                "{} measured values were not finite (or beyond 1e30) and count as missing",
                self.unusable
            );
            self.run.warnings.push(warning);
        }
        if !self.unknown.is_empty() {
            let names: Vec<String> = self.unknown.into_iter().take(8).collect();
            self.run
                .warnings
                .push(format!("results.csv names what manifest.json does not: {}", names.join(", ")));
        }
    }
}

fn timings(run: &mut RunData, text: &str) -> Result<(), ReportError> {
    let file = "timings.csv";
    csv::read(file, text, &["stage", "arm", "seed", "seconds", "rate", "unit"], |line, f| {
        let rate = if f[4].is_empty() { None } else { Some(float(file, line, "rate", &f[4])?) };
        let seconds = float(file, line, "seconds", &f[3])?;
        if !(0.0..=HUGE).contains(&seconds) {
            return Ok(());
        }
        run.timings.push(Timing {
            stage: clean(&f[0]),
            arm: clean(&f[1]),
            seed: whole(file, line, "seed", &f[2])?,
            seconds,
            rate: rate.filter(|r| r.abs() <= HUGE),
            unit: clean(&f[5]),
        });
        Ok(())
    })
}

fn activity(run: &mut RunData, text: &str) -> Result<(), ReportError> {
    #[derive(Deserialize)]
    struct Whole {
        regions: Vec<Activity>,
    }
    let file = "activity.json";
    let whole: Whole = json(file, 0, text)?;
    for (entry, a) in whole.regions.iter().enumerate() {
        let wrong = |message: String| Err(ReportError::Entry { file: file.into(), entry, message });
        if a.mean_abs.len() != a.labels.len() {
            return wrong(format!("{} rows of mean_abs for {} labels", a.mean_abs.len(), a.labels.len()));
        }
        if let Some(row) = a.mean_abs.iter().find(|r| r.len() != a.units.len()) {
            return wrong(format!("{} values for {} units", row.len(), a.units.len()));
        }
        if a.mean_abs.iter().flatten().flatten().any(|v| !(0.0..=HUGE).contains(v)) {
            return wrong("a mean absolute activation is negative or beyond 1e30".into());
        }
    }
    if whole.regions.len() > MOST_ACTIVITY {
        return Err(ReportError::content(file, 1, format!("more than {MOST_ACTIVITY} entries")));
    }
    run.activity = whole.regions;
    Ok(())
}

fn prefixes(run: &mut RunData, text: &str) -> Result<(), ReportError> {
    #[derive(Deserialize)]
    struct Whole {
        prefixes: Vec<Prefix>,
    }
    let whole: Whole = json("prefixes.json", 0, text)?;
    if whole.prefixes.len() > MOST_ACTIVITY {
        let message = format!("more than {MOST_ACTIVITY} entries");
        return Err(ReportError::content("prefixes.json", 1, message));
    }
    run.prefixes = whole.prefixes;
    Ok(())
}

fn whole(file: &str, line: usize, column: &str, text: &str) -> Result<u64, ReportError> {
    let wrong =
        || ReportError::content(file, line, format!("{column} is {:?}, not a whole number", clean(text)));
    text.parse().ok().ok_or_else(wrong)
}

fn float(file: &str, line: usize, column: &str, text: &str) -> Result<f64, ReportError> {
    let wrong = || ReportError::content(file, line, format!("{column} is {:?}, not a number", clean(text)));
    text.parse().ok().ok_or_else(wrong)
}
