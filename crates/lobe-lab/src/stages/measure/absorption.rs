//! Where single examples pull: relative gradient norms on a region and on the rest.

use lobe_core::Selection;
use lobe_engine::{Program, Tape};
use lobe_methods::measure::absorption::relative_norms;
use lobe_methods::objective::{Distance, Minimise, Single, ordinary};

use crate::error::LabError;
use crate::graph::Context;
use crate::store::Metric;

/// Means over `examples` held-out examples of each label, as an unlabelled example would train the
/// model. Nothing for a network that does not predict tokens.
pub(super) fn run(
    c: &Context<'_>,
    params: &[f32],
    region: &Selection,
    examples: usize,
) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    if x.net.language().is_none() {
        return Ok(Vec::new());
    }
    let batch = x.held_out(|_| true, examples);
    let terms = ordinary(&*x.net, Distance::Squared);
    let plan = x.net.plain();
    let mut part = vec![false; x.layout().len()];
    x.layout().for_owned(region, |_, range| part[range].fill(true));
    let shards: Vec<usize> = (0..batch.shards()).collect();
    let norms = c.runner.map(&shards, |ws, s| -> Result<[Option<f64>; 2], LabError> {
        let program = Minimise::new(&*x.net, &terms, Single::new(&batch, *s));
        let mut gradient = vec![0.0; x.layout().len()];
        let mut tape = Tape::new(ws, x.layout(), params, Some(&mut gradient), &plan, batch.rows(*s));
        program.forward(0, &mut tape)?;
        tape.backward(*s)?;
        Ok(relative_norms(&gradient, params, &part))
    });
    let mut sums = vec![[(0.0, 0.0); 2]; x.labels.len()];
    for (s, norms) in shards.iter().zip(norms) {
        for (sum, norm) in sums[batch.row_label(*s, 0).index()].iter_mut().zip(norms?) {
            if let Some(norm) = norm {
                *sum = (sum.0 + norm, sum.1 + 1.0);
            }
        }
    }
    let mut out = Vec::new();
    for (l, sums) in sums.iter().enumerate() {
        for (metric, (sum, n)) in ["gradient_region", "gradient_rest"].into_iter().zip(sums) {
            if *n > 0.0 {
                out.push(Metric::new(&x.labels.names()[l], metric, sum / n, "ratio"));
            }
        }
    }
    Ok(out)
}
