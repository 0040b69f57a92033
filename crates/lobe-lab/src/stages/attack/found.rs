//! Prefixes that an attack found, as text: what an attacker would type.

use lobe_data::Tokenizer;
use lobe_methods::Trial;

use crate::error::LabError;
use crate::graph::{Context, Work};
use crate::recipe;
use crate::store::{Prefix, PrefixFile};

/// The text of tokens, and whether encoding it gives them back.
fn typed(tokenizer: &Tokenizer, tokens: &[u32]) -> (String, bool) {
    let text = tokenizer.decode(tokens);
    let survives = tokenizer.encode(&text).is_ok_and(|again| again == tokens);
    (text, survives)
}

/// Writes the member's own `prefixes.json`, if something was found.
pub(super) fn write(
    c: &Context<'_>,
    stage: &recipe::Stage,
    work: &Work,
    trials: &[Trial],
) -> Result<(), LabError> {
    let x = c.experiment;
    let Some(tokenizer) = &x.data.tokenizer else { return Ok(()) };
    let one = |t: &Trial| {
        let (text, survives) = typed(tokenizer, &t.found);
        Prefix {
            stage: stage.name.clone(),
            arm: x.arms[work.arm].arm.name.clone(),
            seed: work.seed,
            variant: t.variant.clone(),
            tokens: t.found.clone(),
            text,
            survives,
        }
    };
    let prefixes: Vec<Prefix> = trials.iter().filter(|t| !t.found.is_empty()).map(one).collect();
    if prefixes.is_empty() {
        return Ok(());
    }
    let bytes = serde_json::to_vec_pretty(&PrefixFile { prefixes }).unwrap_or_default();
    Ok(work.dir.write("prefixes.json", |w| w.write_all(&bytes))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_typed_is_told_apart() {
        let bytes = Tokenizer::Byte;
        assert_eq!(typed(&bytes, &[b'h'.into(), b'i'.into()]), ("hi".into(), true));
        // Half of a character becomes the replacement character, which is three other bytes.
        let (text, survives) = typed(&bytes, &[0xc3]);
        assert!(!survives && text == "\u{fffd}", "{text:?}");
        // The mark between texts has no text.
        assert_eq!(typed(&bytes, &[256]), (String::new(), false));
    }
}
