//! What probes of tunnels mean: whether their port is open, and what fits into them.

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, Told, Way};
use crate::status::is_established;

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    reading.tunnels.iter().filter_map(|tunnel| closed(tunnel, reading).or_else(|| narrow(tunnel, reading))).collect()
}

/// A host that is down is told of by others.
fn closed(tunnel: &Way, reading: &Reading) -> Option<Finding> {
    let (name, address) = (&tunnel.name, tunnel.address?);
    let is_silent = tunnel.passed.is_none() && is_alive(tunnel, reading);
    let port = reading.told().map(Told::vxlan_port)?;
    let message = format!(
        "nothing comes back from {name} ({address}) through the tunnel, and without it does: containers there are not reached"
    );
    let advice = format!(
        "let UDP port {port} pass between the two hosts, both ways; see whether poplin status on {name} tells of its tunnel, and whether net.ipv4.conf.all.arp_ignore is 0 there: by another it answers no probe"
    );
    is_silent.then(|| Finding::failure("tunnel", message, advice))
}

fn is_alive(tunnel: &Way, reading: &Reading) -> bool {
    let answers = reading.ways.iter().any(|way| way.address == tunnel.address && way.passed.is_some());
    let sessions = reading.told().map(|told| &told.status.sessions[..]).unwrap_or_default();
    answers || sessions.iter().any(|session| is_established(session) && session.address.parse().ok() == tunnel.address)
}

/// Not told twice: where what is not wrapped is cut as well, that is told, with what then fits into the tunnel.
fn narrow(tunnel: &Way, reading: &Reading) -> Option<Finding> {
    let (passed, address) = (tunnel.passed.filter(|passed| *passed < tunnel.wanted)?, tunnel.address?);
    let wrapping = reading.told().map_or(0, Told::wrapping_octets);
    let is_told = |way: &Way| {
        let narrow = way.passed.filter(|passed| *passed < way.wanted);
        way.address == tunnel.address && narrow.is_some_and(|narrow| narrow <= passed + wrapping)
    };
    let message = format!(
        "packets of {} octets do not come through the tunnel to {} ({address}) in one piece, {passed} do: what is larger is cut on its way, or lost",
        tunnel.wanted, tunnel.name
    );
    let advice = format!("mtuBytes: {passed} in FabricConfig, or raise the MTU on the way");
    (!reading.ways.iter().any(is_told)).then(|| Finding::failure("mtu", message, advice))
}

#[cfg(test)]
mod tests {
    use poplin_proto::v1::{PoolUse, SessionStatus};

    use super::*;

    fn way(wanted: u32, passed: Option<u32>) -> Way {
        Way { name: "h3".to_owned(), address: "192.0.2.3".parse().ok(), wanted, passed, ahead_milliseconds: None }
    }

    fn found(plain: Option<u32>, wrapped: Option<u32>, sessions: Vec<SessionStatus>) -> Vec<(&'static str, String)> {
        let mut told = Told {
            pools: vec![PoolUse { encapsulation: "always".to_owned(), ..PoolUse::default() }],
            ..Told::default()
        };
        told.status.sessions = sessions;
        let (ways, tunnels) = (vec![way(1500, plain)], vec![way(1450, wrapped)]);
        let findings = judge(&Reading { agent: Some(Ok(told)), ways, tunnels, ..Reading::default() });
        findings.into_iter().map(|finding| (finding.check, finding.advice)).collect()
    }

    #[test]
    fn a_tunnel_is_told_of_that_passes_nothing_to_a_host_that_is_there() {
        assert_eq!(found(Some(1500), Some(1450), Vec::new()), []);
        assert_eq!(found(None, None, Vec::new()), [], "a host that is down is told of by others");

        let session = SessionStatus {
            address: "192.0.2.3".to_owned(),
            state: "Established".to_owned(),
            ..SessionStatus::default()
        };
        for (plain, sessions) in [(Some(1500), Vec::new()), (None, vec![session])] {
            let [(check, advice)] = &found(plain, None, sessions)[..] else { panic!("one is found") };
            assert!(*check == "tunnel" && advice.starts_with("let UDP port 4789 pass"), "{advice}");
        }
    }

    #[test]
    fn a_narrow_way_is_told_of_once() {
        let [(check, advice)] = &found(Some(1500), Some(1350), Vec::new())[..] else { panic!("one is found") };
        assert!(*check == "mtu" && advice.starts_with("mtuBytes: 1350 "), "{advice}");
        assert_eq!(found(Some(1400), Some(1350), Vec::new()), [], "what is not wrapped is cut as well");
        let [(_, advice)] = &found(Some(1400), Some(1300), Vec::new())[..] else { panic!("one is found") };
        assert!(advice.starts_with("mtuBytes: 1300 "), "the tunnel is narrower still: {advice}");
    }
}
