//! The figures by HTTP: `GET /metrics`, and nothing else.
//!
//! In: an address, and whoever gives the text. Out: nothing, until the process ends. There is neither encryption nor a question who asks: the
//! address is the operator's choice, and none listens unless one is chosen.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::serve::Desk;

/// The text format that everybody reads.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How many may ask at once: a pair of servers, a person, and some room.
const AT_ONCE: usize = 16;

/// How long a caller may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the address.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot serve metrics on {address}; choose another with --metrics-listen"))
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, desk: Desk) {
    let room = std::sync::Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(seat) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                tokio::spawn(async move {
                    converse(stream, desk).await;
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a request for metrics: {error}");
                sleep(Duration::from_millis(100)).await; // out of descriptors: do not spin
            }
        }
    }
}

/// One caller, who may ask several times; one who hangs up early concerns nobody.
async fn converse(stream: TcpStream, desk: Desk) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(answer(&request, &desk).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let _ = http.serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(request: &Request<Incoming>, desk: &Desk) -> Response<String> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match desk.metrics().await {
            Ok(text) => said(StatusCode::OK, text),
            Err(failure) => said(StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", failure.message)),
        },
        (_, "/metrics") => {
            let mut refusal = said(StatusCode::METHOD_NOT_ALLOWED, "GET /metrics\n".to_owned());
            refusal.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
            refusal
        }
        _ => said(StatusCode::NOT_FOUND, "there is only /metrics\n".to_owned()),
    }
}

fn said(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(FORMAT));
    response
}
