//! The report's text twin, for a terminal or a log: [`answer`] in a screen, [`render`] with every number.

mod answer;

use comfy_table::{ContentArrangement, LineStyle, TableStyle};

use crate::RunData;
use crate::figures;
use crate::format::{MISSING, number, share, shorten};
use crate::ranking;
use crate::run::judge::rule::RETAIN_TOLERANCE;
use crate::run::judge::steps::forgotten;
use crate::run::judge::{Judged, Role, judge};
use crate::run::matrix::Matrix;
use crate::stats::mean;
use crate::tables::answer::resists;
use crate::tables::{self, Table};
use crate::targets;

pub use answer::answer;

/// What the output may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Rules and curves drawn with Unicode characters.
    Unicode,
    /// ASCII only, for pipes and logs.
    Ascii,
}

/// All of it as text: the answer, a paragraph an arm, and every table; at most `width` characters wide where words allow it.
pub fn render(run: &RunData, width: usize, style: Style) -> String {
    let width = width.clamp(40, 400);
    let mut out = answer(run, width, style);
    let judgement = judge(run);
    for judged in judgement.arms.iter().filter(|j| j.role == Role::Judged) {
        out.push('\n');
        out.push_str(&wrap(&format!("{}: {}", judged.arm, judged.sentences.join(" ")), width));
    }
    for line in &run.warnings {
        out.push_str(&wrap(line, width));
    }
    // With a matrix the numbers of single attacks are left to the page.
    let attacks = run.attack_stages();
    let matrix = run.matrix().filter(|m| m.attacks.len() > 1);
    let targets = targets::table(run);
    if !targets.rows.is_empty() {
        let title = "Targets: published numbers beside the measured ones";
        section(&mut out, title, &targets, width, style);
    }
    against(&mut out, &judgement.arms, width, style);
    if let Some(m) = matrix {
        recoveries(&mut out, m, width, style);
        ranked(&mut out, run, m, width, style);
    } else {
        for stage in &attacks {
            relearning(&mut out, run, stage, width, style);
        }
    }
    for stage in run.stages().filter(|s| matrix.is_none() || !attacks.contains(s)) {
        let mut table = tables::finals(run, stage).0;
        // Differences are left to the page: a terminal is too narrow.
        table.rows.iter_mut().flat_map(|r| r.iter_mut().skip(table.heads)).for_each(|c| c.sub.clear());
        for part in columns(&table, width) {
            section(
                &mut out,
                &format!("Final numbers of stage {stage}, mean [95 % interval]"),
                &part,
                width,
                style,
            );
        }
    }
    for part in columns(&tables::costs(run), width) {
        section(&mut out, "Cost of one member, mean over seeds", &part, width, style);
    }
    for missing in figures::all(run).1 {
        out.push_str(&wrap(&format!("Not shown: {} ({}).", missing.what, missing.why), width));
    }
    match style {
        Style::Unicode => out,
        Style::Ascii => ascii(&out),
    }
}

/// Every attack on every arm, held against filter and control.
fn against(out: &mut String, judged: &[Judged], width: usize, style: Style) {
    let rows: Vec<Vec<tables::Cell>> = (judged.iter())
        .flat_map(|j| j.versus.iter().map(move |v| (j, v)))
        .map(|(j, v)| {
            [j.arm.as_str(), &v.stage, &v.other]
                .map(|s| s.to_owned().into())
                .into_iter()
                .chain([resists(v).into()])
                .collect()
        })
        .collect();
    if !rows.is_empty() {
        let header = ["arm", "attack", "against", "resists better by"].map(String::from).to_vec();
        section(
            out,
            "Resistance beside filter and control, paired by seed",
            &Table { header, heads: 3, rows },
            width,
            style,
        );
    }
}

/// Arms × attacks, as many attacks at a time as fit.
fn recoveries(out: &mut String, m: &Matrix, width: usize, style: Style) {
    const COLUMN: usize = 11;
    let columns: Vec<usize> = (0..=m.attacks.len()).collect();
    let fit = (width.saturating_sub(24) / (COLUMN + 3)).max(1);
    for part in columns.chunks(fit) {
        let mut header = vec!["arm".to_owned()];
        header.extend(part.iter().map(|i| shorten(m.column(*i), COLUMN)));
        let row = |r: &crate::run::matrix::Row| {
            let mark = if r.damaged { " !" } else { "" };
            let cell = |i: &usize| {
                let cell = r.cells.get(*i).and_then(Option::as_ref);
                tables::Cell::from(cell.map_or_else(|| MISSING.to_owned(), |c| share(c.recovery.mean)))
            };
            let name = tables::Cell::from(shorten(&r.arm, 18) + mark);
            std::iter::once(name).chain(part.iter().map(cell)).collect()
        };
        let table = Table { header, heads: 1, rows: m.rows.iter().map(row).collect() };
        section(
            out,
            "Recovery: 0 as ignorant as the control, 1 as able as the baseline",
            &table,
            width,
            style,
        );
    }
    if m.rows.iter().any(|r| r.damaged) {
        let text = format!(
            "!: retain loss more than {:.0} % above that of every reference, so low recovery may mean a damaged model.",
            RETAIN_TOLERANCE * 100.0
        );
        out.push_str(&wrap(&text, width));
    }
}

fn ranked(out: &mut String, run: &RunData, m: &Matrix, width: usize, style: Style) {
    let mut table = ranking::worst_cases(run, m);
    for cell in table.rows.iter_mut().flatten() {
        cell.sub.clear();
    }
    // As many of the leading columns as fit.
    let keep: Vec<usize> = (0..table.header.len().min((width.saturating_sub(12) / 17).max(3))).collect();
    section(out, "Worst case of each arm, the most robust first", &table.pick(&keep), width, style);
    let mut costs = ranking::attack_costs(run, m);
    for cell in costs.rows.iter_mut().flatten() {
        cell.sub.clear();
    }
    section(out, "What the attacks cost, means over arms and seeds", &costs, width, style);
}

fn relearning(out: &mut String, run: &RunData, stage: &str, width: usize, style: Style) {
    let steps = tables::steps(run, stage);
    if steps.rows.is_empty() {
        return;
    }
    let mut table = steps.clone();
    table.header.push("loss during the attack".into());
    let measured = forgotten(run, stage, run.attack_metric(stage));
    let room = width.saturating_sub(62).clamp(8, 40);
    let curves: Vec<Vec<f64>> = (table.rows.iter())
        .map(|row| measured.map_or_else(Vec::new, |m| resampled(&m.curves(&row[0].main), room)))
        .collect();
    let range = crate::stats::extent(curves.iter().flatten().copied());
    for (row, curve) in table.rows.iter_mut().zip(&curves) {
        let line = match (style, range, curve.first().zip(curve.last())) {
            (_, _, None) | (_, None, _) => String::new(),
            (Style::Unicode, Some(range), Some((a, b))) => {
                format!("{} {} → {}", sparkline(curve, range), number(*a), number(*b))
            }
            (Style::Ascii, _, Some((a, b))) => format!("{} -> {}", number(*a), number(*b)),
        };
        row.push(line.into());
    }
    section(out, &format!("Attack {stage}: steps until the baseline's loss is back"), &table, width, style);
}

/// Mean over seeds, read off at `n` evenly spaced places.
fn resampled(curves: &[(u64, Vec<(f64, f64)>)], n: usize) -> Vec<f64> {
    let last = curves.iter().filter_map(|(_, c)| Some(c.last()?.0)).fold(0.0, f64::max);
    let at = |i: usize| {
        let step = last * i as f64 / (n - 1).max(1) as f64;
        let seen = |c: &Vec<(f64, f64)>| {
            c.iter().take_while(|p| p.0 <= step + 1e-9).last().or(c.first()).map(|p| p.1)
        };
        mean(&curves.iter().filter_map(|(_, c)| seen(c)).collect::<Vec<_>>())
    };
    (0..n).filter_map(at).collect()
}

fn sparkline(values: &[f64], (low, high): (f64, f64)) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |v: &f64| {
        let share = if high > low { (v - low) / (high - low) } else { 0.5 };
        BARS[((share * 7.0).round() as usize).min(7)]
    };
    values.iter().map(bar).collect()
}

/// Splits a table with many arms into tables that fit, each with the row headings.
fn columns(table: &Table, width: usize) -> Vec<Table> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    // A heading takes about 16 characters, `1.234 [1.234, 1.234]` and its space take 23.
    let fit = (width.saturating_sub(table.heads * 16) / 23).max(1);
    let arms: Vec<usize> = (table.heads..table.header.len()).collect();
    let heads: Vec<usize> = (0..table.heads).collect();
    arms.chunks(fit).map(|group| table.pick(&[&heads[..], group].concat())).collect()
}

fn section(out: &mut String, title: &str, table: &Table, width: usize, style: Style) {
    out.push_str(&format!("\n{title}\n{}", section_table(table, width, style)));
}

/// A table, no wider than `width`.
fn section_table(table: &Table, width: usize, style: Style) -> String {
    let rule = if style == Style::Unicode { '─' } else { '-' };
    let mut drawn = comfy_table::Table::new();
    drawn
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill(rule).junction(rule)))
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width as u16)
        .set_header(table.header.iter().map(|h| shorten(h, 28)).collect::<Vec<_>>());
    for row in &table.rows {
        let show = |(i, c): (usize, &tables::Cell)| match (c.sub.is_empty(), i < table.heads) {
            (true, _) => c.main.clone(),
            (false, true) => format!("{} ({})", c.main, c.sub),
            (false, false) => format!("{}\n{}", c.main, c.sub),
        };
        drawn.add_row(row.iter().enumerate().map(show).collect::<Vec<_>>());
    }
    format!("{}\n", drawn.trim_fmt())
}

/// Breaks at spaces; a word longer than the line stays whole.
fn wrap(text: &str, width: usize) -> String {
    let (mut out, mut used) = (String::new(), 0);
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if used > 0 && used + 1 + n > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += n;
    }
    out.push('\n');
    out
}

/// Our own signs in ASCII; other characters, which come from names, become question marks.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // 2.5×10⁻³ is 2.5e-3 there.
    for c in text.replace("×10", "\u{1}").chars() {
        match c {
            '−' | '—' | '⁻' | '–' => out.push('-'),
            '\u{1}' => out.push('e'),
            '⁰' => out.push('0'),
            '¹' => out.push('1'),
            '²' => out.push('2'),
            '³' => out.push('3'),
            '⁴'..='⁹' => out.push(char::from(b'4' + (c as u32 - '⁴' as u32) as u8)),
            'Δ' => out.push('d'),
            '✓' => out.push('+'),
            '◐' => out.push('o'),
            '▲' => out.push('!'),
            '≥' => out.push_str(">="),
            '…' => out.push('~'),
            '✗' | '×' => out.push('x'),
            '→' => out.push_str("->"),
            '·' => out.push('.'),
            c if c.is_ascii() => out.push(c),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sparklines_span_their_range() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 7.0], (0.0, 7.0)), "▁▂▃█");
        assert_eq!(sparkline(&[3.0], (3.0, 3.0)), "▅");
    }

    #[test]
    fn wrapping_keeps_words() {
        assert_eq!(wrap("aa bb cc", 5), "aa bb\ncc\n");
        assert_eq!(wrap("", 5), "\n");
    }
}
