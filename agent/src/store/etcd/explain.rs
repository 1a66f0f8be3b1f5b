//! Tells etcd's errors apart.
//!
//! In: what `etcd-client` says, or its silence. Out: a [`StoreError`]. etcd's texts stand in its `rpctypes/error.go` and have not
//! changed since 3.0.

use super::members::{ANSWER_TIME, Failure};
use crate::store::{Cause, LeaseId, Rejected, Revision, StoreError};
use etcd_client::Error;
use std::error::Error as _;
use tonic::{Code, Status};

/// What etcd says of a lease that is not there; `etcd-client` says the same of a keep-alive.
const LEASE_GONE: &str = "lease not found";

/// What a question was about: what the error must name, and etcd's does not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    pub(super) lease: Option<LeaseId>,
    pub(super) revision: Revision,
}

/// What kind of trouble it is.
enum Kind {
    Unreachable,
    Compacted,
    ToCome,
    LeaseGone,
    Full,
    Denied,
    Odd,
}

impl Failure {
    pub(super) fn explain(&self, location: String, about: About) -> StoreError {
        let asked = about.revision;
        match self.kind() {
            Kind::Unreachable => StoreError::Unreachable { location, cause: self.cause() },
            Kind::Compacted => StoreError::Compacted { asked, compacted: asked },
            Kind::ToCome => StoreError::WentBack { seen: asked, now: asked - 1 },
            Kind::LeaseGone => Rejected::LeaseGone(about.lease.unwrap_or(LeaseId(0))).into(),
            Kind::Full => StoreError::Full { location, cause: self.cause() },
            Kind::Denied => StoreError::Denied { location, cause: self.cause() },
            Kind::Odd => StoreError::Protocol { location, cause: self.cause() },
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Failure::Silence => Kind::Unreachable,
            Failure::Told(Error::GRpcStatus(status)) => kind_of(status),
            Failure::Told(Error::LeaseKeepAliveError(text)) if text.contains(LEASE_GONE) => Kind::LeaseGone,
            Failure::Told(Error::TransportError(_) | Error::IoError(_)) => Kind::Unreachable,
            Failure::Told(Error::WatchError(_) | Error::LeaseKeepAliveError(_)) => Kind::Unreachable,
            Failure::Told(_) => Kind::Odd,
        }
    }

    /// Whether another member may do better.
    pub(super) fn is_of_the_member(&self) -> bool {
        matches!(self.kind(), Kind::Unreachable)
    }

    /// Whether it does not let us in.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self.kind(), Kind::Denied)
    }

    /// In words, with the deepest cause: "tcp connect error: Connection refused".
    fn cause(&self) -> Cause {
        match self {
            Failure::Silence => format!("no answer within {} s", ANSWER_TIME.as_secs()).into(),
            Failure::Told(Error::GRpcStatus(status)) => words(status).into(),
            Failure::Told(error) => error.to_string().into(),
        }
    }
}

fn kind_of(status: &Status) -> Kind {
    let text = status.message();
    match status.code() {
        Code::OutOfRange if text.contains("has been compacted") => Kind::Compacted,
        Code::OutOfRange if text.contains("future revision") => Kind::ToCome,
        Code::NotFound if text.contains(LEASE_GONE) => Kind::LeaseGone,
        Code::ResourceExhausted if text.contains("space exceeded") => Kind::Full,
        Code::Unauthenticated | Code::PermissionDenied => Kind::Denied,
        Code::InvalidArgument if text.contains("authentication failed") || text.contains("user name is empty") => {
            Kind::Denied
        }
        Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange | Code::NotFound | Code::FailedPrecondition => {
            Kind::Odd
        }
        _ => Kind::Unreachable,
    }
}

fn words(status: &Status) -> String {
    let deepest = causes(status).last().map(ToString::to_string);
    match deepest.filter(|deepest| deepest != status.message()) {
        Some(deepest) => format!("{}: {deepest}", status.message()),
        None => status.message().to_owned(),
    }
}

/// What lies under the status, from above.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let mut next = status.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

/// Whether the answer was larger than we take: a smaller page helps.
pub(super) fn is_too_long(failure: &Failure) -> bool {
    matches!(failure, Failure::Told(Error::GRpcStatus(status)) if status.message().contains("message length too large"))
}

/// Whether the question was surely never sent, because there was no connection.
pub(super) fn was_never_sent(failure: &Failure) -> bool {
    let Failure::Told(Error::GRpcStatus(status)) = failure else { return false };
    causes(status).any(|cause| cause.is::<tonic::ConnectError>())
}
