//! Opens the page in a real browser, if there is one, and measures every figure.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests may panic and talk")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use lobe_report::{RunData, html};

fn browser() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().flat_map(|n| dirs.iter().map(move |d| d.join(n))).find(|p| p.is_file())
}

fn open(browser: &Path, profile: &Path, extra: &[&str], page: &Path) -> String {
    let out = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(["--virtual-time-budget=2000"])
        .args(extra)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("the browser starts");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Written into a copy of each page, never into the page itself.
const MEASURE: &str = "<script>
const hit = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
document.querySelectorAll('details').forEach(d => d.open = true);
const rows = [...document.querySelectorAll('figure .panel svg')].map(s => {
  const box = s.getBoundingClientRect(), inner = s.getBBox();
  const texts = [...s.querySelectorAll('text')].filter(t => t.textContent);
  const boxes = texts.map(t => t.getBoundingClientRect());
  const bad = [];
  texts.forEach((t, i) => {
    const b = boxes[i];
    if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 || b.bottom > box.bottom + 1) bad.push('outside:' + t.textContent);
    // The boxes of rising names overlap, the names do not.
    const turned = t.classList.contains('turned');
    for (let j = 0; j < i; j++) if (!(turned && texts[j].classList.contains('turned')) && hit(b, boxes[j])) bad.push(texts[j].textContent + '/' + t.textContent);
  });
  return [box.width, box.height, inner.width, inner.height].map(Math.round).join(' ') + '|' + bad.join(', ') + '|' + /^(Which line|Scale of)/.test(s.getAttribute('aria-label'));
});
parent.postMessage([window.name, document.documentElement.scrollWidth - window.innerWidth, rows.join(';')], '*');
</script>";

/// Collects what the pages in its frames measured.
const COLLECT: &str = "<script>
addEventListener('message', e => {
  const [name, wide, figures] = e.data;
  document.body.setAttribute('data-wide-' + name, wide);
  document.body.setAttribute('data-figures-' + name, figures);
});
</script>";

fn attribute<'a>(dom: &'a str, name: &str) -> &'a str {
    let from = dom.find(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in the dumped page"));
    let text = &dom[from + name.len() + 2..];
    &text[..text.find('"').unwrap()]
}

#[test]
fn figures_have_a_size_and_no_text_collides() {
    let Some(browser) = browser() else {
        assert!(std::env::var_os("LOBE_REQUIRE_BROWSER").is_none_or(|v| v != "1"), "no browser on the path");
        eprintln!("no browser on the path: the page was not opened");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let build: [(&str, fn(&Path)); 6] = [
        ("bilingual", |d| common::bilingual(d, 3)),
        ("digits", common::digits),
        ("matrix-large", |d| common::matrix(d, 28, 18, 3)),
        ("crowded", common::crowded),
        ("matrix", |d| common::matrix(d, 6, 5, 3)),
        ("matrix-one-seed", |d| common::matrix(d, 8, 2, 1)),
    ];
    // A browser takes a second to start: all pages stand in one, each in both widths.
    let mut all = format!("<!doctype html><body>{COLLECT}");
    let sizes = [(1400, 300.0), (500, 250.0)];
    for (name, write) in build {
        let run = dir.path().join(name);
        std::fs::create_dir(&run).unwrap();
        write(&run);
        let page = html::render(&RunData::load(&run).unwrap());
        // Somewhere to look at the pages by eye: LOBE_KEEP_PAGES=DIR.
        if let Some(keep) = std::env::var_os("LOBE_KEEP_PAGES") {
            std::fs::write(Path::new(&keep).join(format!("{name}.html")), &page).unwrap();
        }
        let copy = dir.path().join(format!("{name}.html"));
        std::fs::write(&copy, page.replace("</body>", &format!("{MEASURE}</body>"))).unwrap();
        for (width, _) in sizes {
            all += &format!(
                "<iframe name=\"{name}-{width}\" src=\"{name}.html\" width=\"{width}\" height=\"900\"></iframe>"
            );
        }
    }
    let page = dir.path().join("all.html");
    std::fs::write(&page, all + "</body>").unwrap();
    let profile = dir.path().join("profile");
    let dom = open(&browser, &profile, &["--window-size=1500,900", "--dump-dom"], &page);
    for (name, _) in build {
        for (width, least) in sizes {
            inspect(&dom, name, width, least);
        }
    }
    let picture = dir.path().join("bilingual.png");
    let whole = dir.path().join("bilingual.html");
    open(&browser, &profile, &[&format!("--screenshot={}", picture.display())], &whole);
    assert!(std::fs::metadata(&picture).is_ok_and(|m| m.len() > 10_000), "no screenshot");
}

/// What one page measured in one width.
fn inspect(dom: &str, name: &str, width: usize, figure_least: f64) {
    let what = format!("{name} {width}");
    let wide = attribute(dom, &format!("data-wide-{name}-{width}")).parse::<f64>().unwrap();
    assert!(wide <= 0.0, "{what} scrolls sideways");
    let figures: Vec<&str> = attribute(dom, &format!("data-figures-{name}-{width}")).split(';').collect();
    if figures == [""] {
        // Image runs without an attack have a table with small drawings alone.
        assert_eq!(name, "digits");
        return;
    }
    for (i, f) in figures.iter().enumerate() {
        let (sizes, rest) = f.split_once('|').unwrap();
        let (bad, key) = rest.rsplit_once('|').unwrap();
        // The key of small multiples may be one line high.
        let least = if key == "true" { (20.0, 10.0) } else { (60.0, 50.0) };
        let sizes: Vec<f64> = sizes.split(' ').map(|v| v.parse().unwrap()).collect();
        assert!(
            sizes[0] >= figure_least && sizes[1] > least.0 && sizes[2] > 100.0 && sizes[3] > least.1,
            "{what} figure {i}: {f}"
        );
        assert_eq!(bad, "", "{what} figure {i}: text collides");
    }
}
