use leasehold_sim::*;
fn main() {
    let only: Vec<String> = std::env::args().skip(2).collect();
    let n: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    for &kind in MutantKind::ALL {
        if !only.is_empty() && !only.iter().any(|o| o == kind.name()) { continue; }
        let s = kind.settings();
        let t = std::time::Instant::now();
        let base = hunt(Variant::Shipped, &s, n.min(20));
        let c = hunt(Variant::Mutant(kind), &s, n);
        println!("{:24} {:?} ms; shipped: {:?}\n      {:?}", kind.name(), t.elapsed().as_millis(), base.map(|c| (c.worlds, c.violation)), c.map(|c| (c.worlds, c.violation)));
    }
}
