use super::*;

#[test]
fn print_some() {
    let data = BilingualConfig { stories: 300, ..BilingualConfig::default() }.load(Key::root(1)).unwrap();
    let tok = data.tokenizer.as_ref().unwrap();
    for i in (0..8).chain(300..308) {
        println!("{} {}", data.train.targets(i), tok.decode(data.train.row(i)));
    }
    let mean: f64 = (0..600).map(|i| data.train.targets(i) as f64).sum::<f64>() / 600.0;
    println!("vocab {} mean {mean}", data.vocab);
    for p in data.probes.iter().take(40) {
        let c: Vec<String> = p.choices.iter().map(|c| tok.decode(c)).collect();
        println!("{:?} {} -> {c:?} {} {:?}", p.kind, tok.decode(&p.prompt), p.answer, p.told_in);
    }
}
