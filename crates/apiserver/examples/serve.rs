//! The server on its own: `cargo run -p leasehold-apiserver --example serve -- 127.0.0.1:8001`, then
//! `kubectl --server http://127.0.0.1:8001 get leases -A -w`.

use std::net::SocketAddr;

use leasehold_apiserver::ApiServer;

fn main() -> std::io::Result<()> {
    let listen = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listen: SocketAddr = listen.parse().map_err(|error| {
        std::io::Error::other(format!("{listen} is no address and port, such as 127.0.0.1:8001: {error}"))
    })?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let server = ApiServer::start(listen).await?;
        #[expect(clippy::print_stdout, reason = "whoever started it wants to know where it listens")]
        {
            println!("{}", server.url());
        }
        std::future::pending().await
    })
}
