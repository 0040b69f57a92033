//! The answer: one line per arm, before anything is drawn.

use maud::{Markup, html};

use super::{keyed, sub};
use crate::RunData;
use crate::format::{MISSING, difference, percent_interval};
use crate::palette::looks;
use crate::run::judge::rule::Word;
use crate::run::judge::{Judged, Role, Versus, judge};
use crate::tables::Cell;
use crate::tables::answer::resists;

/// How a verdict is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// What the method set out to do held.
    Good,
    /// It held in part, or at a price.
    Mixed,
    /// It did not hold.
    Bad,
    /// Nothing can be said.
    Open,
    /// An arm that others are compared with.
    Reference,
}

impl Level {
    fn class(self) -> &'static str {
        match self {
            Level::Good => "good",
            Level::Mixed => "mixed",
            Level::Bad => "bad",
            Level::Open | Level::Reference => "open",
        }
    }
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AnswerRow {
    arm: String,
    /// The capability, where arms are judged for different ones.
    label: Option<String>,
    gap: Cell,
    retain: Cell,
    /// How long the worst attack took, or how much it brought back.
    back: Cell,
    against_filter: Cell,
    against_oracle: Cell,
    /// The verdict in a few words, with its symbol.
    word: String,
    level: Level,
    /// Why, one sentence each.
    sentences: Vec<String>,
    /// Attack, against filter, against oracle; where there are several attacks.
    attacks: Vec<[String; 3]>,
}

/// Most arms that are shown at once; those of a sweep unfold.
const SPOKEN: usize = 12;

/// The table, and what limits it.
pub(super) fn section(run: &RunData) -> Markup {
    let answer = answer(run);
    let (shown, more) = answer.rows.split_at(answer.rows.len().min(SPOKEN));
    let (near, far) = answer.caveats.split_at(answer.caveats.len().min(2));
    let limits = far.len() + run.warnings.len();
    html! {
        section.answer #answer aria-label="Answer" {
            @if !answer.overview.is_empty() { p.about { (answer.overview.join(" ")) } }
            @if let Some(targets) = crate::targets::overview(run) { p.about { a href="#targets" { (targets) } } }
            @if !shown.is_empty() { (table(run, shown)) }
            @if !more.is_empty() {
                details { summary { (more.len()) " more arms" } (table(run, more)) }
            }
            p.caveat {
                @if let Some(scale) = &answer.scale { (scale) " " }
                @for c in near { (c) " " }
            }
            @if limits > 0 {
                details open[limits == 1 || answer.rows.is_empty()] {
                    summary.caveat { "What else limits this (" (limits) ")" }
                    @for c in far { p.caveat { (c) } }
                    @for w in run.warnings.iter().take(20) { p.caveat { "While reading: " (w) "." } }
                }
            }
        }
    }
}

type Column = (&'static str, String, fn(&AnswerRow) -> &Cell);

fn table(run: &RunData, rows: &[AnswerRow]) -> Markup {
    let looks = looks(run);
    let [filter, control, cost] =
        [run.filter(), run.control(), run.filter().or(run.baseline())].map(Option::unwrap_or_default);
    let columns: [Column; 5] = [
        ("gap closed", "by the cut".to_owned(), |r| &r.gap),
        ("retain cost", format!("loss above {cost}"), |r| &r.retain),
        ("comes back", "under the worst attack".to_owned(), |r| &r.back),
        ("against filter", format!("resists longer than {filter}"), |r| &r.against_filter),
        ("against oracle", format!("resists longer than {control}"), |r| &r.against_oracle),
    ];
    let columns: Vec<Column> =
        columns.into_iter().filter(|c| rows.iter().any(|r| c.2(r).main != MISSING)).collect();
    html! {
        div.scroll tabindex="0" {
            table {
                thead { tr {
                    th.stick scope="col" { "arm" }
                    th scope="col" { "verdict" }
                    @for (head, small, _) in &columns { th scope="col" { (head) small { (small) } } }
                } }
                tbody { @for r in rows {
                    tr class=[(r.level == Level::Reference).then_some("reference")] {
                        th.stick scope="row" {
                            (keyed(run, &looks, &r.arm))
                            @if let Some(label) = &r.label { span.sub { (label) } }
                        }
                        td.word { (verdict(r, [filter, control])) }
                        @for (_, _, pick) in &columns { @let cell = pick(r); td.none[cell.main == MISSING] { (sub(cell)) } }
                    }
                } }
            }
        }
    }
}

fn verdict(r: &AnswerRow, [filter, control]: [&str; 2]) -> Markup {
    let word = html! { b class=(r.level.class()) { (r.word) } };
    html! {
        @if r.sentences.is_empty() { (word) } @else {
            details {
                summary { (word) }
                @for s in &r.sentences { p { (s) } }
                @if !r.attacks.is_empty() {
                    table.each {
                        thead { tr {
                            th scope="col" { "attack" }
                            th scope="col" { "against " (filter) }
                            th scope="col" { "against " (control) }
                        } }
                        tbody { @for [attack, a, b] in &r.attacks { tr { th scope="row" { (attack) } td { (a) } td { (b) } } } }
                    }
                }
            }
        }
    }
}

/// All that is said before anything is drawn.
struct Answer<'a> {
    rows: Vec<AnswerRow>,
    overview: &'a [String],
    scale: Option<&'a str>,
    caveats: &'a [String],
}

fn answer(run: &RunData) -> Answer<'_> {
    let j = judge(run);
    let several = j.arms.iter().any(|a| a.label != j.arms[0].label);
    let shown = j.arms.iter().filter(|a| a.role != Role::Fresh);
    let rows = shown.map(|a| row(run, a, several)).collect();
    Answer { rows, overview: &j.overview, scale: j.scale.as_deref(), caveats: &j.caveats }
}

fn row(run: &RunData, j: &Judged, several: bool) -> AnswerRow {
    let beside = |other: Option<&str>| other.and_then(|o| j.beside(o));
    let versus = |v: Option<&Versus>| v.map_or_else(missing, |v| split(&resists(v)));
    let own = j.role == Role::Judged;
    let gap = j.closed.filter(|_| own).map_or_else(missing, |s| split(&percent_interval(&s)));
    let unit = run.unit("loss");
    let cost = run.filter().or(run.baseline());
    let cost = j.retain.as_ref().filter(|r| cost == Some(r.against.as_str()));
    let retain = cost.map_or_else(missing, |r| split(&format!("{} {unit}", difference(&r.by))));
    AnswerRow {
        arm: j.arm.clone(),
        label: several.then(|| j.label.clone()),
        gap,
        retain,
        back: back(j),
        against_filter: versus(beside(run.filter())),
        against_oracle: versus(beside(run.control())),
        word: word(j),
        level: level(j),
        sentences: if own { j.sentences.clone() } else { Vec::new() },
        attacks: attacks(run, j),
    }
}

fn missing() -> Cell {
    MISSING.to_owned().into()
}

/// `+4 [−13, 5] steps` as a number with its interval below it.
fn split(text: &str) -> Cell {
    let parts = text.split_once(" [").and_then(|(main, rest)| Some((main, rest.split_once(']')?)));
    match parts {
        Some((main, (inside, unit))) => {
            Cell { main: format!("{main}{}", unit.trim_end()), sub: format!("[{inside}]") }
        }
        None => Cell::from(text.trim_end().to_owned()),
    }
}

/// Under the worst attack: steps where it takes steps, else the share of the gap that came back.
fn back(j: &Judged) -> Cell {
    let Some(worst) = j.worst.and_then(|w| j.attacks.get(w)) else { return missing() };
    let mut cell = match (&worst.steps_short, &worst.returned) {
        (Some(steps), _) => split(steps),
        (None, Some(share)) => split(&percent_interval(share)),
        (None, None) => return missing(),
    };
    if j.attacks.len() > 1 {
        let sub = format!("{} {}", cell.sub, worst.stage);
        sub.trim().clone_into(&mut cell.sub);
    }
    cell
}

fn attacks(run: &RunData, j: &Judged) -> Vec<[String; 3]> {
    if j.attacks.len() < 2 || j.role != Role::Judged {
        return Vec::new();
    }
    let of = |stage: &str, other: Option<&str>| {
        let found = j.versus.iter().find(|v| v.stage == stage && Some(v.other.as_str()) == other);
        found.map_or_else(|| MISSING.to_owned(), resists)
    };
    let row = |a: &crate::run::judge::Attacked| {
        [a.stage.clone(), of(&a.stage, run.filter()), of(&a.stage, run.control())]
    };
    j.attacks.iter().map(row).collect()
}

fn word(j: &Judged) -> String {
    match j.role {
        Role::Judged => format!("{} {}", j.word.symbol(), j.word.text()),
        Role::Baseline => "learnt it".to_owned(),
        Role::Control => "never had it".to_owned(),
        Role::Fresh => "never trained".to_owned(),
    }
}

fn level(j: &Judged) -> Level {
    match j.word {
        _ if j.role != Role::Judged => Level::Reference,
        Word::Removed => Level::Good,
        Word::GoneUntilAttacked | Word::Untested | Word::Damaged => Level::Mixed,
        Word::StillThere | Word::Hidden | Word::NotRemoved => Level::Bad,
        Word::Undecided | Word::Nothing | Word::NotJudged | Word::OneSeed => Level::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_stands_below_its_number() {
        let of = |t: &str| (split(t).main, split(t).sub);
        assert_eq!(of("+4 [−13, 5] steps"), ("+4 steps".into(), "[−13, 5]".into()));
        assert_eq!(of("≥ +4 steps"), ("≥ +4 steps".into(), String::new()));
        assert_eq!(of("93 % [90, 95]"), ("93 %".into(), "[90, 95]".into()));
    }
}
