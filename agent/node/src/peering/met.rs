//! Who is at the other end of the links that a peer has to himself.
//!
//! In: who advertised himself there as a router, or called. Out: the neighbour of a link, as long as the link lives. An interface that was made anew
//! under an old name is another link. Whoever advertises himself counts for more than a caller: anybody on the link may call, and a rival
//! among those who advertise has been weighed before he is heard of here (`discovery`).

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use poplin_bgp::{Address, Zone};

use crate::kernel::KernelState;

/// How a neighbour showed himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// By a call.
    Called,
    /// By a router advertisement.
    Advertised,
}

/// Why there is no neighbour on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Absent {
    /// No such interface, or nothing at its other end.
    #[error("interface {0} does not exist, is down, or has no carrier")]
    Link(Zone),
    /// Nobody has said anything.
    #[error("nobody has sent a router advertisement on {0} yet, nor called from there")]
    Silent(Zone),
}

/// Each link with its index, and who is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met(BTreeMap<Zone, (u32, Ipv6Addr, How)>);

impl Met {
    /// The neighbour on a link.
    pub(crate) fn on(&self, zone: Zone, kernel: &KernelState) -> Result<Address, Absent> {
        let index = kernel.live.get(&zone).ok_or(Absent::Link(zone))?;
        let known = self.0.get(&zone).filter(|(known, ..)| known == index);
        known.map(|(_, address, _)| Address::on(*address, zone)).ok_or(Absent::Silent(zone))
    }

    /// Whether somebody may be taken for the neighbour of a link who shows himself so.
    pub(crate) fn admits(&self, zone: Zone, kernel: &KernelState, how: How) -> bool {
        let is_live = kernel.live.contains_key(&zone);
        let known = self.on(zone, kernel).is_ok().then(|| self.0.get(&zone)).flatten();
        is_live && known.is_none_or(|(.., known)| how >= *known)
    }

    /// Somebody showed himself on a link.
    pub(crate) fn meet(&mut self, zone: Zone, address: Ipv6Addr, how: How, kernel: &KernelState) {
        if let Some(index) = kernel.live.get(&zone) {
            self.0.insert(zone, (*index, address, how));
        }
    }

    /// Links that are gone take their neighbours along.
    pub(crate) fn keep(&mut self, links: &BTreeMap<Zone, u32>) {
        self.0.retain(|zone, (index, ..)| links.get(zone) == Some(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(links: &[(&str, u32)]) -> KernelState {
        let live = links.iter().map(|(name, index)| (Zone::new(name).unwrap(), *index)).collect();
        KernelState { live, ..KernelState::default() }
    }

    #[test]
    fn a_neighbour_goes_with_its_link_and_one_of_the_same_name_is_another() {
        let (eth0, kernel) = (Zone::new("eth0").unwrap(), with(&[("eth0", 2)]));
        let mut met = Met::default();
        assert_eq!(met.on(eth0, &kernel), Err(Absent::Silent(eth0)));

        met.meet(eth0, "fe80::2".parse().unwrap(), How::Advertised, &kernel);

        assert_eq!(met.on(eth0, &kernel), Ok("fe80::2%eth0".parse().unwrap()));
        assert_eq!(met.on(eth0, &with(&[])), Err(Absent::Link(eth0)));
        assert_eq!(met.on(eth0, &with(&[("eth0", 3)])), Err(Absent::Silent(eth0)));
        met.keep(&with(&[]).live);
        assert_eq!(
            met.on(eth0, &kernel),
            Err(Absent::Silent(eth0)),
            "it is not remembered over a time without the link"
        );
    }

    #[test]
    fn who_advertises_himself_takes_the_place_of_who_called_and_not_the_reverse() {
        let (eth0, kernel) = (Zone::new("eth0").unwrap(), with(&[("eth0", 2)]));
        let mut met = Met::default();
        assert!(met.admits(eth0, &kernel, How::Called));
        met.meet(eth0, "fe80::2".parse().unwrap(), How::Called, &kernel);
        assert!(met.admits(eth0, &kernel, How::Called) && met.admits(eth0, &kernel, How::Advertised));

        met.meet(eth0, "fe80::3".parse().unwrap(), How::Advertised, &kernel);

        assert!(!met.admits(eth0, &kernel, How::Called) && met.admits(eth0, &kernel, How::Advertised));
        assert!(!met.admits(eth0, &with(&[]), How::Advertised));
    }
}
