//! Reaches the agent over its unix socket, or says why it cannot be reached.
//!
//! In: the socket's path. Out: an open channel. The connection is made at once and not at the first call, so that an
//! absent agent is told apart from a failed call.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint, Uri};

/// Where the agent listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/poplin/api.sock";

/// Why the agent cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no socket at the path.
    #[error("cannot reach the agent at {}: no such file", path.display())]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The socket is there and nobody listens, as after a crash.
    #[error("cannot reach the agent at {}: connection refused", path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
    },
    /// The caller may not write to the socket.
    #[error("cannot reach the agent at {}: permission denied", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// Anything else, such as a path that is no socket.
    #[error("cannot reach the agent at {}", path.display())]
    Other {
        /// The socket.
        path: PathBuf,
        /// What the system or the transport said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ConnectError {
    /// What to try.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Absent { .. } => "start poplind on this host, or name the socket it listens on",
            Self::Refused { .. } => "poplind is not running: see `journalctl -u poplind -n 20`, then start it",
            Self::Denied { .. } => {
                "run as root, or have the operator name you or a group of yours in api.read of poplind"
            }
            Self::Other { .. } => "check that the path is the socket poplind listens on",
        }
    }
}

/// Opens a channel to the agent that listens on `socket`. It reconnects by itself if the agent restarts later.
pub async fn connect(socket: &Path) -> Result<Channel, ConnectError> {
    let path = socket.to_path_buf();
    // The name in the URI reaches nobody: HTTP/2 wants an authority, the connector dials the path.
    Endpoint::from_static("http://poplin.local")
        .connect_with_connector(tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        }))
        .await
        .map_err(|error| explained(socket.to_path_buf(), error))
}

fn explained(path: PathBuf, error: tonic::transport::Error) -> ConnectError {
    match cause(&error).map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => ConnectError::Absent { path },
        Some(io::ErrorKind::ConnectionRefused) => ConnectError::Refused { path },
        Some(io::ErrorKind::PermissionDenied) => ConnectError::Denied { path },
        Some(_) | None => ConnectError::Other { path, source: error.into() },
    }
}

/// The system's own error beneath the transport's wrapping.
fn cause(error: &tonic::transport::Error) -> Option<&io::Error> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<io::Error>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_absent_socket_is_named() {
        let error = connect(Path::new("/run/nobody/api.sock")).await.unwrap_err();

        assert!(matches!(error, ConnectError::Absent { .. }));
        assert_eq!(error.to_string(), "cannot reach the agent at /run/nobody/api.sock: no such file");
    }

    #[tokio::test]
    async fn a_socket_nobody_listens_on_refuses() {
        let path = std::env::temp_dir().join(format!("poplin-refuses-{}.sock", std::process::id()));
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());

        let error = connect(&path).await.unwrap_err();

        std::fs::remove_file(&path).unwrap();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");
    }
}
