//! How far a run is: a live line on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lobe_lab::exec::Progress;

use crate::out;

/// Time between plain lines.
const PAUSE: Duration = Duration::from_secs(10);

/// The bar counts thousandths of a unit: a member of an attack takes minutes.
const PARTS: u64 = 1000;

/// Progress on standard error.
pub(crate) enum Shown {
    /// A line that is drawn again and again.
    Live(ProgressBar),
    /// Lines, now and then.
    Plain(Mutex<Stage>),
}

/// The stage in hand.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    name: String,
    total: f64,
    /// When work began, and how much had been done before.
    start: Option<(Instant, f64)>,
    said: Option<Instant>,
}

/// Live if standard error is a terminal.
pub(crate) fn stderr() -> Shown {
    if !std::io::stderr().is_terminal() {
        return Shown::Plain(Mutex::default());
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let template = "{prefix:>10} {bar:24} {done}  {rate}  {eta} left  {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        let put = |w: &mut dyn std::fmt::Write, text: String| w.write_str(&text).unwrap_or(());
        let done = move |s: &ProgressState, w: &mut dyn std::fmt::Write| {
            put(w, format!("{}/{}", s.pos() / PARTS, s.len().unwrap_or(0) / PARTS));
        };
        let speed = move |s: &ProgressState, w: &mut dyn std::fmt::Write| {
            put(w, rate(s.per_sec() / PARTS as f64));
        };
        bar.set_style(style.progress_chars("━╸ ").with_key("done", done).with_key("rate", speed));
    }
    Shown::Live(bar)
}

impl Stage {
    /// What to say about `done`, if it is time to say something.
    fn line(&mut self, done: f64, note: &str, now: Instant) -> Option<String> {
        let (start, before) = *self.start.get_or_insert((now, done));
        if self.said.is_some_and(|s| now - s < PAUSE) {
            return None;
        }
        self.said = Some(now);
        let seconds = (now - start).as_secs_f64();
        let speed = (done - before) / seconds;
        let speed = if seconds > 0.5 && speed > 0.0 {
            let left = (self.total - done).max(0.0) / speed;
            format!("  {}, {} left", rate(speed), duration(left))
        } else {
            String::new()
        };
        Some(format!("{}  {}/{}{speed}  {note}", self.name, done.floor(), self.total))
    }
}

/// `12.5/s`, or `40 s each` where one takes longer than a second.
fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 1.0 => format!("{r:.1}/s"),
        r if r > 0.0 => format!("{} each", duration(1.0 / r)),
        _ => String::new(),
    }
}

/// `42 s`, `3 min 5 s`, `2 h 10 min`.
fn duration(seconds: f64) -> String {
    let s = seconds.round().min(1e9) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

impl Progress for Shown {
    fn stage(&self, name: &str, total: u64) {
        match self {
            Shown::Live(bar) => {
                bar.set_prefix(name.to_owned());
                bar.set_message("");
                bar.set_length(total * PARTS);
                bar.reset();
            }
            Shown::Plain(stage) => {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                let (name, total) = (name.to_owned(), total as f64);
                *stage = Stage { name, total, said: Some(Instant::now()), ..Stage::default() };
            }
        }
    }

    fn advance(&self, done: f64, note: &str) {
        match self {
            Shown::Live(bar) => {
                // What was done by an earlier process says nothing about today's speed.
                let first = bar.position() == 0;
                let done = (done * PARTS as f64) as u64;
                bar.set_length(bar.length().unwrap_or(0).max(done));
                bar.set_message(note.to_owned());
                bar.set_position(done);
                if first {
                    bar.reset_eta();
                }
            }
            Shown::Plain(stage) => {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = stage.line(done, note, Instant::now()) {
                    out::note(&line);
                }
            }
        }
    }

    fn finish(&self, name: &str, cached: usize, seconds: f64) {
        let cached = if cached == 0 { String::new() } else { format!(" ({cached} cached)") };
        let line = format!("{name}: done in {}{cached}", duration(seconds));
        match self {
            Shown::Live(bar) => {
                bar.suspend(|| out::note(&line));
                bar.finish_and_clear();
            }
            Shown::Plain(_) => out::note(&line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_come_rarely_and_count_only_todays_work() {
        let start = Instant::now();
        let mut s = Stage { name: "train".into(), total: 200.0, ..Stage::default() };
        assert_eq!(s.line(100.0, "sgtm", start).as_deref(), Some("train  100/200  sgtm"));
        assert_eq!(s.line(101.0, "sgtm", start + Duration::from_secs(9)), None);
        let later = s.line(119.0, "sgtm", start + Duration::from_secs(10));
        assert_eq!(later.as_deref(), Some("train  119/200  1.9/s, 43 s left  sgtm"));
    }

    #[test]
    fn a_part_of_a_member_counts() {
        let start = Instant::now();
        let mut s = Stage { name: "relearn".into(), total: 4.0, ..Stage::default() };
        assert_eq!(s.line(0.0, "a", start).as_deref(), Some("relearn  0/4  a"));
        let later = s.line(0.5, "a", start + Duration::from_secs(30));
        assert_eq!(later.as_deref(), Some("relearn  0/4  1 min 0 s each, 3 min 30 s left  a"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([1.2, 65.0, 7500.0].map(duration), ["1 s", "1 min 5 s", "2 h 5 min"]);
    }
}
