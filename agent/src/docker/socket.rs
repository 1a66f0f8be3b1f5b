//! The socket dockerd calls: handed over by systemd, so that calls wait while we start anew, or else made here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use tokio::net::UnixListener;

use crate::serve::door::{Allowed, listen};

/// Takes it over, or opens it. A socket of another path that is handed over is a mistake in a unit.
pub(crate) fn socket(path: &Path) -> anyhow::Result<UnixListener> {
    let handed = ListenFd::from_env().take_unix_listener(0).context("what was handed over is no unix socket")?;
    let Some(listener) = handed else { return Ok(listen(path, &Allowed::default())?) };
    let address = listener.local_addr()?;
    if address.as_pathname() != Some(path) {
        bail!("the socket that was handed over is {address:?}, and dockerd is to find us at {}", path.display());
    }
    // Whoever may speak here publishes ports and gives labels. A unit that says nothing lets everybody (systemd.socket(5), SocketMode=).
    fs::set_permissions(path, Permissions::from_mode(0o600)).context("cannot keep others from the socket")?;
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}
