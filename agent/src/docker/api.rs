//! dockerd's own API, as far as it is asked: HTTP/1.1 on its socket.
//!
//! In: a path and perhaps a body. Out: JSON, within a deadline; or a stream of events, one a line. Paths bear no version, so that dockerd of any
//! answers by its own.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

/// How long an answer may take: dockerd answers lists in milliseconds.
const DEADLINE: Duration = Duration::from_secs(5);

/// The way to one dockerd.
#[derive(Clone, Debug)]
pub(super) struct Api {
    socket: PathBuf,
}

/// Events as they happen.
pub(super) struct Events {
    body: Incoming,
    heard: Vec<u8>,
}

impl Api {
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Asks for something.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        self.ask(Method::GET, path, None).await
    }

    /// Has something made.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Has something removed.
    pub async fn delete(&self, path: &str) -> Result<Value, String> {
        self.ask(Method::DELETE, path, None).await
    }

    /// Begins to listen to events of networks.
    pub async fn events(&self) -> Result<Events, String> {
        let path = format!("/events?filters={}", filters("type", "network"));
        let begun = tokio::time::timeout(DEADLINE, self.send(Method::GET, &path, None)).await;
        let response = begun.map_err(|_| late(&path))??;
        Ok(Events { body: response.into_body(), heard: Vec::new() })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        tokio::time::timeout(DEADLINE, self.answer(method, path, body)).await.map_err(|_| late(path))?
    }

    async fn answer(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let octets = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
        let value: Value = if octets.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&octets).map_err(|error| format!("dockerd's answer to {path}: {error}"))?
        };
        match status.is_success() {
            true => Ok(value),
            false => Err(format!("dockerd: {} ({status})", value["message"].as_str().unwrap_or_default())),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Incoming>, String> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| format!("dockerd at {}: {error}", self.socket.display()))?;
        let told = |error: hyper::Error| format!("dockerd: {error}");
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
        tokio::spawn(connection); // ends with the answer
        let octets = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder().method(method).uri(path).header(HOST, "docker");
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::<Bytes>::from(octets));
        sender.send_request(request.map_err(|error| error.to_string())?).await.map_err(told)
    }
}

fn late(path: &str) -> String {
    format!("dockerd does not answer {path} within {DEADLINE:?}")
}

/// One filter in the form of a query.
pub(super) fn filters(key: &str, value: &str) -> String {
    let plain = |octet: u8| match octet {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' => char::from(octet).to_string(),
        other => format!("%{other:02X}"),
    };
    serde_json::json!({key: [value]}).to_string().bytes().map(plain).collect()
}

impl Events {
    /// The next one; nothing when dockerd is gone.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.heard.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                match serde_json::from_slice(&line) {
                    Ok(event) => return Some(event),
                    Err(_) => continue, // an empty line
                }
            }
            let frame = self.body.frame().await?.ok()?;
            self.heard.extend(frame.into_data().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_written_as_a_query_takes_it() {
        assert_eq!(filters("id", "ab"), "%7B%22id%22%3A%5B%22ab%22%5D%7D");
    }
}
