//! Asks of each call whether its caller may make it, before anything of it is read.
//!
//! In: a request, and who is at the other end. Out: the request with what its caller may do, or a refusal that says who was refused what.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Instant, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::{Either, Map};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response};
use poplin_proto::Failure;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::bounded::Bounded;
use super::guest::{Caller, CallerInfo};
use super::quiet::Quiet;
use super::right::{Asked, Right, asked};
use super::whole::Turn;

/// Stands before all services.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Guard;

/// A service behind the guard.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Guarded<S>(S);

/// What a call that was let in may do. Every request has it.
#[derive(Clone, Debug)]
struct Granted {
    caller: Caller,
    right: Right,
    asked: Asked,
    /// `ResourceService/Apply`.
    call: String,
}

impl Granted {
    fn may_change(&self) -> bool {
        self.right >= self.asked.to_change
    }
}

type Outcome<E> = Result<Response<Body>, E>;

impl<S> Layer<S> for Guard {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded(inner)
    }
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Outcome<S::Error>>, Map<S::Future, fn(Outcome<S::Error>) -> Outcome<S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let caller = request.extensions().get::<CallerInfo>();
        match granted(caller.map(|info| &info.0), request.uri().path(), SystemTime::now()) {
            Ok(granted) => Either::Right(self.0.call(let_in(request, granted)).map(|outcome| outcome.map(held))),
            Err(failure) => {
                note(caller.map_or("", |info| &info.0.name), &failure);
                Either::Left(ready(Ok(failure.into_status().into_http())))
            }
        }
    }
}

/// Of who may only look no more is read than a look takes.
fn let_in(mut request: Request<Body>, granted: Granted) -> Request<Body> {
    let may_change = granted.may_change();
    request.extensions_mut().insert(granted);
    match may_change {
        true => request,
        false => request.map(|body| Body::new(Bounded::new(body))),
    }
}

/// A turn that was given lasts as long as the answer.
fn held(mut response: Response<Body>) -> Response<Body> {
    match response.extensions_mut().remove::<Turn>() {
        Some(turn) => response.map(|body| Body::new(Held { body, _turn: turn })),
        None => response,
    }
}

struct Held {
    body: Body,
    _turn: Turn,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

fn granted(caller: Option<&Caller>, path: &str, now: SystemTime) -> Result<Granted, Failure> {
    let Some(caller) = caller else { return Err(unknown()) };
    if caller.until.is_some_and(|until| until < now) {
        let message = format!("the certificate of {} ended while it was connected", caller.name);
        let failure = Failure::new(Code::Unauthenticated, "CERTIFICATE_EXPIRED", message);
        return Err(failure.advice("renew it, and connect anew"));
    }
    let asked = asked(path);
    match caller.right {
        Some(right) if right >= asked.least => Ok(Granted { caller: caller.clone(), right, asked, call: short(path) }),
        right => Err(denied(caller, right, asked.least, path)),
    }
}

fn unknown() -> Failure {
    Failure::new(Code::Unauthenticated, "NO_PEER", "the connection does not tell who is calling")
}

fn denied(caller: &Caller, right: Option<Right>, least: Right, path: &str) -> Failure {
    let call = short(path);
    let has = right.map_or_else(|| "nothing here".to_owned(), |right| right.to_string());
    let message = format!("{} may not call {call}: it asks for {least}, and they may {has}", caller.name);
    let failure = Failure::new(Code::PermissionDenied, "PERMISSION_DENIED", message);
    failure.advice(match caller.until {
        None => {
            format!("run the command as root, or have the operator name the user or a group of theirs in api.{least}")
        }
        Some(_) => format!("show another certificate, or have the operator name a name of this one in api.{least}"),
    })
}

/// `ResourceService/Apply` of `/poplin.v1.ResourceService/Apply`.
fn short(path: &str) -> String {
    let parts: Vec<&str> = path.rsplitn(3, ['.', '/']).take(2).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

/// Says in the log who was refused, of each caller once in a while.
fn note(caller: &str, failure: &Failure) {
    static REFUSED: Quiet = Quiet::new();
    if REFUSED.breaks(caller, Instant::now()) {
        tracing::warn!("refused: {}", failure.message);
    }
}

/// For calls that can also only tell what they would change: lets those go on who may change it, and says in the log who does.
pub(in crate::serve) fn may_change<T>(request: &tonic::Request<T>) -> Result<(), Failure> {
    let Some(granted) = request.extensions().get::<Granted>() else { return Err(unknown()) };
    let Granted { caller, right, asked, call } = granted;
    if granted.may_change() {
        tracing::info!("{} calls {call}", caller.name);
        return Ok(());
    }
    let message = format!("{} may ask what this would change, but not change it", caller.name);
    let failure = Failure::new(Code::PermissionDenied, "PERMISSION_DENIED", message);
    note(&caller.name, &failure);
    let asked = asked.to_change;
    Err(failure.advice(format!("that asks for {asked}, and they may {right}; see api.{asked} of poplind")))
}

/// Whether the caller is held up by nobody.
pub(in crate::serve) fn may_do_everything<T>(request: &tonic::Request<T>) -> bool {
    request.extensions().get::<Granted>().is_some_and(|granted| granted.right == Right::Admin)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const APPLY: &str = "/poplin.v1.ResourceService/Apply";
    const DETACH: &str = "/poplin.v1.WorkloadService/Detach";

    fn caller(right: Option<Right>) -> Caller {
        Caller { name: "user 1000 (alice)".to_owned(), right, until: None }
    }

    fn outcome(right: Option<Right>, path: &str) -> Result<(), Failure> {
        granted(Some(&caller(right)), path, SystemTime::now()).map(|_| ())
    }

    fn changing(right: Right, path: &str) -> Result<(), Failure> {
        let mut request = tonic::Request::new(());
        let granted = granted(Some(&caller(Some(right))), path, SystemTime::now())?;
        request.extensions_mut().insert(granted);
        may_change(&request)
    }

    #[test]
    fn a_refusal_says_who_was_refused_what_and_who_can_change_that() {
        let refusal = outcome(Some(Right::Read), DETACH).unwrap_err();

        assert_eq!(refusal.code, Code::PermissionDenied);
        let expected = "user 1000 (alice) may not call WorkloadService/Detach: it asks for operate, and they may read";
        assert_eq!(refusal.message, expected);
        assert!(refusal.advice.unwrap().contains("api.operate"));
    }

    #[test]
    fn who_has_no_right_may_not_even_look() {
        assert!(outcome(None, "/poplin.v1.StatusService/GetStatus").unwrap_err().message.contains("may nothing here"));
    }

    #[test]
    fn a_reader_may_ask_what_a_change_would_do_and_not_make_it() {
        assert_eq!(outcome(Some(Right::Read), APPLY), Ok(()));
        assert!(changing(Right::Operate, APPLY).unwrap_err().advice.unwrap().contains("asks for admin"));
        assert_eq!(changing(Right::Admin, APPLY), Ok(()));
    }

    #[test]
    fn a_call_that_never_met_the_guard_changes_nothing() {
        assert_eq!(may_change(&tonic::Request::new(())).unwrap_err().code, Code::Unauthenticated);
        assert_eq!(granted(None, APPLY, SystemTime::now()).unwrap_err().code, Code::Unauthenticated);
    }

    #[test]
    fn a_certificate_that_ends_ends_what_its_holder_may() {
        let until = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let holder = Caller { until: Some(until), ..caller(Some(Right::Admin)) };

        assert!(granted(Some(&holder), APPLY, until).is_ok());
        let late = granted(Some(&holder), APPLY, until + Duration::from_secs(1)).unwrap_err();
        assert_eq!((late.code, late.reason.as_str()), (Code::Unauthenticated, "CERTIFICATE_EXPIRED"));
    }
}
