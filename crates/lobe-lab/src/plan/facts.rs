//! What a run learned from and what learned it, for the head of its report.

use super::Experiment;
use crate::store::{ClassFacts, DataFacts, ModelFacts};

/// The data: every true class with its sizes.
pub(crate) fn data(x: &Experiment) -> DataFacts {
    let text = x.data.is_text();
    let label = |class: usize| {
        let at = x.data.test.class.iter().position(|c| usize::from(*c) == class);
        at.map(|i| x.labels.name(x.test_truth[i]).to_owned())
    };
    let of = |(i, (name, [documents, units, held_out])): (usize, (&str, [usize; 3]))| ClassFacts {
        name: name.to_owned(),
        label: label(i),
        documents: Some(documents as u64),
        units: Some(units as u64),
        held_out: Some(held_out as u64),
    };
    DataFacts {
        unit: x.data.unit().to_owned(),
        vocabulary: text.then_some(x.data.vocab as u64),
        classes: x.data.counts().into_iter().enumerate().map(of).collect(),
    }
}

/// The network.
pub(crate) fn model(x: &Experiment) -> ModelFacts {
    let (kind, shape) = (x.net.kind().to_owned(), x.net.shape());
    ModelFacts { kind, shape, parameters: Some(x.layout().len() as u64) }
}
