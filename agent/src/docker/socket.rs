//! The socket dockerd calls: handed over by systemd, so that calls wait while we start anew, or else made here.

use std::path::Path;

use anyhow::{Context as _, bail};
use listenfd::ListenFd;
use tokio::net::UnixListener;

use crate::serve::listen;

/// Takes it over, or opens it. A socket of another path that is handed over is a mistake in a unit.
pub(crate) fn socket(path: &Path) -> anyhow::Result<UnixListener> {
    let handed = ListenFd::from_env().take_unix_listener(0).context("what was handed over is no unix socket")?;
    let Some(listener) = handed else { return Ok(listen(path)?) };
    let address = listener.local_addr()?;
    if address.as_pathname() != Some(path) {
        bail!("the socket that was handed over is {address:?}, and dockerd is to find us at {}", path.display());
    }
    listener.set_nonblocking(true)?;
    Ok(UnixListener::from_std(listener)?)
}
