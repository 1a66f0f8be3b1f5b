//! BGP peers outside the fabric.

use std::collections::BTreeSet;
use std::time::Duration;

use poplin_bgp::wire::Family;
use poplin_manifest::address::address;
use poplin_manifest::field::{Findings, Invalids, checked_name, selector, within, word};
use poplin_node::name::PeerName;
use poplin_node::object::Peer;
use poplin_node::{BGP_PORT, HOLD_TIME};
use poplin_proto::v1;

use super::bfd;
use super::host::{asn, long_lived};
use super::route_map::named;

pub(super) fn check(peer: &v1::Peer) -> Result<Peer, Invalids> {
    let spec = peer.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = PeerName::new(checked_name(peer.metadata.as_ref()));
    let address = findings.take(address("spec.address", &spec.address));
    let asn = findings.take(asn("spec.asn", spec.asn));
    let port = findings.take(within("spec.port", spec.port.unwrap_or(u32::from(BGP_PORT)), 1, 65535, ""));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let hosts = findings.take(selector("spec.hosts", &spec.hosts));
    // RFC 4271 §4.2: a hold time is zero or at least three seconds; zero would keep a dead peer for ever.
    let hold_time = match spec.hold_time_seconds {
        None => Some(HOLD_TIME),
        Some(seconds) => findings
            .take(within("spec.holdTimeSeconds", seconds, 3, 65535, " s"))
            .map(|seconds| Duration::from_secs(seconds.into())),
    };
    let bfd = spec.bfd.and_then(|bfd| bfd::check(&mut findings, "spec.bfd", &bfd));
    let maps = named(&mut findings, [("spec.import", &spec.import), ("spec.export", &spec.export)]);
    let families = families(&mut findings, &spec.families);
    let long_lived = findings.take(long_lived("spec.longLivedSeconds", spec.long_lived_seconds.unwrap_or(0)));
    let checked = address.zip(asn).zip(port).zip(hosts).zip(hold_time).zip(long_lived);
    findings.finish(checked.map(|(((((address, asn), port), hosts), hold_time), long_lived)| Peer {
        name,
        address,
        port,
        asn,
        hosts,
        hold_time,
        bfd,
        maps,
        is_client: spec.reflector_client,
        is_transit: spec.transit,
        is_passive: spec.passive,
        families,
        long_lived,
    }))
}

/// Those named, or both.
fn families(findings: &mut Findings, texts: &[String]) -> BTreeSet<Family> {
    let words = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
    let named = texts.iter().enumerate();
    let named = findings.take_all(named.map(|(index, text)| word(&format!("spec.families[{index}]"), text, &words)));
    if texts.is_empty() { Family::ALL.into() } else { named.into_iter().collect() }
}
