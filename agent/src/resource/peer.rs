//! BGP peers outside the fabric.

use std::collections::BTreeSet;

use poplin_bgp::wire::{AddPaths, Family, Notification, Role};
use poplin_bgp::{Address, RoleConfig, Zone};
use poplin_manifest::address::address;
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, net, selector, within, word};
use poplin_node::BGP_PORT;
use poplin_node::name::PeerName;
use poplin_node::object::{Peer, PeerAs, Place};
use poplin_proto::v1;

use super::bfd;
use super::host::{asn, long_lived};
use super::limits;
use super::protection;
use super::route_map::named;
use super::timers;

pub(super) fn check(peer: &v1::Peer) -> Result<Peer, Invalids> {
    let spec = peer.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let name = PeerName::new(checked_name(peer.metadata.as_ref()));
    let place = place(&mut findings, &spec);
    let asn = remote_as(&mut findings, &spec);
    let port = findings.take(within("spec.port", spec.port.unwrap_or(u32::from(BGP_PORT)), 1, 65535, ""));
    let port = port.and_then(|port| u16::try_from(port).ok());
    let hosts = findings.take(selector("spec.hosts", &spec.hosts));
    let timers = timers::check(&mut findings, "spec", (&spec).into());
    let bfd = spec.bfd.and_then(|bfd| bfd::check(&mut findings, "spec.bfd", &bfd));
    let maps = named(&mut findings, [("spec.import", &spec.import), ("spec.export", &spec.export)]);
    let protection = protection::check(&mut findings, "spec", &spec.password_file, spec.ttl_security_hops);
    let limits =
        spec.prefix_limits.as_ref().and_then(|limits| limits::check(&mut findings, "spec.prefixLimits", limits));
    let shutdown = spec.shutdown.clone().and_then(|text| findings.take(communication("spec.shutdown", text)));
    let role = role(&mut findings, &spec);
    let (add_paths, paths) = paths(&mut findings, &spec);
    let families = families(&mut findings, &spec.families);
    let long_lived = findings.take(long_lived("spec.longLivedSeconds", spec.long_lived_seconds.unwrap_or(0)));
    let checked = place.zip(asn).zip(port).zip(hosts).zip(timers).zip(long_lived);
    findings.finish(checked.map(|(((((place, asn), port), hosts), timers), long_lived)| Peer {
        name,
        place,
        port,
        asn,
        hosts,
        timers,
        bfd,
        maps,
        is_client: spec.reflector_client,
        is_transit: spec.transit,
        protection,
        limits: limits.unwrap_or_default(),
        shutdown,
        add_paths,
        role,
        extended_messages: spec.extended_messages.unwrap_or(true),
        extended_next_hop: spec.extended_next_hop,
        paths,
        is_passive: spec.passive,
        families,
        long_lived,
        is_gentle: spec.graceful_notifications,
    }))
}

/// A number, or a word that holds for every host that peers with it.
fn remote_as(findings: &mut Findings, spec: &v1::PeerSpec) -> Option<PeerAs> {
    if spec.remote_as.is_empty() {
        let invalid = |invalid: Invalid| invalid.advice("or remoteAs: external, which takes any AS but the host's own");
        let named = if spec.asn == 0 { asn("spec.asn", spec.asn).map_err(invalid) } else { asn("spec.asn", spec.asn) };
        return findings.take(named.map(PeerAs::Is));
    }
    if spec.asn != 0 {
        let message = "remoteAs stands in place of asn, and both are there";
        findings.add(Invalid::new("spec.remoteAs", "TWO_SYSTEMS", message).advice("leave one of the two out"));
    }
    let words = [("external", PeerAs::External), ("internal", PeerAs::Internal)];
    findings.take(word("spec.remoteAs", &spec.remote_as, &words))
}

/// How many may call from a prefix unless it is said: a few racks.
const CALLERS: u32 = 100;

/// An address, a link that it has to itself, or a prefix that it calls from. What a dial needs does not go with a prefix.
fn place(findings: &mut Findings, spec: &v1::PeerSpec) -> Option<Place> {
    let most = findings.take(within("spec.addressRangeMax", spec.address_range_max.unwrap_or(CALLERS), 1, 10_000, ""));
    if spec.address_range.is_empty() {
        if spec.address_range_max.is_some() {
            let message = "it bounds those that call from addressRange, which is not there";
            findings.add(Invalid::new("spec.addressRangeMax", "USELESS", message).advice("addressRange: 192.0.2.0/24"));
        }
        return match spec.interface.is_empty() {
            true => findings.take(neighbour_address("spec.address", &spec.address)).map(Place::At),
            false => on_a_link(findings, spec),
        };
    }
    let fixed = [
        ("interface", !spec.interface.is_empty()),
        ("address", !spec.address.is_empty()),
        ("port", spec.port.is_some()),
    ];
    for (field, _) in fixed.into_iter().filter(|(_, is_there)| *is_there) {
        let message = "it belongs to a peer of one address, and this one has an addressRange";
        findings
            .add(Invalid::new(format!("spec.{field}"), "NOT_WITH_A_RANGE", message).advice("leave one of the two out"));
    }
    let range = findings.take(net("spec.addressRange", &spec.address_range))?;
    Some(Place::Within(range, usize::try_from(most?).unwrap_or(1)))
}

/// An interface of the hosts; who is at its other end shows itself.
fn on_a_link(findings: &mut Findings, spec: &v1::PeerSpec) -> Option<Place> {
    if !spec.address.is_empty() {
        let message = "interface stands in place of address, and both are there";
        let advice = format!("leave one of the two out; address: fe80::1%{} is a peer known by both", spec.interface);
        findings.add(Invalid::new("spec.interface", "TWO_PLACES", message).advice(advice));
    }
    let bad = || {
        let message = format!(
            "{:?} is no name of an interface: it has 1 to 15 characters, and no slash, colon or space",
            spec.interface
        );
        Invalid::new("spec.interface", "BAD_INTERFACE", message)
    };
    findings.take(Zone::new(&spec.interface).ok_or_else(bad)).map(Place::On)
}

/// One address, and the link it is on if it means something there only.
pub(super) fn neighbour_address(field: &str, text: &str) -> Result<Address, Invalid> {
    let found = match text.contains('%') {
        true => text.parse::<Address>().map_err(|error| Invalid::new(field, "BAD_ADDRESS", error.to_string()))?,
        false => address(field, text)?.into(),
    };
    if found.is_link_local() && found.zone().is_none() {
        let message = format!("{found} is on any link, and nobody can tell which is meant");
        return Err(Invalid::new(field, "NO_INTERFACE", message)
            .advice(format!("{found}%eth0, with the interface that leads there")));
    }
    Ok(found)
}

/// What hosts are to it.
fn role(findings: &mut Findings, spec: &v1::PeerSpec) -> Option<RoleConfig> {
    if spec.role.is_empty() {
        if spec.strict_role {
            let message = "it asks the peer to say what it is, and role does not say what hosts are to it";
            findings.add(Invalid::new("spec.strictRole", "USELESS", message).advice("role: customer"));
        }
        return None;
    }
    let names = Role::ALL.map(|role| (role.to_string(), role));
    let words: Vec<_> = names.iter().map(|(name, role)| (name.as_str(), *role)).collect();
    let role = findings.take(word("spec.role", &spec.role, &words))?;
    Some(RoleConfig { role, is_strict: spec.strict_role })
}

/// Those named, or both.
fn families(findings: &mut Findings, texts: &[String]) -> BTreeSet<Family> {
    let words = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
    let named = texts.iter().enumerate();
    let named = findings.take_all(named.map(|(index, text)| word(&format!("spec.families[{index}]"), text, &words)));
    if texts.is_empty() { Family::ALL.into() } else { named.into_iter().collect() }
}

/// What the neighbour's person is to read: it must fit into the message (RFC 9003 §2).
pub(crate) fn communication(field: &str, text: String) -> Result<String, Invalid> {
    let (octets, most) = (text.len(), Notification::COMMUNICATION_OCTETS_MAX);
    if octets <= most {
        return Ok(text);
    }
    Err(Invalid::new(field, "TOO_LONG", format!("the text is {octets} octets long, at most {most} are allowed"))
        .advice("say it in fewer words, or name a ticket"))
}

/// How many paths to a prefix a peer is told unless it says otherwise: as many as a group of equal next hops usually has.
const PATHS: u32 = 8;

/// In which directions there is more than one path, and how many are told.
fn paths(findings: &mut Findings, spec: &v1::PeerSpec) -> (AddPaths, usize) {
    let words = [("receive", (true, false)), ("send", (false, true)), ("both", (true, true))];
    let (receive, send) = match spec.add_paths.as_str() {
        "" => (false, false),
        text => findings.take(word("spec.addPaths", text, &words)).unwrap_or_default(),
    };
    let most = findings.take(within("spec.addPathsMax", spec.add_paths_max.unwrap_or(PATHS), 2, 64, " paths"));
    if spec.add_paths_max.is_some() && !send {
        let message = "it bounds the paths that are sent, and addPaths is not send or both";
        findings.add(Invalid::new("spec.addPathsMax", "USELESS", message).advice("addPaths: send"));
    }
    (AddPaths { receive, send }, usize::try_from(most.unwrap_or(PATHS)).unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(add_paths: &str, most: Option<u32>) -> v1::Peer {
        let spec = v1::PeerSpec {
            address: "192.0.2.9".to_owned(),
            asn: 65000,
            add_paths: add_paths.to_owned(),
            add_paths_max: most,
            ..v1::PeerSpec::default()
        };
        let metadata = v1::Metadata { name: "tor".to_owned(), ..v1::Metadata::default() };
        v1::Peer { metadata: Some(metadata), spec: Some(spec), ..v1::Peer::default() }
    }

    #[test]
    fn more_paths_come_or_go_as_declared() {
        let checked = |word, most| check(&spec(word, most)).map(|peer| (peer.add_paths, peer.paths)).unwrap();

        assert_eq!(checked("", None), (AddPaths { receive: false, send: false }, 8));
        assert_eq!(checked("receive", None), (AddPaths { receive: true, send: false }, 8));
        assert_eq!(checked("both", Some(2)), (AddPaths { receive: true, send: true }, 2));
    }

    #[test]
    fn a_prefix_takes_the_place_of_an_address_and_of_what_must_be_known_before_a_call() {
        let spec = |change: fn(&mut v1::PeerSpec)| {
            let mut peer = spec("", None);
            let spec = peer.spec.as_mut().unwrap();
            (spec.address, spec.address_range) = (String::new(), "192.0.2.0/24".to_owned());
            change(spec);
            peer
        };
        let place = |change| check(&spec(change)).map(|peer| peer.place);
        let refused = |change| place(change).unwrap_err().0.swap_remove(0).field;

        assert_eq!(place(|_| {}), Ok(Place::Within("192.0.2.0/24".parse().unwrap(), 100)));
        assert_eq!(refused(|spec| spec.address = "192.0.2.9".to_owned()), "spec.address");
        assert_eq!(refused(|spec| spec.port = Some(1179)), "spec.port");
        assert!(place(|spec| spec.password_file = "/etc/key".to_owned()).is_ok());
        assert_eq!(refused(|spec| spec.address_range_max = Some(0)), "spec.addressRangeMax");
        let useless = |spec: &mut v1::PeerSpec| {
            (spec.address, spec.address_range) = ("192.0.2.9".to_owned(), String::new());
            spec.address_range_max = Some(9);
        };
        assert_eq!(refused(useless), "spec.addressRangeMax");
    }

    #[test]
    fn an_interface_takes_the_place_of_an_address_and_a_link_local_address_needs_one() {
        let spec = |address: &str, interface: &str| {
            let mut peer = spec("", None);
            let spec = peer.spec.as_mut().unwrap();
            (spec.address, spec.interface) = (address.to_owned(), interface.to_owned());
            check(&peer).map(|peer| peer.place).map_err(|mut invalids| invalids.0.swap_remove(0).field)
        };

        assert_eq!(spec("", "eth0"), Ok(Place::On(Zone::new("eth0").unwrap())));
        assert_eq!(spec("fe80::1%eth0", ""), Ok(Place::At("fe80::1%eth0".parse().unwrap())));
        assert_eq!(spec("192.0.2.9", "eth0"), Err("spec.interface".to_owned()));
        assert_eq!(spec("", "eth0/1"), Err("spec.interface".to_owned()));
        assert_eq!(spec("fe80::1", ""), Err("spec.address".to_owned()));
        assert_eq!(spec("192.0.2.9%eth0", ""), Err("spec.address".to_owned()));
        assert_eq!(spec("", ""), Err("spec.address".to_owned()));
    }

    #[test]
    fn the_as_is_a_number_or_a_word() {
        let checked = |asn: u32, remote_as: &str| {
            let mut peer = spec("", None);
            let spec = peer.spec.as_mut().unwrap();
            (spec.asn, spec.remote_as) = (asn, remote_as.to_owned());
            check(&peer).map(|peer| peer.asn).map_err(|mut invalids| invalids.0.swap_remove(0).field)
        };

        assert_eq!(checked(65000, ""), Ok(PeerAs::Is(poplin_bgp::Asn(65000))));
        assert_eq!(checked(0, "external"), Ok(PeerAs::External));
        assert_eq!(checked(0, "internal"), Ok(PeerAs::Internal));
        assert_eq!(checked(0, ""), Err("spec.asn".to_owned()));
        assert_eq!(checked(0, "confederal"), Err("spec.remoteAs".to_owned()));
        assert_eq!(checked(65000, "external"), Err("spec.remoteAs".to_owned()));
    }

    #[test]
    fn a_role_is_one_of_five_and_nothing_is_asked_of_a_peer_without_one() {
        let checked = |role: &str, strict_role| {
            let mut peer = spec("", None);
            let spec = peer.spec.as_mut().unwrap();
            (spec.role, spec.strict_role) = (role.to_owned(), strict_role);
            check(&peer).map(|peer| peer.role).map_err(|mut invalids| invalids.0.swap_remove(0).field)
        };

        assert_eq!(checked("", false), Ok(None));
        let role = Role::RouteServerClient;
        assert_eq!(checked("rs-client", true), Ok(Some(RoleConfig { role, is_strict: true })));
        assert_eq!(checked("boss", false), Err("spec.role".to_owned()));
        assert_eq!(checked("", true), Err("spec.strictRole".to_owned()));
    }

    #[test]
    fn a_number_that_bounds_nothing_and_a_word_that_says_nothing_are_refused() {
        let refused = |word, most| check(&spec(word, most)).unwrap_err().0.swap_remove(0).field;

        assert_eq!(refused("receive", Some(4)), "spec.addPathsMax");
        assert_eq!(refused("send", Some(65)), "spec.addPathsMax");
        assert_eq!(refused("sent", None), "spec.addPaths");
    }
}
