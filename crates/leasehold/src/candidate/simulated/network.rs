//! kube's client over connections of turmoil, and the API server behind a listener of turmoil.

use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ConfigExt as _};
use leasehold_apiserver::Api;
use tower::{BoxError, ServiceBuilder};
use turmoil::net::{TcpListener, TcpStream};

use crate::transport::Transport;

/// The host that serves the API.
pub(super) const SERVER: &str = "server";

/// A transport as the shipped one, but for TCP.
pub(super) fn transport() -> Result<Transport, kube::Error> {
    let url = format!("http://{SERVER}:{PORT}");
    Transport::with(url.clone(), Box::new(move || client(&url)))
}

fn client(url: &str) -> Result<kube::Client, kube::Error> {
    let config = kube::Config::new(url.parse().expect("an address"));
    let connector = tower::service_fn(|_: http::Uri| {
        Box::pin(async {
            TcpStream::connect((SERVER, PORT)).await.map(|stream| Stream(TokioIo::new(stream)))
        })
    });
    let http = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let service = ServiceBuilder::new().layer(config.base_uri_layer()).map_err(BoxError::from).service(http);
    Ok(kube::Client::new(service, config.default_namespace))
}

/// Serves the API until the host crashes.
pub(super) async fn serve(api: Api) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let api = api.clone();
        tokio::task::spawn_local(async move { api.serve(stream).await });
    }
}

/// What hyper wants of a connection.
struct Stream(TokioIo<TcpStream>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

const PORT: u16 = 8001;
