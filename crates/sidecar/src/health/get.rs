//! A question by HTTP, as a kubelet's httpGet asks it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::body::Body;
use axum::http::{Request, StatusCode, Uri, header, uri::Scheme};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Outcome;

/// Where to ask.
#[derive(Clone, Debug)]
pub(super) struct Get {
    url: Uri,
    host: String,
    port: u16,
}

impl Get {
    pub(super) fn read(text: &str) -> Result<Self> {
        let form = "write http://127.0.0.1:8080/healthz";
        let url: Uri = text.parse().with_context(|| format!("--health-url {text:?} is no URL; {form}"))?;
        match url.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                bail!("--health-url {text}: only plain http is asked; let --health-exec ask by https")
            }
            Some(_) | None => bail!("--health-url {text:?} does not begin with http://; {form}"),
        }
        if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            bail!(
                "--health-url has a user in it, which would be seen in logs; let --health-exec ask with credentials"
            );
        }
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            bail!("--health-url {text:?} names no host; {form}");
        }
        let port = url.port_u16().unwrap_or(80);
        Ok(Self { url, host, port })
    }

    /// Only the code of the answer counts. Each question has a connection of its own: who accepts none any more is not well.
    pub(super) async fn ask(&self, timeout: Duration) -> Outcome {
        match tokio::time::timeout(timeout, self.get()).await {
            Ok(Ok(code)) if code.is_success() || code.is_redirection() => Outcome::Passed,
            Ok(Ok(code)) => Outcome::Failed(format!("{} answers {code}", self.url)),
            Ok(Err(error)) => Outcome::Failed(format!("{} cannot be asked: {error:#}", self.url)),
            Err(_) => Outcome::TimedOut(format!("{} does not answer within {timeout:?}", self.url)),
        }
    }

    async fn get(&self) -> Result<StatusCode> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let host = self.url.authority().map_or(self.host.as_str(), |authority| authority.as_str());
        let request = Request::get(path)
            .header(header::HOST, host)
            .header(header::USER_AGENT, concat!("leader-elector/", env!("CARGO_PKG_VERSION")))
            .header(header::CONNECTION, "close")
            .body(Body::empty())?;
        let mut answer = std::pin::pin!(sender.send_request(request));
        tokio::select! {
            biased;
            answer = &mut answer => Ok(answer?.status()),
            // Closed, after the answer or without one.
            _ = connection => Ok(answer.await?.status()),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use tokio::net::TcpListener;

    use super::*;

    fn error(text: &str) -> String {
        format!("{:#}", Get::read(text).unwrap_err())
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_refused_with_what_to_write() {
        assert!(error("127.0.0.1:8080/healthz").contains("write http://127.0.0.1:8080/healthz"));
        assert!(error("https://127.0.0.1/").contains("--health-exec"));
        assert!(error("ftp://127.0.0.1/").contains("does not begin with http://"));
        assert!(error("http://me:secret@127.0.0.1/").contains("credentials"));
        let get = Get::read("http://[::1]:8080").unwrap();
        assert_eq!((get.host.as_str(), get.port), ("::1", 8080));
        assert_eq!(Get::read("http://localhost/ok").unwrap().port, 80);
    }

    async fn answers(code: u16) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/healthz?deep=1", listener.local_addr().unwrap());
        let code = StatusCode::from_u16(code).unwrap();
        let router = Router::new().route("/healthz", get(move || async move { (code, "") }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Get::read(&url).unwrap().ask(Duration::from_secs(60)).await
    }

    #[tokio::test]
    async fn codes_count_as_they_do_for_a_kubelet() {
        for code in [200, 204, 302, 399] {
            assert_eq!(answers(code).await, Outcome::Passed, "{code}");
        }
        for code in [400, 404, 500, 503] {
            assert!(matches!(answers(code).await, Outcome::Failed(_)), "{code}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_a_failure_and_silence_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let get = Get::read(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        assert!(
            matches!(get.ask(Duration::from_millis(50)).await, Outcome::TimedOut(_)),
            "it accepts, and is silent"
        );
        drop(listener);
        let outcome = get.ask(Duration::from_secs(60)).await;
        assert!(
            matches!(&outcome, Outcome::Failed(reason) if reason.contains("cannot be asked")),
            "{outcome:?}"
        );
    }
}
