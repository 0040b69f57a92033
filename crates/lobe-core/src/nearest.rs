//! Nearest valid name, for error messages.

/// The candidate closest to `name`, if any is close enough to be a likely typo.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let score = |c: &str| strsim::jaro_winkler(&name.to_lowercase(), &c.to_lowercase());
    let best = candidates.into_iter().map(|c| (score(c), c)).max_by(|a, b| a.0.total_cmp(&b.0))?;
    // A typo is rarely in the first letter; without it more has to agree.
    let first = |word: &str| word.chars().next().map(|c| c.to_ascii_lowercase());
    let enough = if first(name) == first(best.1) { 0.6 } else { 0.8 };
    (best.0 > enough).then_some(best.1)
}

/// `"; did you mean \"x\"?"`, or all the choices when none is close.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(best) = nearest(name, candidates.clone()) {
        return format!("; did you mean \"{best}\"?");
    }
    let all: Vec<&str> = candidates.into_iter().take(20).collect();
    if all.is_empty() { String::new() } else { format!("; valid: {}", all.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_nonsense_lists_all() {
        assert_eq!(nearest("spansh", ["spanish", "english"]), Some("spanish"));
        assert_eq!(did_you_mean("relern", ["relearn", "graft"]), "; did you mean \"relearn\"?");
        assert_eq!(did_you_mean("zzzz", ["ab", "cd"]), "; valid: ab, cd");
    }
}
