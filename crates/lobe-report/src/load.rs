//! Reading a run directory that somebody else may have written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lobe_runs::{
    ActivityFile, Arm, AttackRow, Catalogue, ChartFile, Files, Manifest, Metric, PrefixFile, ResultRow,
    RunState, Stage, clean, from_json, lines, read_attacks, read_results, read_timings,
};

use crate::run::{Point, Quantity, RunData, Variant};
use crate::svg::plain_name;
use crate::{ReportError, samples};

/// Most different arms, stages or labels, so that a hostile file cannot ask for a gigabyte of HTML.
const MOST_NAMES: usize = 256;
/// Most seeds of one arm.
const MOST_SEEDS: usize = 1000;
/// Most bytes of a recipe, and of what one member says.
const RECIPE_LIMIT: u64 = 256 << 10;
const SAMPLES_LIMIT: u64 = 256 << 10;
/// Most bytes of charts: what is in memory takes several times as much.
const CHARTS_LIMIT: u64 = 32 << 20;
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
        let root = Files::open(dir)?;
        let Some(text) = root.read("manifest.json")? else {
            let source =
                std::io::Error::new(std::io::ErrorKind::NotFound, "no such file, is this a run directory?");
            let file = dir.join("manifest.json").display().to_string();
            return Err(ReportError::Io { file, source });
        };
        let mut run = RunData::default();
        run.manifest = Manifest::parse("manifest.json", &text)?;
        run.catalogue = match root.read("metrics.json")? {
            Some(text) => Catalogue::parse("metrics.json", &text)?,
            None => Catalogue::before_there_was_one(),
        };
        let names = [run.manifest.arms.len(), run.manifest.stages.len(), run.manifest.labels.len()];
        if names.iter().any(|n| *n > MOST_NAMES) {
            return Err(ReportError::content(
                "manifest.json",
                1,
                format!("more than {MOST_NAMES} arms, stages or labels"),
            ));
        }
        let mut reader = Rows { run: &mut run, unusable: 0, variants: 0, unknown: BTreeSet::new() };
        if let Some(text) = root.read("results.csv")? {
            reader.results(&text)?;
        }
        if let Some(text) = root.read("attacks.csv")? {
            read_attacks(&text, |line, row| reader.variant(("attacks.csv", line), row))?;
        }
        // A finished run has all its numbers there; what else lies in its folders belongs to another form of it.
        if reader.run.manifest.state != RunState::Done {
            reader.metrics(&root)?;
        }
        reader.finish();
        if let Some(text) = root.read("timings.csv")? {
            timings(&mut run, &text)?;
        }
        if let Some(text) = root.read("activity.json")? {
            activity(&mut run, &text)?;
        }
        if let Some(text) = root.read_up_to("charts.json", CHARTS_LIMIT)? {
            run.charts = ChartFile::parse("charts.json", &text)?.charts;
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

struct Rows<'a> {
    run: &'a mut RunData,
    unusable: usize,
    variants: usize,
    unknown: BTreeSet<String>,
}

impl Rows<'_> {
    fn results(&mut self, text: &str) -> Result<(), ReportError> {
        read_results(text, |line, row| self.add(("results.csv", line), row))
    }

    /// The members' own files fill in what `results.csv` does not have yet while a run is going on.
    fn metrics(&mut self, root: &Files) -> Result<(), ReportError> {
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
                self.member(&file, &text, (stage, &arm, seed))?;
            }
        }
        Ok(())
    }

    fn member(
        &mut self,
        file: &str,
        text: &str,
        (stage, arm, seed): (&str, &str, u64),
    ) -> Result<(), ReportError> {
        // A last line without a newline is still being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (at, line) in whole.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let Metric { step, label, metric, value, unit } = from_json(file, at, line)?;
            // `train:loss` is a number about another stage's model; results.csv has it under that stage.
            if metric.contains(':') {
                continue;
            }
            let [label, metric, unit] = [label, metric, unit].map(|t| clean(&t));
            let (stage, arm) = (stage.to_owned(), arm.to_owned());
            self.add((file, at + 1), ResultRow { stage, arm, seed, label, metric, step, value, unit })?;
        }
        Ok(())
    }

    /// A number of one variant of an attack.
    fn variant(&mut self, (file, line): (&str, usize), row: AttackRow) -> Result<(), ReportError> {
        let AttackRow { start, settings, row, .. } = row;
        // `results.csv` has the same number under the variant's name, where unusable ones are counted.
        if !(-HUGE..=HUGE).contains(&row.value) {
            return Ok(());
        }
        let quantity = Quantity { stage: row.stage, metric: row.metric, label: row.label };
        let all = self.run.variants.entry(quantity).or_default();
        let measured = all.entry(Variant { start, settings }).or_default();
        self.variants += usize::from(measured.by_arm.is_empty() && measured.bounds.is_empty());
        if self.variants > MOST_QUANTITIES {
            return Err(ReportError::content(file, line, format!("more than {MOST_QUANTITIES} quantities")));
        }
        let seeds = measured.add(row.arm, row.seed, Point { step: row.step, value: row.value }, &row.unit);
        if seeds > MOST_SEEDS {
            return Err(ReportError::content(file, line, format!("more than {MOST_SEEDS} seeds")));
        }
        Ok(())
    }

    fn add(&mut self, (file, line): (&str, usize), row: ResultRow) -> Result<(), ReportError> {
        // A range does not contain NaN either.
        if !(-HUGE..=HUGE).contains(&row.value) {
            self.unusable += 1;
            return Ok(());
        }
        let refuse = |what: String| Err(ReportError::content(file, line, format!("more than {what}")));
        self.name(&row);
        let m = &self.run.manifest;
        let names = [m.arms.len(), m.stages.len(), m.labels.len()];
        if names.iter().any(|n| *n > MOST_NAMES) || self.run.results.len() > MOST_QUANTITIES {
            return refuse(format!("{MOST_NAMES} arms, stages or labels, or {MOST_QUANTITIES} quantities"));
        }
        let quantity = Quantity { stage: row.stage, metric: row.metric, label: row.label };
        let measured = self.run.results.entry(quantity).or_default();
        let seeds = measured.add(row.arm, row.seed, Point { step: row.step, value: row.value }, &row.unit);
        if seeds > MOST_SEEDS { refuse(format!("{MOST_SEEDS} seeds")) } else { Ok(()) }
    }

    /// Appends to the manifest what it does not name.
    fn name(&mut self, row: &ResultRow) {
        let manifest = &mut self.run.manifest;
        if !manifest.arms.iter().any(|a| a.name == row.arm) {
            manifest.arms.push(Arm { name: row.arm.clone(), ..Arm::default() });
            self.unknown.insert(format!("arm {}", row.arm));
        }
        if !manifest.stages.iter().any(|s| s.name == row.stage) {
            manifest.stages.push(Stage { name: row.stage.clone(), ..Stage::default() });
            self.unknown.insert(format!("stage {}", row.stage));
        }
        if !manifest.labels.contains(&row.label) {
            manifest.labels.push(row.label.clone());
        }
    }

    fn finish(self) {
        let RunData { results, variants, .. } = &mut *self.run;
        let all = results.values_mut().chain(variants.values_mut().flat_map(BTreeMap::values_mut));
        let series = all.flat_map(|m| m.by_arm.values_mut()).flat_map(BTreeMap::values_mut);
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
    read_timings(text, |_, mut row| {
        row.rate = row.rate.filter(|r| r.abs() <= HUGE);
        if (0.0..=HUGE).contains(&row.seconds) {
            run.timings.push(row);
        }
        Ok(())
    })
}

fn activity(run: &mut RunData, text: &str) -> Result<(), ReportError> {
    let file = "activity.json";
    let whole: ActivityFile = from_json(file, 0, text)?;
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
    let whole: PrefixFile = from_json("prefixes.json", 0, text)?;
    if whole.prefixes.len() > MOST_ACTIVITY {
        let message = format!("more than {MOST_ACTIVITY} entries");
        return Err(ReportError::content("prefixes.json", 1, message));
    }
    run.prefixes = whole.prefixes;
    Ok(())
}
