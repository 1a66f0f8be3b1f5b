//! Docker's driver for networks and addresses: what dockerd asks of us, by the protocol of its plugins, and what we ask of dockerd.
//!
//! ```text
//! dockerd ── POST /NetworkDriver.CreateEndpoint {…} ──> door ─ wire ─> driver ─ call ──> the head, the store
//!    └────── events, networks, containers <──────────── api <──── follow: names, labels, networks of the fabric, orphans
//! ```
//! In: HTTP on a unix socket in dockerd's plugin directory. Out: answers, each within a deadline, for dockerd itself waits for ever.
//! What dockerd does not tell in a call, names and labels, is read from its API: a network's name may be asked for at any time, a container
//! must not be inspected while dockerd waits for us, for it holds a lock meanwhile.
//! Protocol: docs/remote.md and docs/ipam.md of moby/libnetwork, and what dockerd 20.10 was seen to say.

mod door;
mod driver;
mod socket;
mod wire;

mod call;
mod pool_id;
mod wish;

mod binding;
mod encapsulation;
mod fabric;
mod naming;
mod swarm;

mod api;
mod firewall;
mod follow;
mod known;
mod meet;

pub(crate) use binding::root_of as bindings_of;
pub(crate) use socket::socket;

use tokio::net::UnixListener;

use crate::config::Docker;
use crate::serve::Desk;

/// Serves one dockerd until the future is dropped.
pub(crate) async fn serve(listener: UnixListener, settings: Docker, desk: Desk) {
    let driver = driver::Driver::new(&settings, desk);
    let follower = tokio::spawn(follow::follow(driver.clone()));
    door::serve(listener, driver).await;
    follower.abort();
}
