//! Whether what files turn into fits into this machine: few bytes of gzip may hold many, and each of those
//! becomes a number of four bytes.

use crate::error::{Result, setting};

/// Bytes of memory that are free on this machine, where the system says so (Linux).
pub fn available() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// Bytes of memory of this machine, where the system says so (Linux).
pub fn total() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// A size as people read it.
pub fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

fn field(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Refuses so many numbers of four bytes if they need more than `available` bytes. `help` says how to make
/// them fewer.
pub(crate) fn fits(what: &str, numbers: u64, available: Option<u64>, help: &str) -> Result<()> {
    let needs = numbers.saturating_mul(4);
    match available {
        Some(has) if needs > has => setting(format!(
            "{what} take {} of memory, this machine has {} free; {help}",
            gib(needs),
            gib(has)
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_sizes() {
        let meminfo = "MemTotal:       16777216 kB\nMemAvailable:    3145728 kB\nBuffers: 1 kB\n";
        let has = field(meminfo, "MemAvailable:");
        assert_eq!((has, field(meminfo, "MemTotal:")), (Some(3 << 30), Some(16 << 30)));
        assert!(fits("x", 3 << 28, has, "").is_ok());
        assert_eq!(
            fits("2739137 images", 2_147_483_648, has, "take fewer").unwrap_err().to_string(),
            "data: 2739137 images take 8.0 GiB of memory, this machine has 3.0 GiB free; take fewer"
        );
        // Where nobody says how much there is, nothing is refused.
        let at = |text| field(text, "MemAvailable:");
        assert_eq!((at(""), at("MemAvailable: many kB")), (None, None));
        assert!(fits("x", u64::MAX, None, "").is_ok());
    }
}
