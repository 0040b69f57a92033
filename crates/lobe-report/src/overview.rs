//! All arms under all attacks in words: who is ahead, and how many beat the control.

use crate::RunData;
use crate::format::share_interval;
use crate::matrix::{Group, Matrix, RETAIN_TOLERANCE, Row, Standing, Worst, standing};

/// All arms under all attacks in a few sentences.
pub(crate) fn overview(run: &RunData, m: &Matrix) -> Vec<String> {
    let ranked: Vec<_> = m.ranked().into_iter().filter(|(r, _)| r.group != Group::Reference).collect();
    let Some((best, worst)) = ranked.iter().find(|(r, _)| !r.damaged) else { return Vec::new() };
    let arms = if ranked.len() == 1 { "1 arm".to_owned() } else { format!("{} arms", ranked.len()) };
    let attacks =
        if m.attacks.len() == 1 { "1 attack".to_owned() } else { format!("{} attacks", m.attacks.len()) };
    let mut out = vec![format!(
        "{arms} met {attacks}{}. {}",
        fewer(&ranked, m.attacks.len()),
        first(m, &ranked, best, worst)
    )];
    let broken = ranked.iter().filter(|(r, _)| r.damaged).count();
    if let Some(control) = run.control() {
        let judged = |s| {
            let same = |r: &&(&Row, Worst<'_>)| {
                !r.0.damaged && m.beside(r.0, control).is_some_and(|(a, b)| standing(&a, &b) == Some(s))
            };
            ranked.iter().filter(same).count()
        };
        let [beat, alike, worse] = [Standing::Beats, Standing::Alike, Standing::Worse].map(judged);
        if beat + alike + worse > 0 {
            out.push(format!(
                "Against {control} under the same attacks: {beat} beat it, {alike} cannot be told from it, {worse} are worse."
            ));
        }
        if broken > 0 {
            out.push(format!(
                "Not counted: {broken} with a retain loss more than {:.0} % above that of {control}; a broken model resists \
                 everything.",
                RETAIN_TOLERANCE * 100.0
            ));
        }
    }
    out
}

/// That some arms met fewer attacks than there are.
fn fewer(ranked: &[(&Row, Worst<'_>)], attacks: usize) -> String {
    match ranked.iter().filter(|(r, _)| r.attacks() < attacks).count() {
        0 => String::new(),
        n => format!(", {n} of them not all"),
    }
}

/// Which arm is ahead of all others, if there are others and one is: under what both met, less comes back
/// of it than of each of them.
fn first(m: &Matrix, ranked: &[(&Row, Worst<'_>)], best: &Row, worst: &Worst<'_>) -> String {
    let arm = &best.arm;
    let at_worst = format!(
        "at worst ({}) its recovery is {}",
        m.column(worst.column),
        share_interval(&worst.cell.recovery)
    );
    let others: Vec<&Row> =
        ranked.iter().map(|(r, _)| *r).filter(|r| !r.damaged && r.arm != best.arm).collect();
    let beside = |other: &&Row| {
        let (a, b) = best.worst_beside(other).zip(other.worst_beside(best))?;
        standing(&a, &b)
    };
    let count = |s| others.iter().filter(|o| beside(o) == Some(s)).count();
    let (behind, alike) = (count(Standing::Beats), count(Standing::Alike));
    if others.is_empty() {
        let only = ranked.iter().any(|(r, _)| r.damaged);
        return if only {
            format!("The only one to keep its retain loss is {arm}: {at_worst}.")
        } else {
            format!("Of {arm} {at_worst}.")
        };
    }
    if behind == others.len() {
        return format!("The most robust is {arm}: {at_worst}.");
    }
    let them = |n: usize| if n == 1 { "1 other".to_owned() } else { format!("{n} others") };
    let mut out = format!("The lowest worst case is that of {arm}: {at_worst}");
    if alike > 0 {
        out += &format!("; {} cannot be told from it", them(alike));
    }
    if behind + alike < others.len() {
        out += &format!("; of {} this run cannot say", them(others.len() - behind - alike));
    }
    out + "."
}
