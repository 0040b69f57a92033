//! Any text as weights: what parses prints itself and parses again as the same weights, and means entries
//! that exist.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use lobe_core::Weights;
use lobe_engine::{Entries, Layout, Owner, ParamId};

fuzz_target!(|text: &str| {
    let Ok(weights) = text.parse::<Weights>() else { return };
    let again = weights.to_string().parse::<Weights>();
    assert_eq!(again.as_ref(), Ok(&weights), "printed weights parse as themselves");
    let mut layout = Layout::default();
    for b in 0..3 {
        let post = layout.site(format!("blocks.{b}.mlp.post"), 6);
        layout.tensor(format!("blocks.{b}.mlp.in.weight"), 4, 6).cols_owned(Owner::units(post, 6)).add();
        layout.tensor(format!("blocks.{b}.mlp.in.bias"), 1, 6).cols_owned(Owner::units(post, 6)).add();
        layout.tensor(format!("blocks.{b}.mlp.out.weight"), 6, 4).rows_owned(Owner::units(post, 6)).add();
    }
    let whole = Entries::whole(&layout, (0..layout.tensors().len()).map(ParamId));
    let some = Entries::of([(ParamId(0), (1..3, 2..5)), (ParamId(2), (0..6, 1..2))]);
    let found = BTreeMap::from([("found".to_owned(), some)]);
    let Ok(entries) = Entries::resolve(&weights, &layout, &found) else { return };
    let mut seen = 0;
    let mut end = 0;
    entries.for_ranges(&layout, |p, r| {
        let span = layout.get(p).span();
        assert!(
            end <= r.start && r.start < r.end && span.start <= r.start && r.end <= span.end,
            "entries exist"
        );
        (seen, end) = (seen + r.len(), r.end);
    });
    assert_eq!(seen, entries.count());
    let rest = whole.clone().difference(&entries);
    assert_eq!(entries.count() + rest.count(), layout.len());
    assert!(entries.clone().intersection(&rest).is_empty());
    assert_eq!(entries.union(&rest), whole);
});
