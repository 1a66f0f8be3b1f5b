//! Pools.

use ipnet::IpNet;
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, net, selector};
use poplin_node::name::PoolName;
use poplin_node::object::Pool;
use poplin_node::prefix::MAX_BLOCK_HOST_BITS;
use poplin_proto::v1;

use super::nat;

/// Host bits of a block nobody chose: 64 addresses, /26 or /122.
const DEFAULT_BLOCK_HOST_BITS: u8 = 6;

pub(super) fn check(pool: &v1::Pool) -> Result<Pool, Invalids> {
    let spec = pool.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let cidr = findings.take(net("spec.cidr", &spec.cidr).and_then(usable));
    let block_bits = cidr.and_then(|cidr| findings.take(block_bits(cidr, spec.block_size)));
    let hosts = findings.take(selector("spec.hosts", &spec.hosts));
    let name = PoolName::new(checked_name(pool.metadata.as_ref()));
    let nat = cidr.zip(spec.nat.as_ref()).and_then(|(cidr, nat)| nat::check(&mut findings, "spec.nat", nat, cidr));
    let is_enabled = !spec.disabled;
    let checked = cidr.zip(block_bits).zip(hosts);
    let checked = checked.map(|((cidr, block_bits), hosts)| Pool { name, cidr, block_bits, hosts, is_enabled, nat });
    findings.finish(checked)
}

/// Containers cannot live where routers do not forward to.
fn usable(cidr: IpNet) -> Result<IpNet, Invalid> {
    let address = cidr.network();
    let is_link_local = match cidr {
        IpNet::V4(net) => net.network().is_link_local(),
        IpNet::V6(net) => net.network().is_unicast_link_local(),
    };
    if address.is_loopback() || address.is_multicast() || is_link_local || cidr.prefix_len() == 0 {
        return Err(Invalid::new("spec.cidr", "NOT_ROUTABLE", format!("{cidr} cannot be routed to containers"))
            .advice("take a private range such as 10.77.0.0/16 or fd77::/48"));
    }
    Ok(cidr)
}

fn block_bits(cidr: IpNet, wanted: Option<u32>) -> Result<u8, Invalid> {
    let longest = cidr.max_prefix_len();
    let default = longest - DEFAULT_BLOCK_HOST_BITS;
    let shortest = longest - MAX_BLOCK_HOST_BITS;
    let wanted = wanted.unwrap_or(u32::from(default));
    let bits = u8::try_from(wanted).ok().filter(|bits| (shortest..=longest).contains(bits)).ok_or_else(|| {
        Invalid::new("spec.blockSize", "OUT_OF_RANGE", format!("/{wanted} is not between /{shortest} and /{longest}"))
    })?;
    if bits >= cidr.prefix_len() {
        return Ok(bits);
    }
    let has = addresses(longest - cidr.prefix_len());
    let needs = addresses(longest - bits);
    let message =
        format!("{cidr} is too small for its block size /{bits}: it has {has} addresses, one block needs {needs}");
    let advice = format!("take a cidr of /{bits} or larger, or blockSize: {}", (cidr.prefix_len() + 4).min(longest));
    Err(Invalid::new("spec.cidr", "POOL_TOO_SMALL", message).advice(advice))
}

fn addresses(host_bits: u8) -> u128 {
    1 << host_bits.min(127)
}
