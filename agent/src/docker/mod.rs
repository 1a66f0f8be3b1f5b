//! Docker's driver for networks and addresses: what dockerd asks of us, by the protocol of its plugins.
//!
//! ```text
//! dockerd ── POST /NetworkDriver.CreateEndpoint {…} ──> door ─ wire ─> driver ──> the head
//! ```
//! In: HTTP on a unix socket in dockerd's plugin directory. Out: answers, each within a deadline, for dockerd itself waits for ever.
//! Protocol: docs/remote.md and docs/ipam.md of moby/libnetwork, and what dockerd 20.10 was seen to say.

mod door;
mod driver;
mod wire;

use tokio::net::UnixListener;

use crate::serve::Desk;

/// Serves one dockerd until the future is dropped.
pub(crate) async fn serve(listener: UnixListener, desk: Desk) {
    door::serve(listener, driver::Driver::new(desk)).await;
}
