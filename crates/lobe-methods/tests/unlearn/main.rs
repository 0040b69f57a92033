//! Objectives against values computed by hand and finite differences, those of training among them, and
//! post-hoc methods that go around others.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod by_hand;

use lobe_core::{FORGET, Key, LabelId, RETAIN, Rng, UNLABELLED};
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{RowLabels, SiteId};
use lobe_methods::objective::{Correlation, CrossEntropy, Distance, L1, Reconstruct, Variational};
use lobe_methods::unlearn::{Drive, Moves, Objective, Reads, Shape, Side, Term, View, npo};
use lobe_methods::{UNLEARN, Unlearn};
use serde_json::{Value, json};

const SHAPE: Shape = Shape { layers: 6, width: 4, vocab: 5 };

fn entry(name: &str, params: &Value) -> Result<(Box<dyn Unlearn>, Value), (String, String)> {
    let entry = UNLEARN.iter().find(|e| e.about.name == name).unwrap();
    (entry.build)(params).map_err(|e| (e.path, e.message))
}

fn method(name: &str, params: &Value) -> Box<dyn Unlearn> {
    entry(name, params).unwrap().0
}

fn terms_in(shape: Shape, name: &str, params: &Value) -> Vec<Term> {
    method(name, params).terms(shape, Key::root(7)).unwrap()
}

/// The first objective of a side in a network of `width` numbers per row.
fn one(width: usize, name: &str, params: &Value, side: Side) -> Box<dyn Objective> {
    let terms = terms_in(Shape { width, ..SHAPE }, name, params);
    terms.into_iter().find(|t| t.side == side).unwrap().objective
}

/// What a [`View`] borrows.
#[derive(Clone)]
struct Sheet {
    values: Vec<f32>,
    reference: Vec<f32>,
    cols: usize,
    /// Empty for rows of numbers.
    targets: Vec<u32>,
    labels: Vec<LabelId>,
    seq: usize,
    rows: usize,
    by_label: Vec<usize>,
    sequences: usize,
    progress: f64,
}

impl Sheet {
    /// One sequence.
    fn new(cols: usize, targets: &[u32], values: &[f32], reference: &[f32]) -> Sheet {
        let (values, reference, targets) = (values.to_vec(), reference.to_vec(), targets.to_vec());
        let (seq, rows) = (targets.len(), targets.iter().filter(|t| **t != IGNORE).count());
        let (labels, by_label) = (vec![FORGET; seq], vec![rows]);
        Sheet { values, reference, cols, targets, labels, seq, rows, by_label, sequences: 1, progress: 0.0 }
    }

    fn at(&self, objective: &dyn Objective) -> (f64, Vec<f32>) {
        let view = View {
            values: &self.values,
            reference: if objective.needs_reference() { &self.reference } else { &[] },
            cols: self.cols,
            targets: &self.targets,
            labels: RowLabels::Each(&self.labels),
            seq: self.seq,
            rows: self.rows,
            by_label: &self.by_label,
            sequences: self.sequences,
            progress: self.progress,
        };
        let mut grad = vec![0.0; self.values.len()];
        let value = objective.value(&view, &mut grad);
        (value, grad)
    }

    /// Whether row `r` counts.
    fn counts(&self, r: usize) -> bool {
        self.targets.get(r).is_none_or(|t| *t != IGNORE)
    }

    /// Three sequences of four rows, some of them not counted, as `reads` would give them; rows of numbers count
    /// all.
    fn random(reads: &Reads, rng: &mut Rng) -> Sheet {
        let cols = match reads {
            Reads::MeanLoss | Reads::TokenNll | Reads::Distance { .. } => 1,
            Reads::Logits => SHAPE.vocab,
            Reads::Hidden { .. } => SHAPE.width,
            Reads::Site { columns, .. } => columns.len(),
        };
        let mut targets: Vec<u32> = (0..12).map(|_| rng.below(SHAPE.vocab) as u32).collect();
        for r in [3, 6, 7, 11] {
            targets[r] = IGNORE;
        }
        let mut draw = || -> Vec<f32> {
            let one = |x: f64| if cols == 1 { 0.1 + x.abs() } else { x };
            (0..12 * cols).map(|_| one(rng.normal()) as f32).collect()
        };
        let (values, reference) = (draw(), draw());
        // Two sequences of one label each, and one in which they are mixed.
        let mut labels = [[RETAIN; 4], [FORGET; 4], [UNLABELLED; 4]].concat();
        labels[9] = FORGET;
        let (mut by_label, rows) = (vec![0; 3], 8);
        let (seq, sequences, progress) = (4, 3, 0.25);
        (0..12).filter(|r| targets[*r] != IGNORE).for_each(|r| by_label[labels[r].index()] += 1);
        let text =
            Sheet { values, reference, cols, targets, labels, seq, rows, by_label, sequences, progress };
        match reads {
            Reads::Distance { .. } => text.into_numbers(),
            _ => text,
        }
    }

    /// The same as rows of numbers, which count all and are an example each.
    fn into_numbers(self) -> Sheet {
        let mut by_label = vec![0; 3];
        self.labels.iter().for_each(|l| by_label[l.index()] += 1);
        let rows = self.labels.len();
        Sheet { targets: Vec::new(), seq: 1, rows, by_label, sequences: rows, ..self }
    }

    /// Four of its rows, a sequence of text, as a shard of the same batch.
    fn shard(&self, s: usize) -> Sheet {
        let rows = s * 4..(s + 1) * 4;
        let cells = rows.start * self.cols..rows.end * self.cols;
        Sheet {
            values: self.values[cells.clone()].to_vec(),
            reference: self.reference[cells].to_vec(),
            targets: self.targets.get(rows.clone()).unwrap_or_default().to_vec(),
            labels: self.labels[rows].to_vec(),
            ..self.clone()
        }
    }
}

#[track_caller]
fn close(found: f64, expected: f64) {
    let off = (found - expected).abs();
    assert!(off <= 1e-6 * expected.abs().max(1.0), "{found}, expected {expected}");
}

#[track_caller]
fn all_close(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).for_each(|(f, e)| close(f64::from(*f), *e));
}

/// The objectives of training: with weights of labels and without, on text and on numbers.
fn of_training() -> Vec<(String, Side, Box<dyn Objective>)> {
    let label_weight = vec![2.0, 0.5];
    let mut out: Vec<(String, Box<dyn Objective>)> = vec![
        ("cross-entropy".into(), Box::new(CrossEntropy::default())),
        ("weighted cross-entropy".into(), Box::new(CrossEntropy { label_weight: label_weight.clone() })),
    ];
    for kind in [Distance::Squared, Distance::Absolute] {
        for sum_of_means in [false, true] {
            for label_weight in [Vec::new(), label_weight.clone()] {
                let name = format!("{kind:?} distance, sum of means: {sum_of_means}, {label_weight:?}");
                let one = Reconstruct { output: 0, width: 7, kind, label_weight, sum_of_means };
                out.push((name, Box::new(one)));
            }
        }
    }
    for unrouted in [false, true] {
        let reads = Reads::Site { site: SiteId(0), columns: 2..5, unrouted };
        out.push((format!("L1, unrouted: {unrouted}"), Box::new(L1 { reads, weight: 0.3 })));
    }
    let reads = Reads::Site { site: SiteId(0), columns: 0..6, unrouted: false };
    out.push(("means and scales".into(), Box::new(Variational { reads, weight: 0.3 })));
    let coupled = Correlation { site: SiteId(0), columns: 6, left: 0..2, right: 3..6, weight: 0.7 };
    out.push(("correlation".into(), Box::new(coupled)));
    out.into_iter().map(|(name, objective)| (name, Side::All, objective)).collect()
}

/// A random view of what an objective reads. What couples the batch is asked on rows of numbers.
fn sheet_of(objective: &dyn Objective, rng: &mut Rng) -> Sheet {
    let sheet = Sheet::random(&objective.reads(), rng);
    if objective.couples() { sheet.into_numbers() } else { sheet }
}

/// Every term of every method, and every objective of training, with parameters at which its gradient is that of its value.
fn every_objective() -> Vec<(String, Side, Box<dyn Objective>)> {
    let mut out = Vec::new();
    for e in &UNLEARN {
        let params = match e.about.name {
            // Without a width of its own the kernel's is held constant.
            "repnoise" => json!({ "bandwidth": 6.0 }),
            "npo" => json!({ "likelihood": "mean", "beta": 2.0, "retain": "kl" }),
            _ => json!({}),
        };
        for t in terms_in(SHAPE, e.about.name, &params) {
            out.push((e.about.name.to_owned(), t.side, t.objective));
        }
    }
    for t in terms_in(SHAPE, "npo", &json!({ "likelihood": "sum", "beta": 0.7 })) {
        out.push(("npo with sums".to_owned(), t.side, t.objective));
    }
    out.extend(of_training());
    out
}

#[test]
fn gradients_are_those_of_the_values() {
    let mut rng = Key::root(3).rng();
    let mut checked = 0;
    for (name, side, objective) in every_objective() {
        let held_constant = ["wga", "satimp"].contains(&name.as_str()) && side == Side::Forget;
        let sheet = sheet_of(objective.as_ref(), &mut rng);
        let (_, grad) = sheet.at(objective.as_ref());
        for (i, g) in grad.iter().enumerate() {
            if !sheet.counts(i / sheet.cols) {
                assert_eq!(*g, 0.0, "{name}: a row that does not count has a gradient");
            }
            let moved = |by: f32| {
                let mut sheet = sheet.clone();
                sheet.values[i] += by;
                (f64::from(sheet.values[i]), sheet.at(objective.as_ref()).0)
            };
            let ((x0, y0), (x1, y1)) = (moved(-1e-3), moved(1e-3));
            let slope = (y1 - y0) / (x1 - x0);
            let off = (f64::from(*g) - slope).abs();
            assert!(held_constant || off < 1e-6 + 1e-4 * slope.abs(), "{name} {side:?} {i}: {g}, {slope}");
        }
        assert!(grad.iter().any(|g| *g != 0.0), "{name} {side:?}");
        checked += 1;
    }
    assert!(checked > 2 * UNLEARN.len() + of_training().len(), "{checked}");
}

#[test]
fn mean_losses_have_a_gradient_that_does_not_depend_on_them() {
    let mut rng = Key::root(4).rng();
    let linear = |o: &dyn Objective| matches!(o.reads(), Reads::MeanLoss | Reads::Distance { .. });
    for (name, _, objective) in every_objective().iter().filter(|(_, _, o)| linear(o.as_ref())) {
        let mut sheet = Sheet::random(&objective.reads(), &mut rng);
        let (value, grad) = sheet.at(objective.as_ref());
        sheet.values.iter_mut().for_each(|v| *v *= 3.0);
        let (tripled, same) = sheet.at(objective.as_ref());
        assert_eq!(grad, same, "{name}");
        close(tripled, 3.0 * value);
    }
}

#[test]
fn a_batch_is_the_sum_of_its_shards() {
    let mut rng = Key::root(5).rng();
    for (name, side, objective) in every_objective() {
        if name == "repnoise" && side == Side::Forget {
            continue; // the one that says it is not
        }
        if objective.couples() {
            continue; // sees the whole batch
        }
        let sheet = Sheet::random(&objective.reads(), &mut rng);
        let (value, grad) = sheet.at(objective.as_ref());
        let parts: Vec<_> = (0..3).map(|s| sheet.shard(s).at(objective.as_ref())).collect();
        close(parts.iter().map(|p| p.0).sum(), value);
        assert_eq!(parts.into_iter().flat_map(|p| p.1).collect::<Vec<_>>(), grad, "{name} {side:?}");
    }
}

#[test]
fn tar_flattens_by_itself_or_goes_around_another_method() {
    let log3 = 3f32.ln();
    let own = terms_in(SHAPE, "tar", &json!({}));
    let (value, grad) = Sheet::new(2, &[0], &[0.0, log3], &[]).at(own[0].objective.as_ref());
    let s = 0.25 * 0.25f64.ln() + 0.75 * 0.75f64.ln();
    close(value, s);
    all_close(&grad, &[0.25 * (0.25f64.ln() - s), 0.75 * (0.75f64.ln() - s)]);
    assert_eq!((own.len(), own[0].weight), (7, 4.0));
    let (tar, full) = entry("tar", &json!({ "around": "maxent", "steps": 8, "every": 2 })).unwrap();
    let lrs = vec![3e-4, 1e-3, 3e-3];
    assert_eq!(tar.drive(), Drive::Tar { steps: 8, lrs, every: 2, decay: 0.0625 });
    assert_eq!(full["inner"], json!({ "gamma": 1.0, "alpha": 1.0, "retain": "loss" }));
    let refused = |params: Value| entry("tar", &params).err().unwrap().0;
    assert_eq!(refused(json!({ "every": 0 })), "every");
    assert_eq!(refused(json!({ "inner": { "alpha": 1 } })), "inner");
}

#[test]
fn wrappers_complete_what_is_inside_and_refuse_each_other() {
    let (sam, full) = entry("sam", &json!({ "inner": { "beta": 0.5 } })).unwrap();
    assert_eq!(sam.drive(), Drive::Sam { rho: 0.1 });
    let inner = json!({ "beta": 0.5, "likelihood": "sum", "gamma": 1.0, "alpha": 1.0, "retain": "loss" });
    assert_eq!(full, json!({ "around": "npo", "inner": inner, "rho": 0.1 }));
    assert_eq!(entry("sam", &full).unwrap().1, full);
    assert_eq!(sam.terms(SHAPE, Key::root(0)).unwrap().len(), 2);

    let refused = |name: &str, params: Value| entry(name, &params).err().unwrap();
    let (path, message) = refused("sam", json!({ "around": "maxnet" }));
    assert_eq!(
        (path.as_str(), message.as_str()),
        ("around", "no post-hoc method \"maxnet\"; did you mean \"maxent\"?")
    );
    for inside in ["sam", "lat", "tar"] {
        assert_eq!(refused("lat", json!({ "around": inside })).0, "around");
    }
    let (path, message) = refused("sam", json!({ "inner": { "retain": "los" } }));
    assert!(path == "inner.retain" && message.contains("unknown choice"), "{path}: {message}");
    assert_eq!(refused("sam", json!({ "rho": 0 })).0, "rho");
    let below = method("sam", &json!({ "inner": { "beta": -1 } })).terms(SHAPE, Key::root(0));
    assert_eq!(below.err().unwrap().path, "inner.beta");
}

#[test]
fn a_perturbation_comes_before_what_is_read() {
    let lat = |layer: usize| method("lat", &json!({ "around": "rmu", "layer": layer }));
    assert_eq!(lat(2).drive(), Drive::Lat { layer: 2, eps: 2.0, steps: 16, lr: 0.05 });
    assert!(lat(2).terms(SHAPE, Key::root(0)).is_ok());
    let refused = lat(3).terms(SHAPE, Key::root(0)).err().unwrap();
    assert_eq!(refused.path, "layer");
    assert!(method("lat", &json!({ "layer": 6 })).terms(SHAPE, Key::root(0)).is_err());
}

#[test]
fn every_method_documents_itself_and_its_parameters() {
    for e in &UNLEARN {
        let a = e.about;
        let said = [a.name, a.summary, a.reference, a.unusual, a.fails];
        assert!(said.iter().all(|s| !s.is_empty() && !s.ends_with('.')), "{}", a.name);
        assert_eq!(UNLEARN.iter().filter(|b| b.about.name == a.name).count(), 1);
        assert!((e.params)().iter().all(|p| !p.doc.is_empty()), "{}", a.name);
        let (_, full) = (e.build)(&json!({})).map_err(|e| e.to_string()).unwrap();
        let again = (e.build)(&full).map_err(|e| e.to_string()).unwrap().1;
        assert_eq!(full, again, "{}", a.name);
    }
}
