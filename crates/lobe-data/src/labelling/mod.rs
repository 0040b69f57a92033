//! Which label each example carries. A rule, separate from the data: a perfect labeller
//! (by class or by word list), then degraded by recall and precision.
//!
//! Every example has one uniform number `u` drawn from the key. A rule takes its own examples
//! with `u` in `[lo, lo + recall)`, counted from 0 upward, and false positives with `u` in
//! `[hi − rate, hi)`, counted from 1 downward. So the labels at recall 0.6 are a subset of those
//! at recall 0.9, whatever the arm.

mod config;
mod ratio;
mod words;

use lobe_core::{Key, LabelId, LabelSet, UNLABELLED};

use crate::dataset::{Dataset, Examples};
use crate::error::{DataError, Result};

pub use config::RuleConfig;
pub use ratio::{FrequencyRatio, TokenStrength, frequency_ratio};
pub use words::WordList;

/// The labels of one arm's training examples.
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// One per training example.
    pub label: Vec<LabelId>,
    /// Token weights, if a rule asks for them.
    pub strength: Option<TokenStrength>,
}

/// One label's rule, resolved against a data set.
#[derive(Debug, Clone)]
struct Rule {
    label: LabelId,
    name: String,
    /// Per class: are its examples truly of this label? With a word list, of no use.
    classes: Vec<bool>,
    words: Option<WordList>,
    /// With a word list: per training example, is it truly of this label? Else empty.
    truth: Vec<bool>,
    /// Empty: all classes.
    confused_with: Vec<u16>,
    recall: f64,
    precision: f64,
    /// Rate of false positives among the examples they may come from.
    false_rate: f64,
    tokens: Option<FrequencyRatio>,
}

/// A labelling resolved against a data set.
#[derive(Debug, Clone)]
pub struct Labelling {
    rules: Vec<Rule>,
    /// Per class the label of all its training examples, where no rule leaves that to chance or to words.
    certain: Vec<Option<LabelId>>,
}

fn refuse<T>(what: String) -> Result<T> {
    Err(DataError::Labelling { what })
}

/// What a rule makes of `(u, truth, class)`.
fn decide(rules: &[Rule], u: f64, truth: impl Fn(&Rule) -> bool, class: u16) -> Result<LabelId> {
    let (mut lo, mut hi, mut hit) = (0.0, 1.0, UNLABELLED);
    for rule in rules {
        let own = truth(rule);
        let share = rule.share(own, class);
        let taken = if own {
            lo += share;
            lo - share <= u && u < lo
        } else {
            hi -= share;
            hi <= u && u < hi + share
        };
        if taken {
            hit = rule.label;
        }
        if lo > hi + 1e-9 {
            return refuse(too_much(rules, truth, class));
        }
    }
    Ok(hit)
}

/// Why the rules cannot all have what they ask for, and what makes room for them.
fn too_much(rules: &[Rule], truth: impl Fn(&Rule) -> bool, class: u16) -> String {
    let asked = rules.iter().map(|r| (r, truth(r))).map(|(r, own)| (r, own, r.share(own, class)));
    let asked: Vec<(&Rule, bool, f64)> = asked.filter(|(.., share)| *share > 0.0).collect();
    let claim = |(rule, own, share): &(&Rule, bool, f64)| {
        let (name, share) = (&rule.name, (share * 1e4).round() / 1e4);
        if *own {
            format!("{share} by recall of {name:?}")
        } else {
            format!("{share} by precision {} of {name:?}", rule.precision)
        }
    };
    let claims: Vec<String> = asked.iter().map(claim).collect();
    let mistaken: f64 = asked.iter().filter(|(_, own, _)| !own).map(|(.., share)| share).sum();
    // Rounded down, so that the number can be copied.
    let left = ((1.0 - mistaken + 1e-10) * 1e4).floor() / 1e4;
    let owners: Vec<&str> = asked.iter().filter(|(_, own, _)| *own).map(|(r, ..)| r.name.as_str()).collect();
    let help = match owners[..] {
        [name] if left > 0.0 => format!("lower recall of {name:?} to at most {left}"),
        [_, _, ..] if left > 0.0 => {
            format!("where several rules truly hold, their recalls may add up to {left} at most")
        }
        _ => "raise precision".to_owned(),
    };
    format!("the rules ask for more than all of some examples: {}; {help}", claims.join(", "))
}

impl Labelling {
    /// Resolves rules, in order, against `data`; their labels are added to `labels`.
    ///
    /// # Errors
    /// If a class is unknown, a rate is outside of [0, 1], a rule matches nothing, or the rules
    /// together ask for more than there is.
    pub fn new(rules: &[(String, RuleConfig)], data: &Dataset, labels: &mut LabelSet) -> Result<Labelling> {
        let mut counts = vec![0; data.classes.len()];
        data.train.class.iter().for_each(|c| counts[usize::from(*c)] += 1);
        let mut out = Labelling { rules: Vec::new(), certain: Vec::new() };
        for (name, config) in rules {
            out.rules.push(Rule::new(name, config, (data, &counts), labels)?);
        }
        let weighted: Vec<&str> =
            rules.iter().filter(|(_, r)| r.tokens.is_some()).map(|(name, _)| name.as_str()).collect();
        match weighted[..] {
            [first, second, ..] => {
                return refuse(format!(
                    "{first:?} and {second:?} both have \"tokens\"; one label's tokens have weights"
                ));
            }
            [name] if data.tokenizer.is_none() => {
                return refuse(format!("{name:?} has \"tokens\", but the data are images"));
            }
            _ => {}
        }
        // Fails now rather than in an arm if the rules contradict each other.
        if out.by_class() {
            for class in (0..).zip(&counts).filter(|(_, n)| **n > 0).map(|(class, _)| class) {
                decide(&out.rules, 0.0, |r| r.owns(0, class), class)?;
            }
        } else {
            for (i, &class) in data.train.class.iter().enumerate() {
                decide(&out.rules, 0.0, |r| r.owns(i, class), class)?;
            }
        }
        out.certain = (0..).zip(&counts).map(|(class, n)| out.certain(class, *n)).collect();
        Ok(out)
    }

    /// Whether what is true of an example follows from its class.
    fn by_class(&self) -> bool {
        self.rules.iter().all(|r| r.words.is_none())
    }

    /// The label of all `n` training examples of a class, whatever number is drawn for them.
    fn certain(&self, class: u16, n: usize) -> Option<LabelId> {
        let sure = |r: &Rule| [0.0, 1.0].contains(&r.share(r.owns(0, class), class));
        if n == 0 || !self.by_class() || !self.rules.iter().all(sure) {
            return None;
        }
        decide(&self.rules, 0.0, |r| r.owns(0, class), class).ok()
    }

    /// Labels all training examples. Arms that pass the same key have nested labels.
    ///
    /// # Errors
    /// If token weights are asked for, but the data are images.
    pub fn apply(&self, data: &Dataset, key: Key) -> Result<Labels> {
        let mut label = Vec::with_capacity(data.train.len());
        let key = key.child("example");
        for (i, &class) in data.train.class.iter().enumerate() {
            label.push(match self.certain[usize::from(class)] {
                Some(label) => label,
                None => decide(&self.rules, key.index(i as u64).uniform(), |r| r.owns(i, class), class)?,
            });
        }
        let weighted = self.rules.iter().find_map(|r| r.tokens.map(|t| (r.label, t)));
        let strength = match weighted {
            Some((id, ratio)) => Some(TokenStrength::count(ratio, id, &label, data)?),
            None => None,
        };
        Ok(Labels { label, strength })
    }

    /// The label of a whole step of examples whose true label is `truth`, for streams over true
    /// labels instead of classes: the same rule with one uniform number per step. Five digits to forget
    /// are then one kind of step, not five.
    ///
    /// # Errors
    /// If a rule restricts its false positives to some classes, which such steps mix.
    pub fn label_of_group(&self, step: u64, truth: LabelId, key: Key) -> Result<LabelId> {
        if let Some(rule) = self.rules.iter().find(|r| !r.confused_with.is_empty()) {
            return refuse(format!("\"confused_with\" of {:?} needs steps of one class each", rule.name));
        }
        let u = key.child("step").index(step).uniform();
        decide(&self.rules, u, |r| r.label == truth, 0)
    }

    /// The first rule with false positives (`precision` below 1). How many there are follows from the numbers
    /// of examples: where whole steps are labelled and their shares are weighted, the precision of the
    /// steps is another one.
    pub fn imprecise(&self) -> Option<&str> {
        self.rules.iter().find(|r| r.false_rate > 0.0).map(|r| r.name.as_str())
    }

    /// The label a perfect labeller gives to each of `examples` (of either split): the first
    /// rule that truly holds.
    pub fn truth(&self, examples: &Examples, data: &Dataset) -> Vec<LabelId> {
        let of =
            |i: usize| self.rules.iter().find(|r| r.holds(examples, i, data)).map_or(UNLABELLED, |r| r.label);
        (0..examples.len()).map(of).collect()
    }
}

impl Rule {
    /// `counts` are the training examples of each class.
    fn new(
        name: &str,
        config: &RuleConfig,
        (data, counts): (&Dataset, &[usize]),
        labels: &mut LabelSet,
    ) -> Result<Rule> {
        let ids = |names: &[String]| names.iter().map(|c| data.class(c)).collect::<Result<Vec<u16>>>();
        for (what, x) in [("recall", config.recall), ("precision", config.precision)] {
            if !(0.0..=1.0).contains(&x) {
                return refuse(format!("{what} of {name:?} is {x}, outside of [0, 1]"));
            }
        }
        let words = match (config.classes.is_empty(), config.words.is_empty()) {
            (true, false) if data.tokenizer.is_some() => {
                Some(WordList::new(&config.words, &format!("words of {name:?}"))?)
            }
            (true, false) => {
                return refuse(format!("{name:?} has a word list, but {} is not text", data.name));
            }
            (false, true) => None,
            _ => return refuse(format!("{name:?} needs either classes or words")),
        };
        let mut classes = vec![false; data.classes.len()];
        ids(&config.classes)?.into_iter().for_each(|c| classes[usize::from(c)] = true);
        let mut rule = Rule {
            label: labels.add(name),
            name: name.into(),
            classes,
            words,
            truth: Vec::new(),
            confused_with: ids(&config.confused_with)?,
            recall: config.recall,
            precision: config.precision,
            false_rate: 0.0,
            tokens: config.tokens,
        };
        if rule.words.is_some() {
            rule.truth = (0..data.train.len()).map(|i| rule.holds(&data.train, i, data)).collect();
        }
        rule.false_rate = rule.false_rate(data, counts)?;
        Ok(rule)
    }

    /// Whether a training example of a class is truly of this label.
    fn owns(&self, i: usize, class: u16) -> bool {
        if self.words.is_some() { self.truth[i] } else { self.classes[usize::from(class)] }
    }

    /// Which share of some examples of a class the rule takes: its recall if they are truly its own,
    /// otherwise what it mistakes for them.
    fn share(&self, own: bool, class: u16) -> f64 {
        if own {
            self.recall
        } else if self.confused_with.is_empty() || self.confused_with.contains(&class) {
            self.false_rate
        } else {
            0.0
        }
    }

    fn holds(&self, examples: &Examples, i: usize, data: &Dataset) -> bool {
        match (&self.words, &data.tokenizer) {
            (Some(words), Some(tokenizer)) => words.occurs_in(&tokenizer.decode(examples.row(i))),
            _ => self.classes[usize::from(examples.class[i])],
        }
    }

    /// precision = TP / (TP + FP), so FP = TP · (1 − p) / p, spread evenly over those it may hit.
    fn false_rate(&self, data: &Dataset, counts: &[usize]) -> Result<f64> {
        let (name, precision) = (&self.name, self.precision);
        // Training examples of a class, of this label and not.
        let mut of = vec![[0; 2]; counts.len()];
        if self.words.is_some() {
            let all = self.truth.iter().zip(&data.train.class);
            all.for_each(|(own, class)| of[usize::from(*class)][usize::from(!own)] += 1);
        } else {
            let all = of.iter_mut().zip(counts).zip(&self.classes);
            all.for_each(|((of, n), own)| of[usize::from(!own)] = *n);
        }
        let positives: usize = of.iter().map(|[own, _]| own).sum();
        if positives == 0 {
            return refuse(format!("{name:?} matches none of the training examples of {}", data.name));
        }
        if precision == 1.0 {
            return Ok(0.0);
        }
        if precision == 0.0 {
            return refuse(format!("precision of {name:?} is 0, which no number of false positives gives"));
        }
        let open = |class: &u16| self.confused_with.is_empty() || self.confused_with.contains(class);
        let negatives: usize =
            (0..).zip(&of).filter(|(class, _)| open(class)).map(|(_, [_, other])| other).sum();
        let wanted = self.recall * positives as f64 * (1.0 - precision) / precision;
        if wanted > negatives as f64 {
            return refuse(format!(
                "precision {precision} of {name:?} needs {wanted:.0} false positives among {negatives} other examples"
            ));
        }
        Ok(if negatives == 0 { 0.0 } else { wanted / negatives as f64 })
    }
}

#[cfg(test)]
mod tests;
