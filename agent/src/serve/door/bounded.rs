//! How much is read of a request whose caller may not change anything by it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Bytes, Frame, SizeHint};
use poplin_proto::Failure;
use tonic::body::Body;
use tonic::{Code, Status};

/// The most, in octets: a directory of manifests that is only tried is seldom longer, and reading it costs time and memory.
const OF_READERS: usize = 1 << 20;

/// A request, and how much more of it may come.
pub(super) struct Bounded {
    body: Body,
    left: usize,
}

impl Bounded {
    pub(super) fn new(body: Body) -> Self {
        Self { body, left: OF_READERS }
    }

    fn admits(&mut self, frame: &Frame<Bytes>) -> Result<(), Status> {
        let octets = frame.data_ref().map_or(0, Bytes::len);
        self.left = self.left.checked_sub(octets).ok_or_else(too_long)?;
        Ok(())
    }
}

impl hyper::body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(next.map(|frame| {
            let frame = frame?;
            self.admits(&frame).map(|()| frame)
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn too_long() -> Status {
    let message = format!("the request is longer than {OF_READERS} octets, the most of who may look and not change");
    let failure = Failure::new(Code::ResourceExhausted, "TOO_LONG", message);
    failure.advice("try fewer files at once, or have somebody try them who may also apply them").into()
}
