use leasehold_sim::*;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let kind = MutantKind::ALL.iter().find(|k| Some(k.name()) == args.get(3).map(String::as_str));
    let settings = kind.map_or(Settings::default(), |k| k.settings());
    for seed in args[0].parse().unwrap()..args[1].parse().unwrap() {
        let t = std::time::Instant::now();
        let r = run_world(seed, &settings, args[2] == "1");
        println!("seed {seed} {:?} void {} terms {} requests {} vacuum {} {:?} {:?}", r.class, r.void, r.terms, r.requests, r.vacuum_max, t.elapsed(), r.violations.iter().take(4).collect::<Vec<_>>());
        for l in r.trace { println!("{l}"); }
    }
}
