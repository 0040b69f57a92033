//! Whether what files turn into fits into this machine: few bytes of gzip may hold many, and each of those
//! becomes a number of four bytes.

use crate::error::{Result, setting};

/// Bytes of memory that are free on this machine, where the system says so.
pub(crate) fn available() -> Option<u64> {
    free(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn free(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Refuses so many numbers of four bytes if they need more than `available` bytes. `help` says how to make
/// them fewer.
pub(crate) fn fits(what: &str, numbers: u64, available: Option<u64>, help: &str) -> Result<()> {
    let needs = numbers.saturating_mul(4);
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    match available {
        Some(has) if needs > has => setting(format!(
            "{what} take {:.1} GiB of memory, this machine has {:.1} GiB free; {help}",
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
        let has = free("MemTotal:       16000000 kB\nMemAvailable:    3145728 kB\nBuffers: 1 kB\n");
        assert_eq!(has, Some(3 << 30));
        assert!(fits("x", 3 << 28, has, "").is_ok());
        assert_eq!(
            fits("2739137 images", 2_147_483_648, has, "take fewer").unwrap_err().to_string(),
            "data: 2739137 images take 8.0 GiB of memory, this machine has 3.0 GiB free; take fewer"
        );
        // Where nobody says how much there is, nothing is refused.
        assert_eq!((free(""), free("MemAvailable: many kB")), (None, None));
        assert!(fits("x", u64::MAX, None, "").is_ok());
    }
}
