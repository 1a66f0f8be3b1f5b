//! A connection, and who is at its other end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

use super::right::Right;
use super::seats::Seat;

/// How long one who may do nothing may take to ask, and to read why not.
const FAREWELL: Duration = Duration::from_secs(5);

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
    /// Rings when its certificate ends, or when one who may do nothing has heard so, and ends the connection: a call may be a stream without end.
    end: Option<Pin<Box<Sleep>>>,
    /// Given back when it hangs up; root and the agent's own user need none.
    _seat: Option<Seat>,
}

impl Guest {
    pub(super) fn new(
        octets: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        caller: Caller,
        seat: Option<Seat>,
    ) -> Self {
        let left = left(&caller, SystemTime::now());
        Self { octets: Box::new(octets), caller, end: left.map(|left| Box::pin(sleep(left))), _seat: seat }
    }
}

/// How long a connection may last, if that is bounded.
fn left(caller: &Caller, now: SystemTime) -> Option<Duration> {
    let certified = caller.until.map(|until| until.duration_since(now).unwrap_or_default());
    match caller.right {
        Some(_) => certified,
        None => Some(certified.map_or(FAREWELL, |left| left.min(FAREWELL))),
    }
}

impl Guest {
    /// A connection that waits to be read from ends as well as one that waits to be written to.
    fn goes_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let has_ended = self.end.as_mut().is_some_and(|end| end.as_mut().poll(cx).is_ready());
        match has_ended {
            true => Err(io::Error::new(io::ErrorKind::TimedOut, "its time is over")),
            false => Ok(()),
        }
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
        self.goes_on(cx)?;
        Pin::new(&mut self.octets).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.goes_on(cx)?;
        Pin::new(&mut self.octets).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.goes_on(cx)?;
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
        self.goes_on(cx)?;
        Pin::new(&mut self.octets).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.octets.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lasts(right: Option<Right>, certified: Option<u64>) -> Option<Duration> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let until = certified.map(|seconds| now + Duration::from_secs(seconds));
        left(&Caller { name: String::new(), right, until }, now)
    }

    #[test]
    fn who_may_do_nothing_is_gone_soon_and_others_stay_as_long_as_their_certificate() {
        assert_eq!(lasts(Some(Right::Read), None), None);
        assert_eq!(lasts(Some(Right::Read), Some(60)), Some(Duration::from_secs(60)));
        assert_eq!(lasts(None, None), Some(FAREWELL));
        assert_eq!([lasts(None, Some(60)), lasts(None, Some(1))], [Some(FAREWELL), Some(Duration::from_secs(1))]);
    }
}
