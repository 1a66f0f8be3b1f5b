//! Makes the tap that a virtual machine is attached by, and takes it away again where nothing came of it.
//!
//! In: a name, and whose it shall be. Out: a persistent tap in the caller's own namespace, down, which the agent then takes over as the host's side.
//! ip-tuntap(8) does it: a tap is made by ioctl(2) on /dev/net/tun and by nothing else, and netlink makes none.

use std::process::Command;

use netlink_packet_route::link::LinkAttribute;

use crate::seen::link;
use crate::{SandboxError, netns};

/// How the host's sides of endpoints begin. The kernel tells that name also to who asks by the other one a tap has.
const INTERFACE_PREFIX: &str = "pop";

/// Makes a tap for a user, by name or number; without one, only who may configure networks opens it. Tells whether it did: one that is an endpoint's
/// already stays as it is.
pub async fn make_tap(name: &str, user: Option<&str>) -> Result<bool, SandboxError> {
    match standing(name).await? {
        Some(true) => return Ok(false),
        Some(false) => return Err(SandboxError::TapExists { name: name.to_owned() }),
        None => {}
    }
    let owner = user.into_iter().flat_map(|user| ["user", user]);
    run(&["tuntap", "add", "dev", name, "mode", "tap"].into_iter().chain(owner).collect::<Vec<_>>(), name)?;
    Ok(true)
}

/// Takes away a tap that is nobody's yet. One that has become an endpoint's is the agent's to remove.
pub async fn remove_tap(name: &str) -> Result<(), SandboxError> {
    match standing(name).await? {
        Some(false) => run(&["tuntap", "del", "dev", name, "mode", "tap"], name),
        Some(true) | None => Ok(()),
    }
}

/// Whether an interface of that name is an endpoint's; absent = there is none.
async fn standing(name: &str) -> Result<Option<bool>, SandboxError> {
    let found = link(&netns::connect_here()?, name).await?;
    let is_ours =
        |one: &LinkAttribute| matches!(one, LinkAttribute::IfName(name) if name.starts_with(INTERFACE_PREFIX));
    Ok(found.map(|link| link.attributes.iter().any(is_ours)))
}

fn run(arguments: &[&str], name: &str) -> Result<(), SandboxError> {
    let failed = |reason: String| SandboxError::Tap { name: name.to_owned(), reason };
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| failed(format!("ip of the package iproute2 does not run: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}
