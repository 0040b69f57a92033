//! Numbers as readers see them: few digits, a real minus sign, a dash for what is missing.

use crate::stats::Summary;

pub(crate) const MISSING: &str = "—";

/// Four significant digits between a thousandth and a million, powers of ten elsewhere.
pub(crate) fn number(v: f64) -> String {
    let size = v.abs();
    let text = if size == 0.0 {
        "0".to_owned()
    } else if (0.001..1e6).contains(&size) {
        let decimals = (3 - size.log10().floor() as i32).clamp(0, 4) as usize;
        let text = format!("{size:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        let text = format!("{size:.2e}");
        let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
        format!("{digits}×10{}", superscript(power))
    };
    if v < 0.0 { format!("−{text}") } else { text }
}

/// A fraction as whole percent; one decimal close to the ends, where it matters.
pub(crate) fn percent(v: f64) -> String {
    let p = v * 100.0;
    let text = if p.abs() < 1e6 { format!("{:.0}", p.abs()) } else { number(p.abs()) };
    if p <= -0.5 { format!("−{text}") } else { text }
}

/// `mean [low, high]` with as many decimals as the interval's width bears; the mean alone where one
/// seed, or equal seeds, give no width.
pub(crate) fn interval(s: &Summary) -> String {
    spread(s)
}

/// [`interval`] of a difference: the mean always has its sign.
pub(crate) fn difference(s: &Summary) -> String {
    let text = spread(s);
    if s.mean > 0.0 { format!("+{text}") } else { text }
}

/// [`interval`] of a fraction in whole percent.
pub(crate) fn percent_interval(s: &Summary) -> String {
    match s.interval.filter(|_| s.sd.is_some_and(|sd| sd > 1e-9)) {
        Some((low, high)) => format!("{} % [{}, {}]", percent(s.mean), percent(low), percent(high)),
        None => format!("{} %", percent(s.mean)),
    }
}

/// A share with two decimals, as a matrix of them is read.
pub(crate) fn share(v: f64) -> String {
    if v.abs() >= 1000.0 {
        return number(v);
    }
    let text = format!("{:.2}", v.abs());
    if v < 0.0 && text != "0.00" { format!("−{text}") } else { text }
}

/// [`interval`] of a share.
pub(crate) fn share_interval(s: &Summary) -> String {
    match s.interval {
        Some((low, high)) => format!("{} [{}, {}]", share(s.mean), share(low), share(high)),
        None => share(s.mean),
    }
}

fn spread(s: &Summary) -> String {
    let Some((low, high)) = s.interval else { return number(s.mean) };
    let (width, size) = (high - low, low.abs().max(high.abs()));
    if width <= size * 1e-9 {
        return number(s.mean);
    }
    // Two digits of the width, but no more than three of the number itself below one.
    let most = if size >= 1.0 { 3 } else { (2 - size.log10().floor() as i32).max(0) as usize };
    let decimals = (1 - width.log10().floor() as i32).max(0) as usize;
    if !(1e-4..1e6).contains(&size) {
        return format!("{} [{}, {}]", number(s.mean), number(low), number(high));
    }
    let fixed = |v: f64| {
        let text = format!("{:.1$}", v.abs(), decimals.min(most));
        let zero = text.bytes().all(|c| matches!(c, b'0' | b'.'));
        if v < 0.0 && !zero { format!("−{text}") } else { text }
    };
    format!("{} [{}, {}]", fixed(s.mean), fixed(low), fixed(high))
}

/// `text` with its middle left out down to `most` characters: names of one family differ at the end.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most {
        return text.to_owned();
    }
    let tail = most.saturating_sub(1) / 2;
    let head = most.saturating_sub(1) - tail;
    all[..head].iter().chain(&['…']).chain(&all[all.len() - tail..]).collect()
}

pub(crate) fn superscript(digits: &str) -> String {
    let up = |c: char| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '0' | '4'..='9' => char::from_u32('⁰' as u32 + c as u32 - '0' as u32).unwrap_or(c),
        other => other,
    };
    digits.chars().map(up).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_digits() {
        let shown = [0.0, 1.23456, -0.5, 12345.6, 0.012345, 1e-7, -3e30, 350.0, 1.5e6].map(number);
        assert_eq!(
            shown,
            ["0", "1.235", "−0.5", "12346", "0.0123", "1.00×10⁻⁷", "−3.00×10³⁰", "350", "1.50×10⁶"]
        );
        assert_eq!([0.934, -0.02, 1.05].map(percent), ["93", "−2", "105"]);
    }

    #[test]
    fn intervals_carry_the_digits_they_bear() {
        let s = |mean, low, high| Summary { n: 3, mean, sd: Some(1.0), interval: Some((low, high)) };
        assert_eq!(interval(&s(3.1137, 3.0241, 3.1899)), "3.11 [3.02, 3.19]");
        assert_eq!(interval(&s(353.3, 340.0, 360.0)), "353 [340, 360]");
        assert_eq!(interval(&s(132.0, 132.0, 132.0)), "132");
        assert_eq!(interval(&s(1e9, 0.9e9, 1.1e9)), "1.00×10⁹ [9.00×10⁸, 1.10×10⁹]");
        assert_eq!(difference(&s(0.0182, -0.0143, 0.0207)), "+0.018 [−0.014, 0.021]");
        assert_eq!(difference(&Summary { n: 1, mean: -2.5, sd: None, interval: None }), "−2.5");
        assert_eq!(percent_interval(&s(0.931, 0.90, 0.95)), "93 % [90, 95]");
        assert_eq!([3, 4, 6].map(|n| shorten("abcdef", n)), ["a…f", "ab…f", "abcdef"]);
    }
}
