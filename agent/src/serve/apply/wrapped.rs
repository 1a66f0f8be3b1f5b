//! Whether a pool whose packets are wrapped leaves the hosts out.

use std::collections::BTreeMap;

use poplin_manifest::field::Invalid;
use poplin_node::object::{Host, Object, ObjectKey, Pool};
use poplin_node::tunnel::Encapsulation;

/// Why a pool cannot be as it is: a host's own packets would be taken for a container's, that which is wrapped first of all.
pub(super) fn has_no_host(pool: &Pool, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    if pool.encapsulation == Encapsulation::Never {
        return None;
    }
    let hosts = after.values().filter_map(|object| <&Host>::try_from(object).ok());
    let mut addresses = hosts.flat_map(|host| host.addresses.iter().map(move |address| (host, *address)));
    let (host, address) = addresses.find(|(_, address)| pool.cidr.contains(address))?;
    let message =
        format!("{} is wrapped between hosts, and holds {address}, which is of host {}", pool.cidr, host.name);
    Some(
        Invalid::new("spec.cidr", "HOST_ADDRESS", message)
            .advice("take a range that no host is in, or encapsulation: never"),
    )
}
