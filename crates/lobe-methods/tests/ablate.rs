//! Cutting a region out of the weights is the same as running without it.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Bench, assert_close, assert_same, benches, resolve, small, transformers};
use lobe_core::{FORGET, Key, Route, RouteTable, Selection, Target};
use lobe_engine::{Edit, Plan, SiteEdit, SiteId, Tensor};
use lobe_methods::remove::ablate;
use lobe_nets::{Gpt, GptConfig, Network};

fn regions(bench: &Bench) -> Vec<Selection> {
    assert!(!bench.to_cut.is_empty(), "{}", bench.name);
    bench.to_cut.iter().map(|t| resolve(&*bench.net, t)).collect()
}

#[test]
fn a_cut_region_is_an_absent_one() {
    for bench in benches() {
        for region in regions(&bench) {
            let what = format!("{}: {}", bench.name, region.describe(bench.layout().sites()));
            let mut cut = bench.params.clone();
            ablate::zero(bench.layout(), &mut cut, &region);
            let absent = RouteTable::plain().with(FORGET, Target::Region(0), Route::ABSENT);
            let plan = Plan::new(bench.layout(), &bench.labels, &[region], &absent).unwrap();
            let plain = Plan::plain(bench.layout());
            let want = bench.outputs(&bench.params, &plan, FORGET);
            assert_close(&what, &bench.outputs(&cut, &plain, FORGET), &want, 1e-6);
            // Cutting what runs without the region changes nothing at all.
            assert_same(&what, &bench.outputs(&cut, &plan, FORGET), &want);
            let whole = bench.outputs(&bench.params, &plain, FORGET);
            assert!(whole != want, "{what}: the region does nothing to begin with");
        }
    }
}

#[test]
fn zero_touches_owned_parameters_and_no_other() {
    for bench in benches() {
        for region in regions(&bench) {
            let mut cut = bench.params.clone();
            ablate::zero(bench.layout(), &mut cut, &region);
            for (i, owned) in bench.owned(&region).iter().enumerate() {
                let want = if *owned { 0.0 } else { bench.params[i] };
                assert_eq!(cut[i].to_bits(), want.to_bits(), "{}: {i}", bench.name);
            }
        }
    }
}

/// A made-up mean for every column of a site's activation.
fn means(bench: &Bench, site: usize) -> Vec<f32> {
    let info = &bench.layout().sites()[site];
    let read = |t: &Tensor| t.row_owner.as_ref().filter(|o| o.site.0 == site).map(|o| o.parts[0].width);
    let width = bench.layout().tensors().iter().find_map(read).unwrap();
    let mut rng = Key::root(9).index(site as u64).rng();
    (0..info.units as usize * width).map(|_| rng.normal() as f32).collect()
}

/// The region's units held at their means while the network runs.
fn held(bench: &Bench, region: &Selection) -> Plan {
    let mut plan = Plan::plain(bench.layout());
    for (site, ranges) in region.sites() {
        let mean = means(bench, site);
        let width = mean.len() / bench.layout().sites()[site].units as usize;
        for r in ranges {
            let cols = r.start as usize * width..r.end as usize * width;
            let edit = Edit::Set(mean[cols.clone()].to_vec());
            plan = plan.with_edit(SiteEdit { site: SiteId(site), cols, edit }).unwrap();
        }
    }
    plan
}

#[test]
fn a_mean_cut_holds_every_unit_at_its_mean() {
    for bench in benches() {
        for region in regions(&bench) {
            let what = format!("{}: {}", bench.name, region.describe(bench.layout().sites()));
            let mut cut = bench.params.clone();
            let result = ablate::mean(bench.layout(), &mut cut, &region, &|site| means(&bench, site));
            let refused = match bench.name {
                "llama" | "residual-mlp" => Some("has no bias to fold the mean into"),
                "superposition" => Some("have no out-going weights of their own"),
                _ => None,
            };
            if let Some(why) = refused {
                let message = result.unwrap_err().to_string();
                assert!(message.contains(why), "{message}");
                assert_same(&format!("{what}: refused, so nothing may change"), &cut, &bench.params);
                continue;
            }
            result.unwrap();
            let mut got = bench.outputs(&cut, &Plan::plain(bench.layout()), FORGET);
            let mut want = bench.outputs(&bench.params, &held(&bench, &region), FORGET);
            // The first output is what is cut; certificates read the latent without belonging to it and see
            // the zeros.
            let main = got.len() / bench.net.outputs().len();
            got.truncate(main);
            want.truncate(main);
            assert_close(&what, &got, &want, 1e-5);
        }
    }
}

#[test]
fn a_new_draw_touches_owned_parameters_and_has_the_spread_of_the_others() {
    let config = GptConfig { layers: 1, width: 64, heads: 4, init_std: 0.05, ..GptConfig::default() };
    let net: &dyn Network = &Gpt::new(config.resolve(20, 6).unwrap());
    let layout = net.layout();
    let mut params = layout.init(Key::root(5)).to_vec();
    // Different spreads in different tensors, and biases that are not zero.
    for (i, t) in layout.tensors().iter().enumerate() {
        let mut rng = Key::root(6).index(i as u64).rng();
        params[t.span()].iter_mut().for_each(|x| *x += 0.02 * (i + 1) as f32 * rng.normal() as f32);
    }
    for text in ["blocks.0.mlp.post[-64..] + blocks.0.attn.z[-1]", "blocks.0.mlp.post[..128]"] {
        let region = resolve(net, text);
        let mut owned = vec![false; params.len()];
        layout.for_owned(&region, |_, r| owned[r].fill(true));
        let mut drawn = params.clone();
        ablate::zero(layout, &mut drawn, &region);
        ablate::reinit(layout, &mut drawn, &region, Key::root(7));
        let mut again = params.clone();
        ablate::reinit(layout, &mut again, &region, Key::root(7));
        assert_same("what was there does not matter", &again, &drawn);
        let mut other = params.clone();
        ablate::reinit(layout, &mut other, &region, Key::root(8));
        assert!(other != drawn, "another key draws other numbers");
        for t in layout.tensors() {
            let (mut new, mut rest) = (Vec::new(), Vec::new());
            for i in t.span() {
                if owned[i] { &mut new } else { &mut rest }.push(f64::from(drawn[i]));
                assert!(owned[i] || drawn[i].to_bits() == params[i].to_bits(), "{}: {i}", t.name);
                assert!(!owned[i] || drawn[i] != params[i], "{}: {i} was not drawn", t.name);
            }
            if new.is_empty() {
                continue;
            }
            let rms = |x: &[f64]| (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
            let (got, want) = (rms(&new), rms(&rest));
            let tolerance = 5.0 / (2.0 * new.len() as f64).sqrt() + 5.0 / (2.0 * rest.len() as f64).sqrt();
            assert!((got / want - 1.0).abs() < tolerance, "{text}: {}: {got} against {want}", t.name);
            let mean = new.iter().sum::<f64>() / new.len() as f64;
            assert!(mean.abs() < 5.0 * want / (new.len() as f64).sqrt(), "{text}: {}: mean {mean}", t.name);
        }
    }
}

#[test]
fn a_new_draw_of_whole_sites_is_not_dead() {
    for bench in transformers() {
        let region = resolve(&*bench.net, "blocks.*.mlp.post + blocks.*.attn.z");
        let mut params = bench.params.clone();
        ablate::zero(bench.layout(), &mut params, &region);
        ablate::reinit(bench.layout(), &mut params, &region, Key::root(1));
        for t in bench.layout().tensors().iter().filter(|t| t.matrix && !t.owned(&region).is_empty()) {
            let alive = params[t.span()].iter().filter(|x| **x != 0.0).count();
            assert_eq!(alive, t.rows * t.cols, "{}: {} of {alive} alive", bench.name, t.name);
        }
    }
}

#[test]
fn nothing_selected_changes_nothing() {
    let bench = small();
    let none = Selection::default();
    let mut params = bench.params.clone();
    ablate::zero(bench.layout(), &mut params, &none);
    ablate::reinit(bench.layout(), &mut params, &none, Key::root(1));
    ablate::mean(bench.layout(), &mut params, &none, &|_| Vec::new()).unwrap();
    assert_same("nothing", &params, &bench.params);
}
