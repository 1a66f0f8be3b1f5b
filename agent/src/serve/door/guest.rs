//! A connection, and who is at its other end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use super::right::Right;

/// Who is calling. It was found out when the connection was made, and is as long as that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// For people: `user 1000 (alice)`, `CN=grafana, O=monitoring`.
    pub(super) name: String,
    /// The most it may do, if anything.
    pub(super) right: Option<Right>,
    /// When its certificate ends, if it has one.
    pub(super) until: Option<SystemTime>,
}

trait Octets: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Octets for T {}

/// A connection whose other end is known.
pub struct Guest {
    octets: Box<dyn Octets>,
    caller: Caller,
    /// Rings when its certificate ends, and the connection with it: a call may be a stream without end.
    end: Option<Pin<Box<Sleep>>>,
    /// Given back when it hangs up; root and the agent's own user need none.
    _seat: Option<OwnedSemaphorePermit>,
}

impl Guest {
    pub(super) fn new(
        octets: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        caller: Caller,
        seat: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let left = caller.until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default());
        Self { octets: Box::new(octets), caller, end: left.map(|left| Box::pin(sleep(left))), _seat: seat }
    }
}

impl Connected for Guest {
    type ConnectInfo = CallerInfo;

    fn connect_info(&self) -> CallerInfo {
        CallerInfo(self.caller.clone())
    }
}

/// What tonic hands to each call of a connection.
#[derive(Clone, Debug)]
pub struct CallerInfo(pub(super) Caller);

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller's certificate has ended")));
        }
        Pin::new(&mut self.octets).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.octets).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.octets).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.octets).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.octets).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.octets.is_write_vectored()
    }
}
