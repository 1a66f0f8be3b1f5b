//! One BGP session from inside: all that is known of it, what is told over it, and who is meant by a name.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use poplin_bgp::{Address, Advertised, FamilyCount, NeighbourDetail, Order, OrderRefusal, Speaker, mrt};

use crate::status::Session;

use super::Node;

impl Node {
    /// The object a neighbour comes from; empty for an address that is no neighbour's.
    pub fn name_of(&self, address: Address) -> String {
        let names = self.peering.as_ref().map(|peering| &peering.names);
        names.and_then(|names| names.get(&address)).cloned().unwrap_or_default()
    }

    /// The neighbour an operator means, by its address or by the name of its peer or host.
    pub fn neighbour_called(&self, text: &str) -> Option<Address> {
        let names = &self.peering.as_ref()?.names;
        let address = text.parse::<Address>().ok().map(|address| address.to_canonical());
        let known = |(known, name): (&Address, &String)| (Some(*known) == address || name == text).then_some(*known);
        names.iter().find_map(known)
    }

    /// All there is to know of one session.
    pub fn neighbour(&self, now: Instant, address: Address) -> Option<(Session, NeighbourDetail)> {
        let detail = self.speaker.as_ref()?.neighbour(address)?;
        Some((self.session(now, detail.view.clone()), detail))
    }

    /// What a neighbour has been told, or all of them, by neighbour, then by prefix; of one prefix, if it is named.
    pub fn advertised(&self, neighbour: Option<Address>, prefix: Option<IpNet>) -> Vec<(String, Advertised)> {
        let Some(speaker) = &self.speaker else { return Vec::new() };
        let all = speaker.neighbours().map(|view| view.address);
        let asked = all.filter(|address| neighbour.is_none_or(|neighbour| *address == neighbour));
        let told = asked.flat_map(|address| speaker.advertised(address, prefix));
        told.map(|one| (self.name_of(one.neighbour), one)).collect()
    }

    /// How many prefixes of each neighbour import rules let pass.
    pub fn accepted(&self) -> BTreeMap<Address, FamilyCount> {
        self.speaker.as_ref().map(Speaker::accepted).unwrap_or_default()
    }

    /// The table as records of MRT; `time` counts from 1970.
    pub fn dump(&self, time: Duration) -> Vec<Vec<u8>> {
        let Some(speaker) = &self.speaker else { return Vec::new() };
        mrt::dump(speaker, self.identity.host.as_str(), time).collect()
    }

    /// Whether an order can be carried out now.
    pub fn admits(&self, neighbour: Address, order: &Order) -> Result<(), OrderRefusal> {
        let speaker = self.speaker.as_ref().ok_or(OrderRefusal::Unknown(neighbour))?;
        speaker.admits(neighbour, order)
    }
}
