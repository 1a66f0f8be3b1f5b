//! Who is calling: read from the socket by the kernel, so it cannot be forged.

use poplin_proto::Failure;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Code, Request};

/// Lets root, and whoever has the agent's own user, change things; the socket's mode decides who may look.
pub(super) fn may_change<T>(request: &Request<T>) -> Result<(), Failure> {
    let caller = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    let own = rustix::process::geteuid().as_raw();
    match caller {
        Some(caller) if caller.uid() == 0 || caller.uid() == own => Ok(()),
        Some(caller) => {
            let message = format!("user {} may look, but not change anything", caller.uid());
            Err(Failure::new(Code::PermissionDenied, "PERMISSION_DENIED", message).advice("run the command as root"))
        }
        None => Err(Failure::new(Code::Unauthenticated, "NO_PEER", "the socket does not tell who is calling")),
    }
}
