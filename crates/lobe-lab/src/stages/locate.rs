//! Finds the single weights that matter most, and gives them a name for the stages that follow.

use lobe_core::{Key, LabelId, Weights};
use lobe_engine::{Buf, Entries, Member, ParamId};
use lobe_methods::About;
use lobe_methods::locate::{LOCATORS, Locator, Scored, entries, locator, top};
use lobe_methods::objective::{Distance, Minimise, Whole, ordinary};
use lobe_nets::{Batch, Model};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::LabError;
use crate::graph::{At, Change, Changed, Context, Stage, StageEntry};
use crate::plan::{Experiment, in_section};
use crate::recipe::{self, PathError, StageFacts, at_least, completed, one_of};
use crate::store::Metric;

const ABOUT: About = About {
    name: "locate",
    summary: "finds the single weights of each model that matter most, and gives them a name for later stages",
    reference: "",
    unusual: "the model stays as it is; found.csv of each member lists the weights",
    fails: "",
};

/// `do = "locate"`: scores weights, and gives the highest a name that `treat` and other stages understand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Locate {
    /// How weights are scored.
    pub by: String,
    /// The data whose loss counts, by true label; empty is all.
    pub on: String,
    /// Data whose score is subtracted, by true label; empty is none. What matters for both then counts less.
    pub against: String,
    /// Training examples of each.
    #[schemars(range(min = 1))]
    pub examples: usize,
    /// Where to look, as the text of weights; empty is everywhere.
    pub within: String,
    /// How many weights are found.
    #[schemars(range(min = 1))]
    pub count: usize,
    /// Their name from then on.
    pub found: String,
}

impl Default for Locate {
    fn default() -> Self {
        Locate {
            by: "importance".into(),
            on: String::new(),
            against: String::new(),
            examples: 256,
            within: String::new(),
            count: 20,
            found: "found".into(),
        }
    }
}

/// Most weights that a stage gives one name.
const MOST: usize = 10_000;

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    let built = StageEntry::of::<Locate>(&ABOUT, StageFacts::default());
    let build = |v: &Value| {
        let (locate, full) = completed::<Locate>(v)?;
        locate.ranges()?;
        Ok((Box::new(locate) as Box<dyn Stage>, full))
    };
    StageEntry { build: Box::new(build), ..built }
}

/// Names that stages before `stage` give to weights.
pub(super) fn names(x: &Experiment, stage: &recipe::Stage) -> Vec<String> {
    let before = x.recipe.stages.iter().take_while(|s| s.name != stage.name);
    before
        .filter(|s| s.does == ABOUT.name)
        .filter_map(|s| s.params.get("found")?.as_str().map(String::from))
        .collect()
}

/// A model of which nothing is known but its shape, and that weights of these names will be there.
pub(super) fn unknown(x: &Experiment, names: &[String]) -> Model {
    let mut model = Model::new(x.net.clone(), Buf::zeros(0));
    let any = Entries::whole(x.layout(), x.layout().tensors().first().map(|_| ParamId(0)));
    model.found.extend(names.iter().map(|name| (name.clone(), any.clone())));
    model
}

impl Locate {
    fn ranges(&self) -> Result<(), PathError> {
        one_of("by", "way to score weights", &self.by, LOCATORS.iter().map(|e| e.about.name))?;
        at_least("examples", self.examples as u64, 1)?;
        recipe::range("count", self.count as u64, 1..=MOST as u64)?;
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let first = self.found.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
        if !first || self.found.len() > 64 || !self.found.chars().all(word) {
            let what = format!("{:?} is not a word of letters, digits and \"_\"", self.found);
            return Err(PathError::new("found", what));
        }
        if !self.within.is_empty() {
            let text: Result<Weights, _> = self.within.parse();
            text.map_err(|e| PathError::new("within", e.to_string()))?;
        }
        Ok(())
    }

    fn by(&self) -> Result<Box<dyn Locator>, LabError> {
        let none = || LabError::other(format!("locate: no way to score weights called {:?}", self.by));
        let built = (locator(&self.by).ok_or_else(none)?.build)(&Value::Object(serde_json::Map::new()));
        built.map(|(by, _)| by).map_err(|e| LabError::other(e.to_string()))
    }

    fn within(&self, model: &Model) -> Result<Entries, PathError> {
        if self.within.is_empty() {
            return Ok(Entries::whole(model.layout(), (0..model.layout().tensors().len()).map(ParamId)));
        }
        model.weights(&self.within).map_err(|e| PathError::new("within", e.to_string()))
    }

    /// Training examples that truly are of `label`, drawn from `at`.
    fn slice(&self, x: &Experiment, at: &At<'_>, label: &str) -> Result<Batch, PathError> {
        let of = drawn(x, at.key.child("locate").child(label), label_of(x, label)?, self.examples);
        let chosen: Vec<_> = of.iter().map(|i| (*i, x.train_truth[*i])).collect();
        Ok(lobe_train::collect(&x.data.train, &chosen, Some(1)))
    }

    /// Scores of all parameters on the data of `label`.
    fn scores(&self, c: &Context<'_>, at: &At<'_>, model: &Model, label: &str) -> Result<Vec<f32>, LabError> {
        let (x, by) = (c.experiment, self.by()?);
        if !by.needs_gradient() {
            return Ok(model.params.iter().map(|w| by.score(*w, 0.0)).collect());
        }
        let slice =
            self.slice(x, at, label).map_err(|e| LabError::setting(&e.within(&["stage", &at.stage.name])))?;
        let terms = ordinary(&*x.net, Distance::Squared);
        let mut member = Member::new(model.params.clone(), x.net.plain(), LANES)?;
        let program = Minimise::new(&*x.net, &terms, Whole::new(&slice, x.labels.len()));
        c.runner.gradients(x.layout(), &mut member, &program)?;
        let gradient = member.gradient();
        Ok(model.params.iter().zip(&gradient).map(|(w, g)| by.score(*w, *g)).collect())
    }
}

/// Gradient lanes.
const LANES: usize = 4;

/// Numbers of at most `most` training examples that truly are of `label`, of all without one, in an order drawn from
/// `key`.
pub(super) fn drawn(x: &Experiment, key: Key, label: Option<LabelId>, most: usize) -> Vec<usize> {
    let fits = |i: &usize| label.is_none_or(|l| x.train_truth[*i] == l);
    let mut of: Vec<usize> = (0..x.train_truth.len()).filter(fits).collect();
    key.rng().shuffle(&mut of);
    of.truncate(most);
    of
}

/// The label called `name`; `None` for all data.
pub(super) fn label_of(x: &Experiment, name: &str) -> Result<Option<LabelId>, PathError> {
    if name.is_empty() {
        return Ok(None);
    }
    let there = |l: &LabelId| x.train_truth.contains(l);
    let known =
        x.labels.names().iter().map(String::as_str).filter(|n| x.labels.find(n).is_some_and(|l| there(&l)));
    one_of("on", "label of training data", name, known)?;
    Ok(x.labels.find(name))
}

impl Stage for Locate {
    fn version(&self) -> u32 {
        1
    }

    fn check(&self, x: &Experiment, stage: &recipe::Stage) -> Result<(), LabError> {
        let path = ["stage", stage.name.as_str()];
        in_section(label_of(x, &self.on), &path)?;
        in_section(label_of(x, &self.against).map_err(|e| PathError::new("against", e.message)), &path)?;
        if !self.against.is_empty() && !self.by()?.needs_gradient() {
            let what = format!("{:?} looks at no data, so there is nothing to subtract", self.by);
            return in_section(Err(PathError::new("against", what)), &path);
        }
        let known = names(x, stage);
        for arm in super::arms(x, stage) {
            let x = x.at(stage, arm);
            let model = unknown(x, &known);
            in_section(self.within(&model), &path)?;
            if x.layout().find(&self.found).is_some() {
                let what =
                    format!("{:?} is a tensor of the network; give what is found another name", self.found);
                return in_section(Err(PathError::new("found", what)), &path);
            }
        }
        Ok(())
    }

    fn changes(&self) -> Option<&dyn Change> {
        Some(self)
    }
}

impl Change for Locate {
    fn change(&self, c: &Context<'_>, at: &At<'_>, mut model: Model) -> Result<Changed, LabError> {
        let within =
            self.within(&model).map_err(|e| LabError::setting(&e.within(&["stage", &at.stage.name])))?;
        let mut scores = self.scores(c, at, &model, &self.on)?;
        if !self.against.is_empty() {
            let other = self.scores(c, at, &model, &self.against)?;
            scores.iter_mut().zip(other).for_each(|(s, o)| *s -= o);
        }
        let found = top(model.layout(), &scores, &within, self.count);
        let mut all = 0.0;
        within.for_ranges(model.layout(), |_, range| {
            all += scores[range].iter().filter(|s| s.is_finite()).map(|s| f64::from(s.abs())).sum::<f64>();
        });
        let own: f64 = found.iter().map(|s| f64::from(s.score.abs())).sum();
        let mut readings = vec![Metric::new("all", "located_weights", found.len() as f64, "count")];
        if all > 0.0 {
            readings.push(Metric::new("all", "located_share", own / all, "fraction"));
        }
        let table = table(&model, &found);
        model.found.insert(self.found.clone(), entries(&found));
        Ok(Changed { readings, files: vec![("found.csv".into(), table)], ..Changed::to(model) })
    }
}

/// The found weights as a table, the highest score first.
fn table(model: &Model, found: &[Scored]) -> Vec<u8> {
    let mut out = "rank,tensor,row,column,weight,score\n".to_owned();
    for (i, s) in found.iter().enumerate() {
        let t = model.layout().get(s.tensor);
        let weight = model.params[t.offset + s.at.0 * t.cols + s.at.1];
        out += &format!("{},{},{},{},{weight},{}\n", i + 1, t.name, s.at.0, s.at.1, s.score);
    }
    out.into_bytes()
}
