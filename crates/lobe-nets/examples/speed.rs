//! scratch
use lobe_core::*;
use lobe_engine::*;
use lobe_nets::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (v, b, d, l, h) = if a[1] == "S" { (2048, 16, 128, 4, 4) } else { (8192, 8, 384, 6, 6) };
    let mode = a.get(2).map(String::as_str).unwrap_or("plain");
    let net =
        Gpt::new(GptConfig { layers: l, width: d, heads: h, ..Default::default() }.resolve(v, 256).unwrap());
    println!("params {}", net.layout.len());
    let region: Region = format!("blocks.*.mlp.post[-{}..] + blocks.*.attn.z[-1]", 64).parse().unwrap();
    let sel = region.resolve(net.layout.sites()).unwrap();
    let mut t = RouteTable::plain();
    t = t
        .with(FORGET, Target::Elsewhere, Route::new(1., 1., 0.))
        .with(FORGET, Target::Joint(JointKind::OutBias), Route::new(1., 1., 0.))
        .with(RETAIN, Target::Region(0), Route::ABSENT);
    let plan = if mode == "plain" {
        Plan::plain(&net.layout)
    } else {
        Plan::new(&net.layout, &LabelSet::default(), &[sel], &t).unwrap()
    };
    let label = match mode {
        "forget" => FORGET,
        "retain" => RETAIN,
        _ => UNLABELLED,
    };
    let kind = OptimiserKind::AdamW { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
    let opt = Optimiser {
        kind,
        schedule: Schedule::constant(3e-4),
        weight_decay: 0.01,
        decay_matrices_only: false,
        clip: None,
        masked: Masked::ZeroGrad,
    };
    let params = net.layout.init(Key::root(0));
    let n = params.len();
    let mut m = Member::new(params, plan, OptimiserState::new(n, kind), 2).unwrap();
    let r = Runner::new(2).unwrap();
    let raw = std::fs::read(format!("/tmp/proto/data_{}.bin", a[1])).unwrap();
    let ints: Vec<u32> = raw.chunks(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect();
    let mut ts = vec![];
    let mut tb = TokenBatch::new(256, 1);
    for s in 0..18u64 {
        tb.clear();
        for i in 0..b {
            tb.push(&ints[((s as usize % 30) * b + i) * 257..][..257], label, None);
        }
        let p = LanguageModelling { net: &net, batch: &tb };
        let t0 = Instant::now();
        let rep = r.step(&net.layout, &mut [(&mut m, &p, &opt)], s).unwrap();
        if s >= 3 {
            ts.push(t0.elapsed().as_secs_f64() * 1e3);
        }
        if s == 0 || s == 4 || s == 9 || s == 17 {
            print!("{:.3} ", rep[0].objective);
        }
    }
    ts.sort_by(f64::total_cmp);
    println!("median {:.1} min {:.1} allocs {}", ts[ts.len() / 2], ts[0], r.allocations());
}
