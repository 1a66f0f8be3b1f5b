//! Asks an endpoint whether it is healthy: connects, and fetches what is to be fetched.
//!
//! In: a [`Probe`]. Out: fine, or what is wrong in a few words, when its time is up at the latest. What follows is the head's.

use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use poplin_node::service::Probe;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Makes the probe.
pub(crate) async fn make(probe: &Probe) -> Result<(), String> {
    let late = |_| Err(format!("no answer within {:?}", probe.check.timeout));
    timeout(probe.check.timeout, ask(probe)).await.unwrap_or_else(late)
}

async fn ask(probe: &Probe) -> Result<(), String> {
    let stream = TcpStream::connect(probe.target()).await.map_err(|error| error.to_string())?;
    let Some(path) = &probe.check.http_path else { return Ok(()) };
    let request = Request::get(path)
        .header(HOST, probe.target().to_string())
        .header(USER_AGENT, "poplin")
        .header(CONNECTION, "close")
        .body(String::new())
        .map_err(|error| error.to_string())?;
    match fetch(stream, request).await.map_err(|error| error.to_string())? {
        status if status.is_success() || status.is_redirection() => Ok(()),
        status => Err(format!("it answers {status}")),
    }
}

async fn fetch(stream: TcpStream, request: Request<String>) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await, // it has its answer by now, or never will
    };
    Ok(answer?.status())
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_node::service::HealthCheck;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Somebody who answers the first call with this, if with anything, and the probe that calls.
    async fn answering(answer: Option<&'static str>, path: Option<&str>) -> Probe {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            if let Some(answer) = answer {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                return;
            }
            std::future::pending::<()>().await;
        });
        let check = HealthCheck {
            port: local.port(),
            http_path: path.map(str::to_owned),
            interval: Duration::from_secs(1),
            timeout: Duration::from_millis(300),
            failures: 1,
            successes: 1,
        };
        Probe { address: local.ip(), check }
    }

    #[tokio::test]
    async fn who_listens_is_healthy_unless_a_page_is_asked_for() {
        let silent = answering(None, None).await;
        let wanted = answering(None, Some("/health")).await;

        assert_eq!(make(&silent).await, Ok(()));
        assert_eq!(make(&wanted).await, Err("no answer within 300ms".to_owned()));
    }

    #[tokio::test]
    async fn a_page_counts_by_its_status() {
        let fine = answering(Some("HTTP/1.1 204 No Content\r\n\r\n"), Some("/health")).await;
        let moved = answering(Some("HTTP/1.1 301 Moved\r\nContent-Length: 100\r\n\r\n"), Some("/health")).await;
        let broken = answering(Some("HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"), Some("/health")).await;
        let strange = answering(Some("SSH-2.0-OpenSSH\r\n"), Some("/health")).await;

        assert_eq!((make(&fine).await, make(&moved).await), (Ok(()), Ok(())));
        assert_eq!(make(&broken).await, Err("it answers 503 Service Unavailable".to_owned()));
        assert!(make(&strange).await.is_err());
    }

    #[tokio::test]
    async fn a_closed_port_is_told() {
        let probe = answering(None, None).await;
        let check = HealthCheck { port: 1, ..probe.check.clone() };

        let outcome = make(&Probe { check, ..probe }).await;

        assert!(outcome.unwrap_err().contains("refused"));
    }
}
