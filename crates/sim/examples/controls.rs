use leasehold_sim::*;
fn main() {
    for &kind in ControlKind::ALL {
        let s = kind.settings();
        let t = std::time::Instant::now();
        let base = hunt(Variant::Shipped, &s, 10);
        let c = hunt(Variant::Control(kind), &s, 20);
        println!("{:24} {:?} ms; shipped: {:?}\n      {:?}", kind.name(), t.elapsed().as_millis(), base.map(|c| (c.worlds, c.violation)), c.map(|c| (c.worlds, c.violation)));
    }
}
