//! `charts.json`: numbers that a stage wants to be seen, with the shape in which they are drawn.
//!
//! A stage leaves one file for each member; they are gathered for the run, each chart with its stage, arm and seed.
//! Charts of one stage and name are read together: arms stand beside each other, seeds give means and intervals.

use serde::{Deserialize, Serialize};

use crate::error::ReadError;
use crate::files::from_json;
use crate::text::{maybe_long, text, texts};

/// Most charts of a run, and most names, points, cells and pixels of one chart.
const MOST_CHARTS: usize = 4000;
const MOST_SERIES: usize = 64;
const MOST_POINTS: usize = 4000;
const MOST_SIDE: usize = 256;
const MOST_PICTURES: usize = 100;
const MOST_PIXELS: usize = 128;
/// Numbers beyond this are not measurements, and arithmetic on them would overflow.
const HUGE: f64 = 1e30;

/// The content of a member's `charts.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MemberCharts {
    /// Its charts; names differ.
    pub charts: Vec<Chart>,
}

/// The content of a run's `charts.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChartFile {
    /// All charts of all members.
    pub charts: Vec<MemberChart>,
}

/// A chart and where it is from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberChart {
    /// The stage that left it.
    #[serde(deserialize_with = "text")]
    pub stage: String,
    /// Arm.
    #[serde(deserialize_with = "text")]
    pub arm: String,
    /// Seed.
    pub seed: u64,
    /// The chart.
    pub chart: Chart,
}

/// Numbers with the shape in which they are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What it is, in one word; the same for every arm and seed.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Heading.
    #[serde(deserialize_with = "text")]
    pub title: String,
    /// How to read it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "maybe_long")]
    pub caption: Option<String>,
    /// What runs to the right.
    #[serde(default)]
    pub x: ChartAxis,
    /// What runs upwards; for cells and pictures: what the numbers are.
    #[serde(default)]
    pub y: ChartAxis,
    /// Levels to compare with, as from a formula.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<Level>,
    /// The shape, with its numbers.
    #[serde(flatten)]
    pub shape: Shape,
}

/// An axis.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartAxis {
    /// In words.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// Unit, one word.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "text")]
    pub unit: String,
    /// Whether it is logarithmic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub log: bool,
}

/// A horizontal line with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Where.
    pub value: f64,
    /// What it is: `linear`, `never saw it`.
    #[serde(deserialize_with = "text")]
    pub name: String,
}

/// How numbers are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Shape {
    /// Curves.
    Lines {
        /// One each.
        series: Vec<Series>,
    },
    /// Points.
    Scatter {
        /// A cloud each.
        series: Vec<Series>,
    },
    /// False positives against true positives, both from 0 to 1, in ascending order.
    Roc {
        /// A curve each.
        series: Vec<Series>,
    },
    /// Named numbers.
    Bars {
        /// In order.
        bars: Vec<Bar>,
    },
    /// A table of cells, such as a confusion map.
    Heat {
        /// Names of the rows, from the top.
        #[serde(deserialize_with = "texts")]
        rows: Vec<String>,
        /// Names of the columns.
        #[serde(deserialize_with = "texts")]
        columns: Vec<String>,
        /// `[row][column]`; null where nothing was measured.
        values: Vec<Vec<Option<f64>>>,
    },
    /// Small grey pictures.
    Pictures {
        /// In order.
        pictures: Vec<Picture>,
    },
    /// A shape that this version does not know.
    #[serde(other)]
    Other,
}

/// Named points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name; empty where the arm says it all.
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    /// (x, y).
    pub points: Vec<(f64, f64)>,
}

/// A named number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// Name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// The number; absent where it was not measured.
    #[serde(default)]
    pub value: Option<f64>,
}

/// A grey picture, drawn from 0, the paper, to 1, the ink.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// Name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Pixels in a row.
    pub width: usize,
    /// Row after row from the top.
    pub pixels: Vec<f32>,
}

impl Chart {
    /// Why it cannot be drawn, if so: too much of something, parts that do not fit, or numbers that are none.
    pub fn fault(&self) -> Option<String> {
        let numbers = |mut list: &mut dyn Iterator<Item = f64>| {
            let bad = !Iterator::all(&mut list, |v| (-HUGE..=HUGE).contains(&v));
            bad.then(|| "a number is not finite or beyond 1e30".to_owned())
        };
        let most = |n: usize, limit: usize, what: &str| {
            (n > limit).then(|| format!("{n} {what}, the limit is {limit}"))
        };
        let own = match &self.shape {
            Shape::Other => None,
            Shape::Lines { series } | Shape::Scatter { series } | Shape::Roc { series } => {
                let points = series.iter().map(|s| s.points.len()).max().unwrap_or(0);
                most(series.len(), MOST_SERIES, "series")
                    .or_else(|| most(points, MOST_POINTS, "points"))
                    .or_else(|| numbers(&mut series.iter().flat_map(|s| &s.points).flat_map(|p| [p.0, p.1])))
            }
            Shape::Bars { bars } => most(bars.len(), MOST_SIDE, "bars")
                .or_else(|| numbers(&mut bars.iter().filter_map(|b| b.value))),
            Shape::Heat { rows, columns, values } => {
                let fits = values.len() == rows.len() && values.iter().all(|r| r.len() == columns.len());
                most(rows.len().max(columns.len()), MOST_SIDE, "rows or columns")
                    .or_else(|| (!fits).then(|| format!("values are not {} × {}", rows.len(), columns.len())))
                    .or_else(|| numbers(&mut values.iter().flatten().copied().flatten()))
            }
            Shape::Pictures { pictures } => most(pictures.len(), MOST_PICTURES, "pictures").or_else(|| {
                pictures.iter().find_map(|p| {
                    let height = p.pixels.len().checked_div(p.width).unwrap_or(0);
                    let whole = height > 0 && height * p.width == p.pixels.len();
                    let wrong =
                        || (!whole).then(|| format!("{} pixels in rows of {}", p.pixels.len(), p.width));
                    most(height.max(p.width), MOST_PIXELS, "pixels on a side")
                        .or_else(wrong)
                        .or_else(|| numbers(&mut p.pixels.iter().map(|v| f64::from(*v))))
                })
            }),
        };
        own.or_else(|| most(self.levels.len(), MOST_SERIES, "levels"))
            .or_else(|| numbers(&mut self.levels.iter().map(|l| l.value)))
    }
}

impl ChartFile {
    /// Reads a run's `charts.json`.
    ///
    /// # Errors
    /// With the place of what is not in the format, or the entry that cannot be drawn.
    pub fn parse(file: &str, json: &str) -> Result<ChartFile, ReadError> {
        let all: ChartFile = from_json(file, 0, json)?;
        if all.charts.len() > MOST_CHARTS {
            return Err(ReadError::content(file, 1, format!("more than {MOST_CHARTS} charts")));
        }
        let faults = all.charts.iter().enumerate();
        match faults.into_iter().find_map(|(entry, c)| Some((entry, c.chart.fault()?))) {
            Some((entry, message)) => Err(ReadError::Entry { file: file.to_owned(), entry, message }),
            None => Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_its_json() {
        let json = r#"{"charts": [{"stage": "measure", "arm": "a", "seed": 0, "chart": {"name": "confusion",
            "title": "Which digit", "y": {"name": "share"}, "kind": "heat", "rows": ["0", "1"], "columns": ["0", "1"],
            "values": [[0.5, null], [0, 1]]}},
            {"stage": "measure", "arm": "a", "seed": 0, "chart": {"name": "n", "title": "N", "kind": "hologram", "z": 1}}]}"#;
        let file = ChartFile::parse("charts.json", json).expect("charts");
        assert!(matches!(&file.charts[0].chart.shape, Shape::Heat { values, .. } if values[0][1].is_none()));
        assert_eq!(file.charts[1].chart.shape, Shape::Other);
        let again = serde_json::to_string(&file).expect("JSON");
        assert_eq!(ChartFile::parse("charts.json", &again).expect("the same"), file);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_by_entry() {
        let with = |shape: &str| {
            let chart =
                format!(r#"{{"stage":"s","arm":"a","seed":0,"chart":{{"name":"n","title":"t",{shape}}}}}"#);
            ChartFile::parse("charts.json", &format!(r#"{{"charts":[{chart}]}}"#)).map_err(|e| e.to_string())
        };
        let refused = [
            (r#""kind":"heat","rows":["a"],"columns":["b","c"],"values":[[1]]"#, "values are not 1 × 2"),
            (
                r#""kind":"pictures","pictures":[{"name":"x","width":3,"pixels":[0,1]}]"#,
                "2 pixels in rows of 3",
            ),
            (r#""kind":"pictures","pictures":[{"name":"x","width":0,"pixels":[]}]"#, "0 pixels in rows of 0"),
            (r#""kind":"lines","series":[{"points":[[0,1e40]]}]"#, "a number is not finite or beyond 1e30"),
        ];
        for (shape, why) in refused {
            assert_eq!(with(shape).unwrap_err(), format!("charts.json entry 0: {why}"));
        }
        assert!(with(r#""kind":"bars","bars":[{"name":"x"}]"#).is_ok());
    }
}
