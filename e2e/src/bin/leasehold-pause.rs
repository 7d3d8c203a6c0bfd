//! What holds the namespaces of a Pod on the nodes of the tests: it does nothing until it is killed.

fn main() {
    loop {
        std::thread::park();
    }
}
