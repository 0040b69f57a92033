//! What a run learned from and what learned it, for the head of its report.

use lobe_nets::Net;

use super::Experiment;
use crate::store::{ClassFacts, DataFacts, ModelFacts};

/// The data: every true class with its sizes.
pub(super) fn data(x: &Experiment) -> DataFacts {
    let text = x.data.tokenizer.is_some();
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
        unit: if text { "token" } else { "pixel" }.to_owned(),
        vocabulary: text.then_some(x.data.vocab as u64),
        classes: x.data.counts().into_iter().enumerate().map(of).collect(),
    }
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// The network.
pub(super) fn model(x: &Experiment) -> ModelFacts {
    let (kind, shape) = match &x.net {
        Net::Gpt(net) => {
            let c = &net.config;
            let blocks = counted(c.layers, "block");
            ("gpt", format!("{blocks} of width {}, {}, {} neurons", c.width, counted(c.heads, "head"), c.mlp))
        }
        Net::Autoencoder(net) => {
            let c = &net.config;
            let widths = [c.input].into_iter().chain(c.hidden.iter().copied()).chain([c.latent]);
            let widths: Vec<String> = widths.map(|w| w.to_string()).collect();
            ("autoencoder", format!("{}, {}", widths.join("–"), counted(c.decoders.len(), "decoder")))
        }
    };
    ModelFacts { kind: kind.to_owned(), shape, parameters: Some(x.layout().len() as u64) }
}
