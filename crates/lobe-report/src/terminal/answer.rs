//! The answer in one screen: one table, one line an arm, and what limits it.

use super::{Style, ascii, section_table, wrap};
use crate::format::{MISSING, number, percent, shorten};
use crate::run::judge::rule::Word;
use crate::run::judge::{Judged, Judgement, Measure, Role, Versus, judge};
use crate::stats::{Side, Summary};
use crate::tables::answer::{answer as table, resists};
use crate::tables::{Cell, Table};
use crate::{RunData, RunState};

/// Most lines the answer takes.
pub(super) const LINES: usize = 25;
/// From this width on cells carry their intervals.
const ROOMY: usize = 128;
/// Most arms in the table; the page has them all.
const ROWS: usize = 12;
/// Longest text of a cell where there is little room.
const LONGEST: usize = 30;
/// Most arms that get a sentence.
const SPOKEN: usize = 5;

/// What the run comes to, at most 25 lines and `width` characters wide.
pub fn answer(run: &RunData, width: usize, style: Style) -> String {
    let width = width.clamp(40, 400);
    let judgement = judge(run);
    let m = &run.manifest;
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let known = Some(m.state).filter(|s| *s != RunState::Unknown);
    let state = known.map_or_else(String::new, |s| format!(", {}", s.word()));
    let head = format!("{}: {}, {}{state}", m.name, count(m.arms.len(), "arm"), count(m.seeds.len(), "seed"));
    let mut out = wrap(&head, width);
    let shown = shown(judgement);
    let left = judgement.arms.len() - shown.arms.len();
    let drawn = if width >= ROOMY { table(run, &shown) } else { narrow(run, &shown) };
    if !drawn.rows.is_empty() {
        out += &fitting(&drawn, width, style);
        out += &key(run, width);
    }
    let mut words: Vec<String> = judgement.overview.clone();
    if left > 0 {
        words.push(format!("{left} more arms are in the report."));
    }
    let own: Vec<&Judged> = judgement.arms.iter().filter(|j| j.role == Role::Judged).collect();
    if own.len() <= SPOKEN && judgement.overview.is_empty() {
        let first = |j: &&Judged| Some(format!("{}: {}", j.arm, j.sentences.first()?));
        words.extend(own.iter().filter_map(first));
    }
    let text: String = words
        .iter()
        .chain(&crate::targets::overview(run))
        .chain(&judgement.scale)
        .chain(&judgement.caveats)
        .map(|w| wrap(w, width))
        .collect();
    let whole = out + &text;
    let whole = match style {
        Style::Unicode => whole,
        Style::Ascii => ascii(&whole),
    };
    cut(&whole)
}

/// The table with as many of its columns as the width holds.
fn fitting(table: &Table, width: usize, style: Style) -> String {
    let mut columns: Vec<usize> = (0..table.header.len()).collect();
    loop {
        let text = section_table(&table.pick(&columns), width, style);
        if columns.len() < 3 || text.lines().all(|l| l.chars().count() <= width) {
            return text;
        }
        // Arm, verdict and what stands last are worth most.
        columns.remove(2);
    }
}

/// The rows that fit: the judged arms whose word claims most, then the references.
fn shown(judgement: &Judgement) -> Judgement {
    let mut arms = judgement.arms.clone();
    if arms.len() > ROWS {
        let references = arms.iter().filter(|j| j.role != Role::Judged).count();
        let keep = ROWS.saturating_sub(references);
        let mut own: Vec<Judged> = arms.iter().filter(|j| j.role == Role::Judged).cloned().collect();
        let undecided = |j: &Judged| matches!(j.word, Word::Undecided | Word::NotJudged | Word::OneSeed);
        // What is decided is worth more of a screen than what is not.
        own.sort_by_key(|j| (undecided(j), std::cmp::Reverse(j.word)));
        own.truncate(keep);
        let names: Vec<&str> = own.iter().map(|j| j.arm.as_str()).collect();
        arms.retain(|j| j.role != Role::Judged || names.contains(&j.arm.as_str()));
    }
    Judgement { arms, ..judgement.clone() }
}

/// Means alone, with a mark where the seeds do not decide.
fn narrow(run: &RunData, judgement: &Judgement) -> Table {
    let mut out = table(run, judgement);
    let rows = judgement.arms.iter().filter(|j| j.role != Role::Fresh);
    for (j, cells) in rows.zip(&mut out.rows) {
        for (name, cell) in out.header.iter().zip(cells.iter_mut()) {
            cell.sub.clear();
            cell.main = shorten(&cell.main, LONGEST);
            if cell.main == MISSING {
                continue;
            }
            match name.as_str() {
                "gap closed" => {
                    if let Some(s) = &j.closed {
                        cell.main = format!("{} %", percent(s.mean));
                    }
                }
                name if name.starts_with("retain") => {
                    if let Some(r) = &j.retain {
                        cell.main = signed(&r.by);
                    }
                }
                name => {
                    if let Some(v) = name.strip_prefix("vs ").and_then(|o| j.beside(o)) {
                        *cell = Cell::from(short(v));
                    }
                }
            }
        }
    }
    for h in &mut out.header {
        *h = h.replace("comes back after", "back after").replace("retain loss − ", "retain − ");
    }
    // The widest column last: what comes back is in the sentences as well.
    if let Some(at) = out.header.iter().position(|h| h == "back after") {
        let keep: Vec<usize> = (0..out.header.len()).filter(|i| *i != at).collect();
        out = out.pick(&keep);
    }
    out
}

fn undecided(s: &Summary) -> &'static str {
    if s.beyond(0.0) == Some(Side::Either) { " ?" } else { "" }
}

fn signed(s: &Summary) -> String {
    format!("{}{}{}", if s.mean > 0.0 { "+" } else { "" }, number(s.mean), undecided(s))
}

fn short(v: &Versus) -> String {
    if v.by.interval.is_none() {
        return resists(v);
    }
    let rounded = match v.measure {
        Measure::Steps => v.by,
        Measure::Share => v.by.scaled(100.0),
    };
    let mean = (rounded.mean * 10.0).round() / 10.0;
    let unit = if v.measure == Measure::Steps { "steps" } else { "points" };
    let least = if v.bounded { "≥ " } else { "" };
    format!("{least}{}{} {unit}{}", if mean > 0.0 { "+" } else { "" }, number(mean), undecided(&v.by))
}

/// How to read the columns.
fn key(run: &RunData, width: usize) -> String {
    let filter = run.filter().map_or_else(String::new, |f| format!("{f} and "));
    let Some(control) = run.control() else { return String::new() };
    let text = format!(
        "vs {filter}{control}: how much longer it resists the worst attack, or how many points of the gap less are there after it, paired by seed{}.",
        if width >= ROOMY { " [95 % interval]" } else { "; ?: the seeds do not decide" }
    );
    wrap(&text, width)
}

/// At most [`LINES`] lines.
fn cut(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() <= LINES {
        return lines.iter().flat_map(|l| [l, "\n"]).collect();
    }
    let kept = lines[..LINES - 1].iter().flat_map(|l| [*l, "\n"]);
    kept.chain([if text.is_ascii() { "...\n" } else { "…\n" }]).collect()
}
