use leasehold_sim::*;
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let mut settings = Settings::default();
    let calm = args.get(2) == Some(&0);
    if calm { settings.faults.clear(); }
    for seed in args[0]..args[1] {
        let t = std::time::Instant::now();
        let r = run_world(seed, &settings, args.get(3) == Some(&1));
        println!("seed {seed} {:?} void {} terms {} requests {} vacuum {} {:?} {:?}", r.class, r.void, r.terms, r.requests, r.vacuum_max, t.elapsed(), r.violations.iter().take(4).collect::<Vec<_>>());
        for l in r.trace { println!("{l}"); }
    }
}
