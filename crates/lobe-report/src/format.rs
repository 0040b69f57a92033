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

/// `number` with a sign always.
pub(crate) fn signed(v: f64) -> String {
    if v > 0.0 { format!("+{}", number(v)) } else { number(v) }
}

/// A fraction as whole percent; one decimal close to the ends, where it matters.
pub(crate) fn percent(v: f64) -> String {
    let p = v * 100.0;
    let text = if p.abs() < 1e6 { format!("{:.0}", p.abs()) } else { number(p.abs()) };
    if p <= -0.5 { format!("−{text}") } else { text }
}

/// `mean [low, high]`, or the mean alone where one seed gives no interval.
pub(crate) fn with_interval(s: &Summary, show: fn(f64) -> String) -> String {
    match s.interval {
        Some((low, high)) => format!("{} [{}, {}]", show(s.mean), show(low), show(high)),
        None => show(s.mean),
    }
}

/// `text` cut to `most` characters.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
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
        assert_eq!([0.1, -0.1, 0.0].map(signed), ["+0.1", "−0.1", "0"]);
        assert_eq!([0.934, -0.02, 1.05].map(percent), ["93", "−2", "105"]);
    }

    #[test]
    fn intervals_and_cuts() {
        let s = Summary { n: 3, mean: 1.0, sd: None, interval: Some((0.5, 1.5)) };
        assert_eq!(with_interval(&s, number), "1 [0.5, 1.5]");
        assert_eq!(shorten("abcdef", 4), "abc…");
    }
}
