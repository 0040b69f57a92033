//! Any text as a region: what parses prints itself and parses again as the same region, and
//! resolves to units that exist.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lobe_core::{Region, SiteInfo};

fuzz_target!(|text: &str| {
    let Ok(region) = text.parse::<Region>() else { return };
    let again = region.to_string().parse::<Region>();
    assert_eq!(again.as_ref(), Ok(&region), "a printed region parses as itself");
    let sites: Vec<SiteInfo> = (0..3)
        .flat_map(|b| {
            [("mlp.post", 64), ("attn.z", 4), ("resid_post", 16)].map(|(s, n)| (format!("blocks.{b}.{s}"), n))
        })
        .chain([("embed".to_owned(), 16), ("latent".to_owned(), 32)])
        .map(|(name, units)| SiteInfo { name, units })
        .collect();
    let Ok(units) = region.resolve(&sites) else { return };
    for (site, ranges) in units.sites() {
        assert!(ranges.iter().all(|r| r.start < r.end && r.end <= sites[site].units), "units exist");
        assert!(ranges.windows(2).all(|w| w[0].end < w[1].start), "sorted, disjoint and never adjacent");
    }
    let named = |s: &usize| units.names(*s);
    let total: usize = (0..sites.len()).filter(named).map(|s| sites[s].units as usize).sum();
    let rest = units.clone().complement(&sites);
    assert_eq!(units.count() + rest.count(), total, "a region and its complement share the sites it names");
    assert_eq!(units.intersection(&rest).count(), 0);
    assert_eq!(rest.complement(&sites), units);
});
