//! Which units go: a profile, a list of regions, or a region written out.

use anyhow::Result;
use lobe_core::Selection;

use super::{Args, Source};
use crate::commands::sample::source::region;
use crate::failure::{refuse, unknown};

/// The two names of a profile that are no region's.
const WORDS: [&str; 2] = ["core", "full"];

/// The units that go.
pub(super) fn removed(args: &Args, source: &Source) -> Result<Selection> {
    let sites = source.net.layout.sites();
    let all = |names: &[&str]| -> Result<Selection> {
        let mut sum = Selection::default();
        for name in names {
            sum = sum.union(&region(&source.regions, sites, name)?);
        }
        Ok(sum)
    };
    if let Some(text) = &args.region {
        return all(&[text]);
    }
    let Some(profile) = &args.profile else {
        return all(&args.without.iter().map(|w| w.trim()).collect::<Vec<_>>());
    };
    let names: Vec<&str> = source.regions.iter().map(|r| r.0.as_str()).collect();
    let stay = staying(profile, &names)?;
    let go: Vec<&str> = names.into_iter().filter(|n| !stay.contains(n)).collect();
    Ok(all(&go)?.difference(&all(&stay)?))
}

/// Names of the regions that a profile keeps.
fn staying<'a>(profile: &str, regions: &[&'a str]) -> Result<Vec<&'a str>> {
    if regions.is_empty() && profile != "full" {
        return Err(refuse(format!("--profile {profile}: nothing here names regions; use --region")));
    }
    if WORDS.contains(&profile) && regions.contains(&profile) {
        return Err(refuse(format!(
            "--profile {profile} is ambiguous, a region has this name; use --without"
        )));
    }
    match profile {
        "full" => return Ok(regions.to_vec()),
        "core" => return Ok(Vec::new()),
        _ => {}
    }
    let find = |name: &str| {
        let found = regions.iter().copied().find(|r| *r == name);
        found.ok_or_else(|| unknown("region", name, regions.iter().copied().chain(WORDS)))
    };
    profile.split('+').map(|name| find(name.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::staying;

    #[test]
    fn profiles_name_what_stays() {
        let regions = ["virology", "spanish", "law"];
        let stay = |p: &str| staying(p, &regions).map_err(|e| e.to_string());
        assert_eq!(stay("full").unwrap(), regions);
        assert!(stay("core").unwrap().is_empty());
        assert_eq!(stay("law + spanish").unwrap(), ["law", "spanish"]);
        assert_eq!(stay("spansh").unwrap_err(), "no region \"spansh\"; did you mean \"spanish\"?");
        assert_eq!(stay("law+cor").unwrap_err(), "no region \"cor\"; did you mean \"core\"?");
        assert_eq!(
            staying("core", &["core"]).unwrap_err().to_string(),
            "--profile core is ambiguous, a region has this name; use --without"
        );
        assert!(staying("core", &[]).is_err() && staying("full", &[]).is_ok());
    }
}
