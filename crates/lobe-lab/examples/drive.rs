//! scratch
use lobe_lab::{exec::*, recipe::*};
use std::{path::Path, sync::atomic::AtomicBool};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut w = Written::load(Path::new(&a[1])).unwrap();
    for s in &a[3..] {
        if let Some(p) = s.strip_prefix("preset=") {
            w = w.with_preset(Some(p)).unwrap()
        } else {
            w = w.with_set(s).unwrap();
        }
    }
    let (r, d) = match resolve(&w) {
        Ok(x) => x,
        Err(e) => {
            println!("{e}");
            return;
        }
    };
    let stop = AtomicBool::new(false);
    let o = Options { threads: 2, stop: &stop, progress: &Silent, command: "x".into(), build: "y".into() };
    let t = std::time::Instant::now();
    if let Err(e) = run(&w, &r, &d, Path::new(&a[2]), &o) {
        println!("ERR {e}");
    }
    println!("{:.1}s", t.elapsed().as_secs_f64());
}
