//! Networks.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_manifest::address::address;
use poplin_manifest::check_circle;
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, nets, within};
use poplin_node::name::NetworkName;
use poplin_node::network::is_usable;
use poplin_node::object::Network;
use poplin_proto::v1;

use super::host::{MAX_MTU_BYTES, MIN_MTU_BYTES};
use super::macvlan;
use super::naming::records;

pub(super) fn check(network: &v1::Network) -> Result<Network, Invalids> {
    let spec = network.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let circle = findings.take_part(check_circle(network));
    let subnets: BTreeSet<IpNet> = findings.take_all(nets("spec.subnets", &spec.subnets)).into_iter().collect();
    findings.take(one_of_each_family(&subnets));
    let ranges: BTreeSet<IpNet> = findings.take_all(nets("spec.ranges", &spec.ranges)).into_iter().collect();
    findings.take_all(ranges.iter().map(|range| {
        let is_within = subnets.iter().any(|subnet| subnet.contains(range));
        inside("spec.ranges", range, is_within)
    }));
    let reserved = spec.reserved.iter().enumerate();
    let reserved = reserved.map(|(place, text)| address(&format!("spec.reserved[{place}]"), text));
    let reserved: BTreeSet<IpAddr> = findings.take_all(reserved).into_iter().collect();
    let mtu = spec.mtu_bytes.map(|mtu| within("spec.mtuBytes", mtu, MIN_MTU_BYTES, MAX_MTU_BYTES, " bytes"));
    let mtu_bytes = findings.take(mtu.transpose());
    let index = findings.take(index(spec.index));
    let records = records(&mut findings, "spec.records", &spec.records);
    let macvlan = spec.macvlan.as_ref().and_then(|macvlan| findings.take_part(macvlan::check(macvlan, &subnets)));
    let name = NetworkName::new(checked_name(network.metadata.as_ref()));
    let checked = circle.zip(mtu_bytes).zip(index);
    findings.finish(checked.map(|((circle, mtu_bytes), index)| Network {
        name,
        circle,
        subnets,
        ranges,
        reserved,
        mtu_bytes,
        index,
        records,
        macvlan,
    }))
}

fn one_of_each_family(subnets: &BTreeSet<IpNet>) -> Result<(), Invalid> {
    let v6 = subnets.iter().filter(|subnet| matches!(subnet, IpNet::V6(_))).count();
    match (v6, subnets.len() - v6) {
        (0 | 1, 0 | 1) => Ok(()),
        _ => Err(Invalid::new("spec.subnets", "TWO_OF_ONE_FAMILY", "there may be one subnet of each family")),
    }
}

fn inside(field: &str, what: &IpNet, is_within: bool) -> Result<(), Invalid> {
    match is_within {
        true => Ok(()),
        false => Err(Invalid::new(field, "OUTSIDE_SUBNETS", format!("{what} is in none of the subnets"))),
    }
}

fn index(number: u32) -> Result<u16, Invalid> {
    u16::try_from(number).ok().filter(|index| is_usable(*index)).ok_or_else(|| {
        Invalid::new("spec.index", "BAD_INDEX", format!("{number} is no number of a network"))
            .advice("leave it out: the server chooses one")
    })
}
