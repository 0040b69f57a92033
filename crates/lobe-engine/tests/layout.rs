//! Layouts: reproducible initial values, and owned rectangles that cover what they say.
#![allow(clippy::single_range_in_vec_init, reason = "regions are lists of ranges, also of one")]

use lobe_core::{JointKind, Key, Selection};
use lobe_engine::{Init, Layout, Owner, OwnerPart, SiteId};

fn statistics(x: &[f32]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let var = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / n;
    (mean, var.sqrt())
}

#[test]
fn initial_values_belong_to_names() {
    let mut a = Layout::default();
    a.tensor("zeros", 1, 7).add();
    let normal = a.tensor("normal", 100, 200).init(Init::Normal(0.02)).add();
    a.tensor("ones", 1, 5).init(Init::Ones).add();
    let mut b = Layout::default();
    let uniform = b.tensor("uniform", 100, 100).init(Init::Uniform(0.3)).add();
    let again = b.tensor("normal", 100, 200).init(Init::Normal(0.02)).add();
    let other = b.tensor("other", 100, 200).init(Init::Normal(0.02)).add();
    let (pa, pb) = (a.init(Key::root(3)), b.init(Key::root(3)));
    assert!(pa[..7].iter().all(|x| *x == 0.0) && pa[20_007..].iter().all(|x| *x == 1.0));
    assert_eq!(pa[a.get(normal).span()], pb[b.get(again).span()], "networks share what they share by name");
    assert_ne!(pb[b.get(other).span()], pb[b.get(again).span()]);
    assert_ne!(a.init(Key::root(4))[a.get(normal).span()], pa[a.get(normal).span()]);
    let (mean, sd) = statistics(&pa[a.get(normal).span()]);
    assert!(mean.abs() < 5e-4 && (sd / 0.02 - 1.0).abs() < 0.02, "{mean} {sd}");
    let u = &pb[b.get(uniform).span()];
    let (mean, sd) = statistics(u);
    assert!(mean.abs() < 6e-3 && (sd / (0.3 / 3f64.sqrt()) - 1.0).abs() < 0.02, "{mean} {sd}");
    assert!(u.iter().all(|x| x.abs() <= 0.3));
    assert_eq!((a.len(), a.find("ones").map(|p| p.0), a.find("none")), (20_012, Some(2), None));
    assert!(!a.is_empty() && Layout::default().is_empty());
}

#[test]
fn unit_rows_have_length_one_and_point_anywhere() {
    let mut l = Layout::default();
    l.tensor("rows", 300, 50).init(Init::UnitRows).add();
    let p = l.init(Key::root(3));
    for row in p.chunks_exact(50) {
        let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        assert!((norm - 1.0).abs() < 1e-6, "{norm}");
    }
    let (mean, sd) = statistics(&p);
    assert!(mean.abs() < 5e-3 && (sd * 50f64.sqrt() - 1.0).abs() < 1e-3, "{mean} {sd}");
}

#[test]
fn rectangles_are_disjoint_and_complete() {
    let mut l = Layout::default();
    let heads = l.site("attn.z", 6);
    let neurons = l.site("mlp.post", 9);
    let parts = vec![
        OwnerPart { start: 0, blocks: 6, width: 2, units_per_block: 1 },
        OwnerPart { start: 12, blocks: 3, width: 2, units_per_block: 2 },
    ];
    l.tensor("both", 9, 20)
        .rows_owned(Owner::units(neurons, 9))
        .cols_owned(Owner { site: heads, parts })
        .joint(JointKind::Head)
        .add();
    l.tensor("vector", 1, 9).cols_owned(Owner::units(neurons, 9)).add();
    l.tensor("joint", 2, 3).add();
    l.check().expect("consistent");
    assert_eq!(l.find_site("mlp.post"), Some(SiteId(1)));
    for (h, n) in [
        (vec![0..1, 2..4], vec![1..3, 8..9]),
        (vec![1..6], vec![]),
        (vec![], vec![0..9]),
        (vec![0..2, 3..5], vec![0..1, 4..5]),
    ] {
        let mut s = Selection::default();
        s.add(heads.0, h.clone());
        s.add(neurons.0, n.clone());
        let has = |r: &[std::ops::Range<u32>], u: usize| r.iter().any(|r| r.contains(&(u as u32)));
        let mut want = vec![false; l.len()];
        for row in 0..9 {
            for col in 0..20 {
                let head = match col {
                    0..12 => has(&h, col / 2),
                    12..18 => has(&h, (col - 12) / 2 * 2) && has(&h, (col - 12) / 2 * 2 + 1),
                    _ => false,
                };
                want[row * 20 + col] = has(&n, row) || head;
            }
        }
        (0..9).for_each(|u| want[180 + u] = has(&n, u));
        let mut hits = vec![0; l.len()];
        l.for_owned(&s, |t, r| {
            assert!(t.span().start <= r.start && r.end <= t.span().end);
            r.for_each(|i| hits[i] += 1);
        });
        let got: Vec<bool> = hits.iter().map(|h| *h == 1).collect();
        assert!(hits.iter().all(|h| *h <= 1), "disjoint");
        assert_eq!(got, want, "{h:?} {n:?}");
        assert_eq!(l.count_owned(&s), want.iter().filter(|w| **w).count());
    }
}
