//! `lobe sample --logits`: what may come next, in numbers.

use anyhow::Result;
use serde_json::{Value, json};

use super::generate::{Candidate, begun, candidates};
use super::source::Model;
use super::{Args, begin_mark, begins};
use crate::out;

/// Prints the `most` likeliest next tokens of the whole model and, if asked, of the cut one.
pub(super) fn run(args: &Args, model: &Model, most: usize) -> Result<()> {
    let ids = begun(&model.tokenizer, &args.prompt)?;
    let whole = candidates(&model.net, &model.params, &ids, most)?;
    let mut cut = None;
    if let Some(region) = &args.without {
        let selection = model.region(region)?;
        let mut params = model.params.to_vec();
        lobe_methods::remove::ablate::zero(&model.net.layout, &mut params, &selection);
        cut = Some(candidates(&model.net, &params, &ids, most)?);
    }
    if args.json {
        let list = |all: &Vec<Candidate>| all.iter().map(|c| value(model, c)).collect::<Vec<_>>();
        return Ok(out::json(&json!({
            "model": model.name, "begin_mark": begin_mark(model), "prompt": args.prompt, "ids": ids,
            "whole": list(&whole), "without": cut.as_ref().map(list), "region": args.without,
        }))?);
    }
    let mut text = format!("{}\n{}; ids {ids:?}\n\n{}", model.name, begins(model), table(model, &whole));
    if let (Some(cut), Some(region)) = (&cut, &args.without) {
        text += &format!("\nwithout {region}\n\n{}", table(model, cut));
    }
    Ok(out::print(&text)?)
}

fn table(model: &Model, all: &[Candidate]) -> String {
    let mut out = format!("{:>8}  {:>10}  {:>8}  token\n", "id", "logit", "share");
    for c in all {
        let token = lobe_report::readable(&format!("{:?}", model.tokenizer.token(c.id)));
        out += &format!("{:>8}  {:>10.4}  {:>8.4}  {token}\n", c.id, c.logit, c.probability);
    }
    out
}

fn value(model: &Model, c: &Candidate) -> Value {
    let token = model.tokenizer.token(c.id);
    json!({ "id": c.id, "token": token, "logit": c.logit, "probability": c.probability })
}
