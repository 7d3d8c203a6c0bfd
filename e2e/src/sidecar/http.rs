//! HTTP as `curl` speaks it, over TCP and over a socket in the file system.

use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Where HTTP is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A port of 127.0.0.1.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl Endpoint {
    /// As a flag names it.
    pub fn flag(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Asks once. `headers` are whole lines.
    ///
    /// # Errors
    /// When nobody listens or the answer is not complete in time.
    pub async fn ask(&self, method: &str, path: &str, headers: &str) -> Result<Answer> {
        let ask = async {
            let mut stream = self.send(method, path, headers).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            parse_answer(&text)
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask).await;
        answer.context("no answer in time").flatten().with_context(|| format!("{method} {path} of {self:?}"))
    }

    /// Opens `/v1/watch`.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn watch(&self) -> Result<Events> {
        let mut events = Events { stream: self.send("GET", "/v1/watch", "").await?, text: String::new() };
        let mut byte = [0];
        while !events.text.ends_with("\r\n\r\n") {
            events.stream.read_exact(&mut byte).await.context("the head of /v1/watch")?;
            events.text.push(byte[0].into());
        }
        ensure!(events.text.contains(" 200 OK\r\n"), "/v1/watch was answered {:?}", events.text);
        events.text.clear();
        Ok(events)
    }

    /// HTTP/1.0: the answer is not chunked, and its end is the end of the stream.
    async fn send(&self, method: &str, path: &str, headers: &str) -> Result<Stream> {
        let mut stream: Stream = match self {
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?} is no JSON"))
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    stream: Stream,
    text: String,
}

impl Events {
    /// The document of the next event.
    ///
    /// # Errors
    /// When none comes in time, or it is no JSON.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return serde_json::from_str(&data).with_context(|| format!("an event says {data:?}"));
                }
            } else {
                let mut bytes = [0; 4096];
                let read = tokio::time::timeout(EVENT_TIMEOUT, self.stream.read(&mut bytes));
                let count = read.await.context("no event came in time")??;
                ensure!(count > 0, "the stream of events has ended");
                self.text.push_str(std::str::from_utf8(&bytes[..count]).context("an event is no text")?);
            }
        }
    }
}

/// A port of 127.0.0.1 that nobody listens on.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

fn parse_answer(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{text:?} is no answer"))?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer { code: code.with_context(|| format!("{head:?} has no code"))?, body: body.to_owned() })
}

trait ReadWrite: AsyncRead + AsyncWrite + Unpin + Send + Debug {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> ReadWrite for T {}

type Stream = Box<dyn ReadWrite>;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);
