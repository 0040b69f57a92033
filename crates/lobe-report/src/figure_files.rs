//! The figures of a report as files: drawings that open alone, and the numbers they show.

use crate::RunData;
use crate::figures;
use crate::palette::looks;

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FigureFile {
    /// Its anchor in the report, which makes a plain file name: letters, digits, `-`.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// The drawing, where there is one: SVG with its own style, on white.
    pub svg: Option<String>,
    /// The numbers it shows: CSV with a header.
    pub csv: String,
}

/// Every figure that the run has data for, in the order of the report.
pub fn all(run: &RunData) -> Vec<FigureFile> {
    let (figures, _) = figures::all(run);
    let mut out: Vec<FigureFile> = figures
        .iter()
        .map(|f| FigureFile {
            name: f.id.clone(),
            title: f.title.clone(),
            svg: Some(f.svg()),
            csv: f.data.csv(),
        })
        .collect();
    let looks = looks(run);
    if let Some(m) = figures::measures::build(&figures::Ink { run, looks: &looks }) {
        let title = "Every measure of the finished models".to_owned();
        out.push(FigureFile { name: "measures".to_owned(), title, svg: None, csv: m.data.csv() });
    }
    out
}
