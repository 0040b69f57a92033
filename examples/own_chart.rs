//! A chart: how large the weights of each tensor are.
//!
//! A stage leaves a chart as a title, axes, and a shape with its numbers; the report draws it, with arms beside each
//! other and means over seeds. Nothing in the report has to change.

use std::error::Error;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Instant;

use lobe_core::registry::{About, Taken};
use lobe_lab::LabError;
use lobe_lab::graph::{Context, Done, Stage, StageEntry, each};
use lobe_lab::recipe::{self, Makes, StageFacts};
use lobe_lab::stages::STAGES;
use lobe_runs::{Bar, Chart, ChartAxis, Shape};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct WeightSizes {}

impl Stage for WeightSizes {
    fn version(&self) -> u32 {
        1
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        each(c, stage, |c, stage, work| {
            let start = Instant::now();
            let model = work.model(c, stage)?;
            let bars = model.net.layout().tensors().iter().filter(|t| t.matrix).map(|t| {
                let w = &model.params[t.span()];
                let square = w.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / w.len() as f64;
                Bar { name: t.name.clone(), value: Some(square.sqrt()) }
            });
            work.dir.write_charts(&[Chart {
                name: "weight-sizes".into(),
                title: "How large the weights are".into(),
                caption: Some("The root of the mean square of each matrix.".into()),
                x: ChartAxis::default(),
                y: ChartAxis { name: "root mean square".into(), ..ChartAxis::default() },
                levels: Vec::new(),
                shape: Shape::Bars { bars: bars.collect() },
            }])?;
            work.finish(start, 1.0, "models/s")
        })
    }
}

static ABOUT: About = About {
    name: "weight-sizes",
    summary: "draws how large the weights of each matrix are",
    reference: "an example",
    unusual: "",
    fails: "",
};

/// The registered stage: it leaves numbers and no model.
static OWN: LazyLock<StageEntry> = LazyLock::new(|| {
    StageEntry::of::<WeightSizes>(&ABOUT, StageFacts { makes: Makes::Numbers, ..StageFacts::default() })
});

/// Two arms, drawn side by side.
pub(crate) const RECIPE: &str = r#"
name = "own-chart"

[data]
kind = "bilingual"
stories = 160
test_stories = 8
probes = 0
seq = 48
packing = "pack"
forget = { language = "es" }
retain = { language = "en" }

[model]
kind = "gpt"
layers = 2
width = 16
heads = 2
mlp = 32

[regions]
module = "blocks.*.mlp.post[-8..]"

[train]
steps = 40
batch = 8
lr = 0.01

[arms]
baseline = { method = "none" }
routing = { method = "gradient-routing", region = "module" }

[[stage]]
do = "train"
[[stage]]
do = "weight-sizes"
"#;

/// The one line: before the first use, at the start of the program.
///
/// # Errors
/// If the list has one of this name.
pub(crate) fn add() -> Result<(), Taken> {
    STAGES.add(&OWN)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    add()?;
    lobe_examples::lobe_or(RECIPE)
}
