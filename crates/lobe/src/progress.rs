//! How far a run is: a live line on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lobe_lab::graph::Progress;

use crate::out;

/// Time between plain lines.
const PAUSE: Duration = Duration::from_secs(10);
/// Widest and narrowest bar, in columns.
const BAR: (usize, usize) = (24, 6);

/// Progress on standard error.
pub(crate) enum Shown {
    /// A line that is drawn again and again.
    Live(Mutex<Live>),
    /// Lines, now and then.
    Plain(Mutex<Stage>),
}

/// The line on the terminal.
pub(crate) struct Live {
    bar: ProgressBar,
    stage: Stage,
    /// Columns of the terminal and of the line when it was last drawn.
    drawn: (usize, usize),
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
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    Shown::Live(Mutex::new(Live { bar, stage: Stage::default(), drawn: (0, 0) }))
}

impl Stage {
    fn new(name: &str, total: u64) -> Stage {
        Stage { name: name.to_owned(), total: total as f64, ..Stage::default() }
    }

    /// How fast it goes and how long it still takes, once that can be said.
    fn speed(&mut self, done: f64, now: Instant) -> Vec<String> {
        // What an earlier process did says nothing about today's speed.
        let (start, before) = *self.start.get_or_insert((now, done));
        let seconds = (now - start).as_secs_f64();
        let speed = (done - before) / seconds;
        if seconds <= 0.5 || speed <= 0.0 {
            return Vec::new();
        }
        vec![rate(speed), format!("{} left", duration((self.total - done).max(0.0) / speed))]
    }

    /// What to say about `done` in a plain line, if it is time to say something.
    fn line(&mut self, done: f64, note: &str, now: Instant) -> Option<String> {
        let speed = self.speed(done, now);
        if self.said.is_some_and(|s| now - s < PAUSE) {
            return None;
        }
        self.said = Some(now);
        let count = format!("{}/{}", done.floor(), self.total);
        let parts = [vec![self.name.clone(), count], speed, vec![note.to_owned()]].concat();
        Some(parts.into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("  "))
    }

    /// The line for a terminal of `width` columns: never wider, and no word is cut.
    fn live(&mut self, done: f64, note: &str, now: Instant, width: usize) -> String {
        let count = format!("{}/{}", done.floor(), self.total);
        let mut parts = [vec![count], self.speed(done, now)].concat();
        // The last column stays free: some terminals wrap a line that fills it.
        let room = width.saturating_sub(1);
        let used = |parts: &[String]| parts.iter().map(|p| p.chars().count() + 2).sum::<usize>();
        while parts.len() > 1 && self.name.chars().count() + used(&parts) > room {
            parts.pop();
        }
        let free = room.saturating_sub(self.name.chars().count() + used(&parts));
        let wanted = if note.is_empty() { 0 } else { note.chars().count() + 2 };
        let bar = free.saturating_sub(wanted + 2).clamp(BAR.1, BAR.0);
        let (bar, free) = if free >= bar + 2 { (bar, free - bar - 2) } else { (0, free) };
        let mut line = self.name.clone();
        if bar > 0 {
            line += &format!("  {}", drawn(done / self.total.max(1.0), bar));
        }
        for part in parts {
            line += &format!("  {part}");
        }
        let note = whole_words(note, free.saturating_sub(2));
        if note.is_empty() { line } else { format!("{line}  {note}") }
    }
}

/// `━━━━╸   `: a bar of `width` columns.
fn drawn(share: f64, width: usize) -> String {
    let halves = (share.clamp(0.0, 1.0) * 2.0 * width as f64).round() as usize;
    let bar = "━".repeat(halves / 2) + if halves % 2 == 1 { "╸" } else { "" };
    format!("{bar:<width$}")
}

/// As many words as fit into `room` columns.
fn whole_words(text: &str, room: usize) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        let more = if out.is_empty() { word.to_owned() } else { format!("{out} {word}") };
        if more.chars().count() > room {
            break;
        }
        out = more;
    }
    out.trim_end_matches([',', ':', ';']).to_owned()
}

/// `12.5/s`, `850/s`, or `40 s each` where one takes longer than a second.
fn rate(per_second: f64) -> String {
    match per_second {
        r if r >= 100.0 => format!("{r:.0}/s"),
        r if r >= 1.0 => format!("{r:.1}/s"),
        r if r > 0.0 => format!("{} each", duration(1.0 / r)),
        _ => String::new(),
    }
}

/// `42 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.round().min(1e9) as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

impl Live {
    fn draw(&mut self, done: f64, note: &str) {
        let width = out::width();
        let (before, length) = self.drawn;
        if width < before {
            // The terminal has wrapped the old line, and the bar would clear only the last part of it.
            let above = length.div_ceil(width.max(1)).saturating_sub(1);
            self.bar.suspend(|| {
                let mut err = std::io::stderr().lock();
                (0..above).try_for_each(|_| write!(err, "\x1b[1A\x1b[2K")).ok();
            });
        }
        let line = self.stage.live(done, note, Instant::now(), width);
        self.drawn = (width, line.chars().count());
        self.bar.set_message(line);
        self.bar.tick();
    }
}

impl Progress for Shown {
    fn stage(&self, name: &str, total: u64) {
        match self {
            Shown::Live(live) => {
                let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
                live.stage = Stage::new(name, total);
                live.bar.reset();
            }
            Shown::Plain(stage) => {
                let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
                *stage = Stage { said: Some(Instant::now()), ..Stage::new(name, total) };
            }
        }
    }

    fn advance(&self, done: f64, note: &str) {
        match self {
            Shown::Live(live) => live.lock().unwrap_or_else(PoisonError::into_inner).draw(done, note),
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
            Shown::Live(live) => {
                let mut live = live.lock().unwrap_or_else(PoisonError::into_inner);
                live.bar.suspend(|| out::note(&line));
                live.bar.finish_and_clear();
                live.drawn = (0, 0);
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
        let mut s = Stage::new("train", 200);
        assert_eq!(s.line(100.0, "loss 3.2", start).as_deref(), Some("train  100/200  loss 3.2"));
        assert_eq!(s.line(101.0, "loss 3.2", start + Duration::from_secs(9)), None);
        let later = s.line(119.0, "loss 3.1", start + Duration::from_secs(10));
        assert_eq!(later.as_deref(), Some("train  119/200  1.9/s  43 s left  loss 3.1"));
    }

    #[test]
    fn a_part_of_a_member_counts() {
        let start = Instant::now();
        let mut s = Stage::new("relearn", 4);
        assert_eq!(s.line(0.0, "a", start).as_deref(), Some("relearn  0/4  a"));
        let later = s.line(0.5, "a", start + Duration::from_secs(30));
        assert_eq!(later.as_deref(), Some("relearn  0/4  1 min 0 s each  3 min 30 s left  a"));
    }

    #[test]
    fn the_live_line_fits_its_terminal_and_cuts_no_word() {
        let start = Instant::now();
        let note = "sgtm, seed 0: zero,lr=0.001 step 20/60";
        for width in 40..140 {
            let mut s = Stage::new("train", 4000);
            s.live(0.0, "", start, width);
            let line = s.live(800.0, note, start + Duration::from_secs(10), width);
            assert!(line.chars().count() < width, "{width}: {line}");
            assert!(line.contains("800/4000"), "{width}: {line}");
            let words: Vec<&str> = note.split(' ').collect();
            let shown = line.split("left").nth(1).unwrap_or("").split_whitespace();
            for (word, whole) in shown.zip(words) {
                assert!(word == whole || word == whole.trim_end_matches([',', ':']), "{width}: {line}");
            }
        }
        let mut s = Stage::new("train", 4000);
        s.live(0.0, "", start, 80);
        let line = s.live(800.0, "loss 3.214", start + Duration::from_secs(10), 80);
        assert!(line.ends_with("800/4000  80.0/s  40 s left  loss 3.214"), "{line}");
        assert_eq!(line.matches("800").count(), 1);
        assert!(line.contains("━━━━━ "), "{line}");
    }

    #[test]
    fn durations_and_rates_read_well() {
        assert_eq!([1.2, 65.0, 7500.0].map(duration), ["1 s", "1 min 5 s", "2 h 5 min"]);
        assert_eq!([19056.2, 12.51, 0.025].map(rate), ["19056/s", "12.5/s", "40 s each"]);
    }
}
