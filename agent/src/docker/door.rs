//! The socket dockerd calls: HTTP/1.1, one POST a call, JSON in and out.
//!
//! In: requests. Out: what the driver says, or why not, under the key that dockerd looks for in that part of the protocol. What is not known
//! here is answered 404: dockerd then goes on without. Whoever speaks here publishes ports and gives labels, so only root, as whom dockerd runs, and
//! the agent's own user may, whatever the mode of the socket lets through.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use super::driver::Driver;

/// What plugins of version 1 answer in.
const FORMAT: &str = "application/vnd.docker.plugins.v1.2+json";

/// How long a call may take. The head gives a request up after 10 s, and 18 more where neighbours are waited for; dockerd would wait for ever.
const DEADLINE: Duration = Duration::from_secs(28);

/// The longest request, in octets: a container with some thousand published ports.
const LONGEST_REQUEST: usize = 1 << 20;

/// Between two lines in the log about others than dockerd: they may come as often as they like.
const QUIET: Duration = Duration::from_secs(1);

/// Connections of others that may be told at once that they are wrong here; who comes beyond is hung up on.
const REFUSALS: usize = 16;

/// How long one that is refused may take to ask and to read why.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves until the future is dropped.
pub(super) async fn serve(listener: UnixListener, driver: Driver) {
    let mut refusals = Refusals { turns: Arc::new(Semaphore::new(REFUSALS)), last: None };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(user) if is_trusted(user.uid()) => {
                    drop(tokio::spawn(converse(stream, driver.called_by(user.pid()))));
                }
                Ok(user) => refusals.refuse(stream, user.uid()),
                Err(error) => tracing::warn!("a caller of Docker's driver is not known: {error}"),
            },
            Err(error) => {
                tracing::warn!("cannot accept a call of dockerd: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await; // out of descriptors: do not spin
            }
        }
    }
}

/// As at the API: who may read our memory anyhow.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Those who are no dockerd.
struct Refusals {
    turns: Arc<Semaphore>,
    last: Option<Instant>,
}

impl Refusals {
    fn refuse(&mut self, stream: UnixStream, uid: u32) {
        if self.last.is_none_or(|last| last.elapsed() >= QUIET) {
            self.last = Some(Instant::now());
            tracing::warn!("refused: user {uid} called Docker's driver, which only root and the agent's own user may");
        }
        let Ok(turn) = self.turns.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL, bid_farewell(stream, uid)).await;
            drop(turn);
        });
    }
}

/// Says why before anything of a request is read.
async fn bid_farewell(stream: UnixStream, uid: u32) {
    let words = format!(
        "user {uid} may not call Docker's driver: only root, as whom dockerd runs, and the agent's own user; use `poplin` and api.operate of poplind"
    );
    let answer = service_fn(move |_: Request<Incoming>| {
        let refusal = said(StatusCode::FORBIDDEN, &json!({"Err": words, "Error": words}));
        async move { Ok::<_, Infallible>(refusal) }
    });
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), answer).await;
}

/// One connection, over which several calls may come; one that ends early concerns nobody.
async fn converse(stream: UnixStream, driver: Driver) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let driver = driver.clone();
        async move { Ok::<_, Infallible>(answer(request, &driver).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(request: Request<Incoming>, driver: &Driver) -> Response<Full<Bytes>> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let Ok(body) = Limited::new(request.into_body(), LONGEST_REQUEST).collect().await else {
        return said(StatusCode::BAD_REQUEST, &json!({"Err": "the request is broken off or too long"}));
    };
    let body = body.to_bytes();
    let outcome = tokio::time::timeout(DEADLINE, driver.call(&path, &body)).await;
    match outcome.unwrap_or_else(|_| Some(Err(format!("no answer within {DEADLINE:?}")))) {
        None => said(StatusCode::NOT_FOUND, &json!({"Err": format!("{path} is not known here")})),
        Some(Ok(value)) => said(StatusCode::OK, &value),
        Some(Err(reason)) => {
            tracing::warn!("dockerd was refused {path}: {reason}");
            said(StatusCode::OK, &json!({error_key(&path): reason}))
        }
    }
}

/// Where dockerd looks for an error: the two parts of the protocol differ.
fn error_key(path: &str) -> &'static str {
    if path.starts_with("IpamDriver.") { "Error" } else { "Err" }
}

fn said(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(FORMAT));
    response
}
