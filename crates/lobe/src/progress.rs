//! How far a run is: a live line on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lobe_lab::exec::Progress;

use crate::out;

/// Time between plain lines.
const PAUSE: Duration = Duration::from_secs(10);

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
    total: u64,
    /// When work began, and how much had been done before.
    start: Option<(Instant, u64)>,
    said: Option<Instant>,
}

/// Live if standard error is a terminal.
pub(crate) fn stderr() -> Shown {
    if !std::io::stderr().is_terminal() {
        return Shown::Plain(Mutex::default());
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    let template = "{prefix:>10} {bar:24} {pos}/{len}  {rate}  {eta} left  {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        let rate =
            |s: &ProgressState, w: &mut dyn std::fmt::Write| write!(w, "{:.1}/s", s.per_sec()).unwrap_or(());
        bar.set_style(style.progress_chars("━╸ ").with_key("rate", rate));
    }
    Shown::Live(bar)
}

impl Stage {
    /// What to say about `done`, if it is time to say something.
    fn line(&mut self, done: u64, note: &str, now: Instant) -> Option<String> {
        let (start, before) = *self.start.get_or_insert((now, done));
        if self.said.is_some_and(|s| now - s < PAUSE) {
            return None;
        }
        self.said = Some(now);
        let seconds = (now - start).as_secs_f64();
        let rate = (done - before.min(done)) as f64 / seconds;
        let speed = if seconds > 0.5 && rate > 0.0 {
            let left = self.total.saturating_sub(done) as f64 / rate;
            format!("  {rate:.1}/s, {} left", duration(left))
        } else {
            String::new()
        };
        Some(format!("{}  {done}/{}{speed}  {note}", self.name, self.total))
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
                bar.set_length(total);
                bar.reset();
            }
            Shown::Plain(stage) => {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                *stage =
                    Stage { name: name.to_owned(), total, said: Some(Instant::now()), ..Stage::default() };
            }
        }
    }

    fn advance(&self, done: u64, note: &str) {
        match self {
            Shown::Live(bar) => {
                // What was done by an earlier process says nothing about today's speed.
                let first = bar.position() == 0;
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
        let mut s = Stage { name: "train".into(), total: 200, ..Stage::default() };
        assert_eq!(s.line(100, "sgtm", start).as_deref(), Some("train  100/200  sgtm"));
        assert_eq!(s.line(101, "sgtm", start + Duration::from_secs(9)), None);
        let later = s.line(119, "sgtm", start + Duration::from_secs(10));
        assert_eq!(later.as_deref(), Some("train  119/200  1.9/s, 43 s left  sgtm"));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([1.2, 65.0, 7500.0].map(duration), ["1 s", "1 min 5 s", "2 h 5 min"]);
    }
}
