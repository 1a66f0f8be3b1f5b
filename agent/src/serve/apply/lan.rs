//! Whether a pool that is part of a LAN leaves the hosts their own addresses there.

use std::collections::BTreeMap;

use poplin_manifest::field::Invalid;
use poplin_node::object::{Host, Object, ObjectKey, Pool};

/// Why a pool cannot be as it is: it would give away the address of a host.
pub(super) fn spares_hosts(pool: &Pool, after: &BTreeMap<ObjectKey, Object>) -> Option<Invalid> {
    if !pool.is_lan {
        return None;
    }
    let hosts = after.values().filter_map(|object| <&Host>::try_from(object).ok());
    let mut addresses = hosts.flat_map(|host| host.addresses.iter().map(move |address| (host, *address)));
    let (host, address) =
        addresses.find(|(_, address)| pool.cidr.contains(address) && !pool.reserved.contains(*address))?;
    let message = format!("{} holds {address}, which is of host {}", pool.cidr, host.name);
    Some(Invalid::new("spec.cidr", "HOST_ADDRESS", message).advice(format!(
        "take a part of the LAN that nothing else is in, or reserve what is: reserved: [{address}], and so for the LAN's router"
    )))
}
