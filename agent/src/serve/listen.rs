//! The socket: who may use it, and who holds it already.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Owner and group may speak, others may not.
const MODE: u32 = 0o660;

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody answers there.
    #[error("another program serves on {}", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The path cannot be used.
    #[error("cannot open the socket {}", path.display())]
    Path {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Opens the socket, taking the place of one whose program is gone.
pub fn listen(path: &Path) -> Result<UnixListener, ListenError> {
    if UnixStream::connect(path).is_ok() {
        return Err(ListenError::InUse { path: path.to_owned() });
    }
    open(path).map_err(|source| ListenError::Path { path: path.to_owned(), source })
}

fn open(path: &Path) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}
