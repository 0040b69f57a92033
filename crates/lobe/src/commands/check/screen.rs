//! What a recipe leads to, on one screen.

use anyhow::Result;
use lobe_core::{LabelId, RouteTable, Target};
use lobe_data::Counts;

use lobe_lab::advice;
use lobe_lab::plan::Experiment;
use lobe_lab::recipe::ArmData;
use lobe_lab::schedule::estimate;
use lobe_nets::hub;
use serde_json::{Value, json};

use crate::describe::{indent, route};
use crate::out;
use crate::progress::duration;
use crate::table::{columns, counted, grouped, wrap};

/// Widest line.
const WIDTH: usize = 100;

/// The screen.
pub(super) fn text(x: &Experiment) -> Result<String> {
    let width = out::width().min(WIDTH);
    let mut out = data(x, width);
    out += &model(x, width);
    out += &arms(x, width)?;
    out += &section("Stages", &wrap(&stages(x), width, 2));
    out += &section("Time", &wrap(&time(x), width, 2));
    // Remarks on the data, such as held-out documents that are training documents as well, come first.
    let data = x.data.notes.iter().map(|note| remark(true, note, width));
    let said: String = data.chain(advice(x).iter().map(|a| remark(a.warning, &a.text, width))).collect();
    if !said.is_empty() {
        out += &section("Before you run it", &said);
    }
    Ok(out)
}

/// The same for programs.
pub(super) fn json(x: &Experiment) -> Value {
    let said: Vec<Value> =
        advice(x).iter().map(|a| json!({ "warning": a.warning, "text": a.text })).collect();
    json!({ "census": x.data.census(), "advice": said, "export": formats(x).ok(), "seen": seen_json(x) })
}

fn section(heading: &str, body: &str) -> String {
    format!("\n{}\n{body}", out::bold(heading))
}

fn remark(warning: bool, text: &str, width: usize) -> String {
    let (word, style) = if warning { ("warning", out::OPEN) } else { ("note", anstyle::Style::new()) };
    wrap(&format!("{word}: {text}"), width, 2).replacen(word, &out::styled(style, word), 1)
}

/// Classes × documents, sequences and targets, vocabulary and epochs.
fn data(x: &Experiment, width: usize) -> String {
    let census = x.data.census();
    let images = census.vocab == 0;
    let one = if x.data.unit() == "pixel" { "image" } else { "row" };
    let row = |name: &str, train: Counts, test: Counts| {
        let counts = if images {
            vec![train.documents, test.documents]
        } else {
            vec![train.documents, train.sequences, train.targets, test.documents, test.targets]
        };
        std::iter::once(name.to_owned()).chain(counts.into_iter().map(grouped)).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = census.classes.iter().map(|c| row(&c.class, c.train, c.test)).collect();
    if rows.len() > 1 {
        let (train, test) = census.total();
        rows.push(row("all", train, test));
    }
    let heading: &[&str] = if images {
        &["class", &format!("{one}s"), "held out"]
    } else {
        &["class", "documents", "sequences", "targets", "held-out documents", "targets"]
    };
    let t = &x.recipe.train;
    let epochs = census.epochs(t.steps, t.batch);
    let mut facts = format!(
        "{} of {}: {} over the training data",
        counted(t.steps as usize, "step"),
        if images { counted(t.batch, one) } else { counted(t.batch, "sequence") },
        if epochs < 0.1 { format!("{epochs:.2} epochs") } else { format!("{epochs:.1} epochs") }
    );
    if !images {
        facts = format!("vocabulary of {}; {facts}", counted(census.vocab, "token"));
    }
    let table = indent(&columns(heading, &rows, 1));
    section(&format!("Data: {}", x.recipe.data.kind), &(table + &wrap(&facts, width, 2)))
}

/// Formats of other tools that can hold the network, or why none can.
fn formats(x: &Experiment) -> Result<&'static str, String> {
    let Some(net) = hub::transformer(&*x.net) else {
        return Err(format!("only Lobe's own format holds networks of the kind {}", x.net.kind()));
    };
    hub::Format::of(&net.config).map(hub::Format::name).map_err(|e| e.to_string())
}

fn model(x: &Experiment, width: usize) -> String {
    let layout = x.layout();
    let parameters = layout.len();
    let mut facts = counted(parameters, "parameter");
    if x.data.vocab > 0 {
        let (train, _) = x.data.census().total();
        facts += &format!("; {} per parameter", ratio(train.targets, parameters));
    }
    facts += &match formats(x) {
        Ok(name) => format!("; exports as {name} (Hugging Face) and in Lobe's own format"),
        Err(why) => format!("; exports in Lobe's own format only: {why}"),
    };
    let mut out = wrap(&facts, width, 2);
    for r in &x.recipe.regions {
        if let Ok(s) = x.region(&r.name) {
            let own = layout.count_owned(&s);
            let text = format!(
                "region {}: {}, {} ({} % of all): {}",
                r.name,
                counted(s.count(), "unit"),
                counted(own, "parameter"),
                percent(own as f64 / parameters.max(1) as f64),
                r.text
            );
            out += &wrap(&text, width, 2);
        }
    }
    section(&format!("Model: {}", x.recipe.model.kind), &out)
}

fn ratio(targets: usize, parameters: usize) -> String {
    let r = targets as f64 / parameters.max(1) as f64;
    if r < 1.0 { format!("{r:.2} training targets") } else { format!("{r:.1} training targets") }
}

/// `43`, `4.2`, `0.1`; a share that is not quite nothing is not called 0.
fn percent(share: f64) -> String {
    let p = 100.0 * share;
    match p {
        0.0 => "0".to_owned(),
        p if p < 0.1 => "<0.1".to_owned(),
        p if p < 10.0 => format!("{p:.1}"),
        p => format!("{p:.0}"),
    }
}

/// Share of the training targets by label, as an arm's labeller sees them with the first seed; `None` for what it
/// does not train on.
fn seen(x: &Experiment, arm: usize) -> Option<Vec<Option<f64>>> {
    let a = &x.arms[arm];
    if a.arm.data == ArmData::Nothing || (a.arm.from.is_some() && a.arm.is_profile()) {
        return None;
    }
    let labels = x.labels_of(arm, x.recipe.seeds.first().copied().unwrap_or(0)).ok()?;
    let mut kept = vec![0usize; x.labels.len()];
    let mut all = 0;
    for (i, label) in labels.label.iter().enumerate() {
        let targets = x.data.train.targets(i);
        all += targets;
        if x.keeps(arm, x.train_truth[i], *label) {
            kept[label.index()] += targets;
        }
    }
    let share = |n: &usize| (*n > 0).then(|| *n as f64 / all.max(1) as f64);
    Some(kept.iter().map(share).collect())
}

fn seen_json(x: &Experiment) -> Value {
    let one = |i: usize| {
        let shares = seen(x, i).map(|s| {
            let by_label = x.labels.names().iter().zip(s).filter_map(|(n, v)| Some((n.clone(), json!(v?))));
            by_label.collect::<serde_json::Map<_, _>>()
        });
        (x.arms[i].arm.name.clone(), json!(shares))
    };
    Value::Object((0..x.arms.len()).map(one).collect())
}

/// What differs from ordinary training, in one line: `forget: elsewhere 1 1 0; retain: spanish 0 - -`.
fn routes(x: &Experiment, table: &RouteTable, regions: &[String]) -> String {
    let mut out: Vec<String> = Vec::new();
    for (i, label) in x.labels.names().iter().enumerate() {
        let label_id = LabelId(i as u8);
        let mut parts = Vec::new();
        let targets = (0..regions.len()).map(|r| (regions[r].as_str(), Target::Region(r as u8)));
        for (name, target) in targets.chain([("elsewhere", Target::Elsewhere)]) {
            let r = table.get(label_id, target);
            if !r.is_plain() {
                parts.push(format!("{name} {}", route(r, false)));
            }
        }
        if !parts.is_empty() {
            out.push(format!("{label}: {}", parts.join(", ")));
        }
    }
    out.join("; ")
}

/// What each arm trains on and how: a row each.
fn arms(x: &Experiment, width: usize) -> Result<String> {
    let labels: Vec<usize> = (0..x.labels.len())
        .filter(|l| (0..x.arms.len()).any(|i| seen(x, i).is_some_and(|s| s[*l].is_some())))
        .collect();
    let mut heading = vec!["arm".to_owned(), "method".to_owned()];
    heading.extend(labels.iter().map(|l| x.labels.names()[*l].clone()));
    heading.push("routes other than 1 1 1".to_owned());
    let mut rows = Vec::new();
    for (i, a) in x.arms.iter().enumerate() {
        let shares = seen(x, i);
        let mut row = vec![a.arm.name.clone(), a.arm.method.clone()];
        row.extend(labels.iter().map(|l| match shares.as_ref().and_then(|s| s[*l]) {
            Some(share) => format!("{} %", percent(share)),
            None => "–".to_owned(),
        }));
        let how = match &a.arm.from {
            Some(from) => format!("starts from {from}"),
            None => routes(x, &a.table, &a.arm.regions),
        };
        row.push(how);
        rows.push(row);
    }
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    // The last column is text and may be long: it is cut to the width at a word.
    let fixed: Vec<Vec<String>> = rows.iter().map(|r| r[..r.len() - 1].to_vec()).collect();
    let table = columns(&heading[..heading.len() - 1], &fixed, 2);
    let longest = table.lines().map(|l| l.chars().count()).max().unwrap_or(0);
    let room = width.saturating_sub(longest + 6).max(20);
    let mut out = String::new();
    let last = std::iter::once(heading[heading.len() - 1].to_owned())
        .chain(rows.iter().map(|r| r[r.len() - 1].clone()));
    for (line, text) in table.lines().zip(last) {
        let wrapped = wrap(&text, room, 0);
        for (n, part) in wrapped.lines().enumerate() {
            let left = if n == 0 { line } else { "" };
            out += format!("  {left:<longest$}   {part}").trim_end();
            out.push('\n');
        }
    }
    let networks = (x.arms.len() * x.recipe.seeds.len()).to_string();
    let networks = counted(networks.parse()?, "network");
    Ok(section(
        "Arms: share of the training targets by label, and routes",
        &(out + &format!("  {networks}\n")),
    ))
}

/// `train → ablate (baseline, sgtm) → relearn`.
fn stages(x: &Experiment) -> String {
    let one = |s: &lobe_lab::recipe::Stage| {
        let does = if s.does == s.name { String::new() } else { format!(" ({})", s.does) };
        format!("{}{does}", s.name)
    };
    x.recipe.stages.iter().map(one).collect::<Vec<_>>().join(" → ")
}

fn time(x: &Experiment) -> String {
    match estimate(x, 0) {
        Ok(Some(e)) => format!(
            "about {} of training on this machine: {} steps, {:.3} s each, measured on a few steps just now. \
             Attacks and measurements come on top and are not estimated.",
            duration(e.seconds()),
            grouped(e.steps as usize),
            e.step
        ),
        Ok(None) if x.recipe.stages.iter().any(lobe_lab::recipe::Stage::trains) => {
            "not estimated: nothing is trained, or the network is too large to time a step here. `lobe bench step` \
             measures a step."
                .to_owned()
        }
        Ok(None) => "not estimated: nothing is trained from scratch.".to_owned(),
        Err(e) => format!("not estimated, because a step failed: {e}"),
    }
}
