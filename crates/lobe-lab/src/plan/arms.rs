//! Turning the arms of a recipe into plans against the network.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use lobe_core::{FORGET, LabelId, RouteRow, RouteTable, Selection, Target, UNLABELLED};
use lobe_data::{Labelling, Mix};
use lobe_engine::{Layout, Plan, SiteId};
use lobe_methods::localize::{check_regions, check_silence};
use lobe_methods::objective::{Correlation, CrossEntropy, L1, Reads, Reconstruct, Term, Variational, sparse};
use lobe_methods::{Context, LOCALIZE, Localize, TrainsOn};
use lobe_nets::{Network, Read};
use serde_json::Value;

use super::{ArmPlan, Asks, Experiment, Objective, Per, distance, in_recipe, in_section};
use crate::error::LabError;
use crate::recipe::{self, Arm, ArmData, ArmKind, Masked, PathError};

impl Experiment {
    pub(super) fn compile(&self, arm: &Arm, objective: &Objective) -> Result<ArmPlan, LabError> {
        let path = ["arms", arm.name.as_str()];
        if arm.kind == ArmKind::PostHoc {
            return self.compile_post_hoc(arm, objective);
        }
        if let Some(name) = &arm.weights {
            let known = self.net.written_names();
            if known.is_empty() {
                let what = format!("a network of the kind {} has no weights set by hand", self.net.kind());
                return in_section(Err(PathError::new("weights", what)), &path);
            }
            in_section(recipe::one_of("weights", "set of weights", name, known.iter().copied()), &path)?;
        }
        let (method, over) = localize(arm)?;
        let known: Vec<&str> = self.recipe.regions.iter().map(|r| r.name.as_str()).collect();
        check_regions(&arm.method, method.regions(), arm.regions.len(), &known)
            .or_else(|what| in_section(Err(PathError::new("region", what)), &path))?;
        if method.needs_uniform_steps() && self.section.own.batches == Mix::Mixed {
            let what = format!("{} needs data.batches = \"one-class\"", arm.method);
            return in_section(Err(PathError::new("method", what)), &path);
        }
        let regions: Vec<Selection> = arm.regions.iter().map(|r| self.region(r)).collect::<Result<_, _>>()?;
        let context = Context { labels: &self.labels, regions: &arm.regions };
        let table = in_section(method.table(&context).map_err(|e| in_recipe(&e)), &path)?;
        let plan = Plan::new(self.layout(), &self.labels, &regions, &table)
            .and_then(|plan| self.net.awake(plan))
            .map_err(|e| LabError::setting(&PathError::new("region", e.to_string()).within(&path)))?;
        let rules = in_section(at_labels(self.section.rules(&arm.labels)), &path)?;
        let labelling = Labelling::new(&rules, &self.data, &mut self.labels.clone())?;
        let objective = in_section(objective.with(over.as_ref()), &path)?;
        let mut label_weight = vec![1.0; self.labels.len()];
        for (name, w) in &arm.loss_weight {
            let found = self.labels.find(name);
            let known = self.labels.names().iter().map(String::as_str);
            in_section(recipe::one_of("loss_weight", "label", name, known), &path)?;
            if let Some(l) = found {
                label_weight[l.index()] = *w as f32;
            }
        }
        let trains_on = in_section(method.trains_on(&self.labels).map_err(|e| in_recipe(&e)), &path)?;
        self.check_forget(arm, &table, &trains_on, &path)?;
        let unseen = in_section(self.unseen(&arm.data), &path)?;
        in_section(self.check_freeze(arm, &table), &path)?;
        self.check_steps(&labelling, &path)?;
        let region = regions.into_iter().reduce(|a, b| a.union(&b));
        if let Some(region) = region.as_ref().filter(|_| method.zero_start()) {
            let checked = check_silence(self.layout(), region);
            in_section(
                checked.map_err(|what| PathError::new("region", format!("{}: {what}", arm.method))),
                &path,
            )?;
        }
        let asks = Asks::new(method.as_ref(), &self.labels, region.as_ref());
        let asks = in_section(asks.map_err(|e| in_recipe(&e)), &path)?;
        if !arm.loss_weight.is_empty() && !asks.kinds.is_empty() {
            let what = format!("{} gives its steps labels of their own, which have no weight", arm.method);
            return in_section(Err(PathError::new("loss_weight", what)), &path);
        }
        if !asks.l1.is_empty() && self.net.language().is_none() {
            let what = "needs a language model; a code is penalised by [model.objective]";
            return in_section(Err(PathError::new("l1", what)), &path);
        }
        let mut terms = self.terms(&objective, &label_weight)?;
        terms.extend(asks.l1.iter().flat_map(|(units, weight)| sparse(&*self.net, units, *weight)));
        Ok(ArmPlan {
            arm: arm.clone(),
            plan,
            table,
            region,
            labelling,
            trains_on,
            objective,
            label_weight,
            terms: Arc::new(terms),
            asks,
            unseen,
            removes: Vec::new(),
            same_as: None,
        })
    }

    /// An arm that treats forget data in a way of its own is a plain one in disguise where there are none.
    fn check_forget(
        &self,
        arm: &Arm,
        table: &RouteTable,
        trains_on: &TrainsOn,
        path: &[&str],
    ) -> Result<(), LabError> {
        let named = |key: &str, what: &str, label: &str| {
            let what = format!("{what} acts on data labelled {label:?}, and [data] labels none so");
            in_section(Err(PathError::new(key, what)), path)
        };
        let there = |l: &LabelId| self.train_truth.contains(l);
        let dropped = match trains_on {
            TrainsOn::All => &[],
            TrainsOn::Without(topics) => &topics[..],
            TrainsOn::Context(of, _) => std::slice::from_ref(of),
        };
        if let Some(absent) = dropped.iter().find(|l| !there(l)) {
            return named("method", &arm.method, self.labels.name(*absent));
        }
        if there(&FORGET) {
            return Ok(());
        }
        let named = |key: &str, what: &str| named(key, what, "forget");
        let routed = table.rows.iter().any(|r| r.label == FORGET);
        match arm.data {
            ArmData::RetainOnly => named("data", "\"retain only\""),
            ArmData::ForgetOnly => named("data", "\"forget only\""),
            _ if routed => named("method", &arm.method),
            _ => Ok(()),
        }
    }

    /// The labels of the data that an arm never trains on.
    fn unseen(&self, data: &ArmData) -> Result<Vec<LabelId>, PathError> {
        let names: &[String] = match data {
            ArmData::RetainOnly => return Ok(vec![FORGET]),
            ArmData::Without(names) => names,
            _ => return Ok(Vec::new()),
        };
        let known = self.labels.names().iter().map(String::as_str).filter(|n| !n.contains(':'));
        let mut out = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            let path = format!("data.without.{i}");
            recipe::one_of(&path, "label", name, known.clone())?;
            let label = self.labels.find(name).filter(|l| self.train_truth.contains(l));
            out.push(label.ok_or_else(|| {
                PathError::new(
                    &path,
                    format!("no training data is labelled {name:?}, so nothing is left out"),
                )
            })?);
        }
        Ok(out)
    }

    /// Refuses an arm that asks for freezing where nothing freezes.
    fn check_freeze(&self, arm: &Arm, table: &RouteTable) -> Result<(), PathError> {
        let own = arm.train.as_ref().is_some_and(|t| t.masked == Masked::Freeze);
        // What all arms share acts on those that it can act on: see `check_frozen`.
        if !own || self.recipe.train.masked == Masked::Freeze || self.freezes(arm, table) {
            return Ok(());
        }
        let what = if table.rows.iter().all(|r| r.route.update != 0.0) {
            format!("{} turns no update off (a gradient it stops upstream is not one)", arm.method)
        } else {
            "a mixed batch has examples that update everything; use data.batches = \"one-class\"".to_owned()
        };
        Err(PathError::new("masked", format!("\"freeze\" has nothing to freeze: {what}")))
    }

    /// Refuses freezing in `[train]` where no arm freezes anything.
    pub(super) fn check_frozen(&self) -> Result<(), LabError> {
        let freezes = |a: &ArmPlan| self.freezes(&a.arm, &a.table);
        if self.recipe.train.masked != Masked::Freeze || self.arms.iter().any(freezes) {
            return Ok(());
        }
        let what = "\"freeze\" has nothing to freeze: no arm has steps whose data all leave some weights alone \
                    (sgtm and parameter-masking do, with data.batches = \"one-class\")";
        in_section(Err(PathError::new("masked", what)), &["train"])
    }

    /// Whether some steps of an arm update some weights not at all: steps of one label, or of several that
    /// all leave the same weights alone.
    fn freezes(&self, arm: &Arm, table: &RouteTable) -> bool {
        let off = |r: &&RouteRow| r.route.update == 0.0;
        if self.section.own.batches != Mix::Mixed || arm.data != ArmData::All {
            return table.rows.iter().any(|r| off(&r));
        }
        let unlabelled = self.labels.name(UNLABELLED);
        let names = self.section.names().chain([unlabelled]);
        let labels: Vec<LabelId> = names.filter_map(|n| self.labels.find(n)).collect();
        let always = |target: Target| {
            labels.iter().all(|l| table.rows.iter().filter(off).any(|r| r.label == *l && r.target == target))
        };
        table.rows.iter().filter(off).any(|r| always(r.target))
    }

    /// Refuses labels that whole steps cannot have.
    fn check_steps(&self, labelling: &Labelling, path: &[&str]) -> Result<(), LabError> {
        let own = &self.section.own;
        if own.batches == Mix::Mixed {
            return Ok(());
        }
        let refuse = |what: String| in_section(Err(PathError::new("labels", what)), path);
        let true_labels: BTreeSet<LabelId> = self.train_truth.iter().copied().collect();
        for label in true_labels {
            labelling
                .label_of_group(0, label, Experiment::key(0))
                .map(drop)
                .or_else(|e| refuse(e.to_string()))?;
        }
        match labelling.imprecise() {
            Some(name) if !own.class_weights.is_empty() => refuse(format!(
                "{name:?} has a precision below 1, which counts examples; class_weights decide how many steps each \
                 class gets. Leave one of them out"
            )),
            _ => Ok(()),
        }
    }

    /// A post-hoc arm trains plainly on its method's terms; only its labels are its own.
    fn compile_post_hoc(&self, arm: &Arm, objective: &Objective) -> Result<ArmPlan, LabError> {
        let path = ["arms", arm.name.as_str()];
        if !arm.regions.is_empty() {
            let what = "a post-hoc method works on the whole network; it takes no region";
            return in_section(Err(PathError::new("region", what)), &path);
        }
        let rules = in_section(at_labels(self.section.rules(&arm.labels)), &path)?;
        Ok(ArmPlan {
            arm: arm.clone(),
            plan: self.net.plain(),
            table: RouteTable::plain(),
            region: None,
            labelling: Labelling::new(&rules, &self.data, &mut self.labels.clone())?,
            trains_on: TrainsOn::All,
            objective: objective.clone(),
            label_weight: vec![1.0; self.labels.len()],
            terms: Arc::default(),
            asks: Asks::default(),
            unseen: Vec::new(),
            removes: Vec::new(),
            same_as: None,
        })
    }

    /// What an arm minimises: every output's loss, the first one's weighed by label, and the penalties on the
    /// first cut of a network whose outputs are numbers.
    fn terms(&self, o: &Objective, label_weight: &[f32]) -> Result<Vec<Term>, LabError> {
        let mut out = Vec::new();
        let mut numbers = false;
        for (output, of) in self.net.outputs().iter().enumerate() {
            let first = output == 0;
            let label_weight = if first { label_weight.to_vec() } else { Vec::new() };
            match of.read {
                Read::Classes { .. } => out.push(Term::new(CrossEntropy { label_weight })),
                Read::Numbers { width } => {
                    numbers = true;
                    let sum_of_means = first && o.sum_of_means;
                    let kind = distance(o);
                    let width = if o.per == Per::Image { 1 } else { width };
                    let of = Reconstruct { output, width, kind, label_weight, sum_of_means };
                    out.push(Term { weight: o.weight, ..Term::new(of) });
                }
            }
        }
        if numbers {
            penalties(&*self.net, o, &mut out)?;
        }
        Ok(out)
    }
}

/// Penalties on the values at a site, before any route, and on what a latent is drawn from.
fn penalties(net: &dyn Network, o: &Objective, out: &mut Vec<Term>) -> Result<(), LabError> {
    let asked = [("objective.l1", !o.l1.is_empty()), ("objective.correlation", o.correlation != 0.0)];
    let (site, latent) = match (net.penalised(), asked.iter().find(|(_, asked)| *asked)) {
        (Some(site), _) => (site, net.layout().sites()[site.0].units as usize),
        (None, None) => (SiteId(0), 0),
        (None, Some((key, _))) => {
            let what = format!("a network of the kind {} has no site whose values are penalised", net.kind());
            return in_section(Err(PathError::new(key, what)), &["model"]);
        }
    };
    let part = |from: usize, to: usize| -> Result<Range<usize>, LabError> {
        let to = if to == 0 { latent } else { to };
        if from >= to || to > latent {
            let what = format!("{from}..{to} is not part of the {latent} latents");
            return in_section(Err(PathError::new("objective", what)), &["model"]);
        }
        Ok(from..to)
    };
    for l in &o.l1 {
        let reads = Reads::Site { site, columns: part(l.from, l.to)?, unrouted: true };
        out.push(Term::new(L1 { reads, weight: l.weight }));
    }
    if let Some(heads) = &o.variational {
        out.push(Term::new(variational(net.layout(), &heads.at, heads.weight)?));
    }
    let split = if o.split == 0 { latent / 2 } else { o.split };
    if o.correlation != 0.0 {
        let (left, right) = (part(0, split)?, part(split, 0)?);
        out.push(Term::new(Correlation { site, columns: latent, left, right, weight: o.correlation }));
    }
    Ok(())
}

/// The penalty on means and scales at a site.
fn variational(layout: &Layout, at: &str, weight: f32) -> Result<Variational, LabError> {
    let known = layout.sites().iter().map(|s| s.name.as_str());
    in_section(recipe::one_of("objective.variational.at", "site", at, known), &["model"])?;
    let site = layout.find_site(at).unwrap_or(SiteId(0));
    let columns = 0..layout.sites()[site.0].units as usize;
    Ok(Variational { reads: Reads::Site { site, columns, unrouted: false }, weight })
}

/// An arm's localisation method, and what the arm overrides of the objective.
pub(super) fn localize(arm: &Arm) -> Result<(Box<dyn Localize>, Option<Value>), LabError> {
    let entry = LOCALIZE.iter().find(|e| e.about.name == arm.method);
    let Some(entry) = entry else { return Err(LabError::other(format!("no method {:?}", arm.method))) };
    let mut own = arm.params.clone();
    let over = own.remove("objective");
    let built = (entry.build)(&Value::Object(own)).map_err(|e| in_recipe(&e));
    Ok((in_section(built, &["arms", &arm.name])?.0, over))
}

fn at_labels<T>(r: Result<T, PathError>) -> Result<T, PathError> {
    r.map_err(|e| e.within(&["labels"]))
}
