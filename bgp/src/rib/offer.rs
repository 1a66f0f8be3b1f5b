//! What we could tell others about a prefix: that it is ours, or the best we heard.
//!
//! Rules: RFC 4271 §9.1.3 (only what we use ourselves is told).

use ipnet::IpNet;

use super::{Path, Table};

/// What we could tell others about a prefix.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Offer {
    /// Nothing.
    Nothing,
    /// We originate it.
    Own,
    /// This path won; the others follow by their ranks, as far as anybody may be told several.
    Heard(Path, Vec<Path>),
}

impl Table {
    pub(crate) fn offer(&self, prefix: &IpNet) -> Offer {
        if self.own.contains(prefix) {
            return Offer::Own;
        }
        self.entries.get(prefix).map_or(Offer::Nothing, |entry| entry.offer(self.tells_several))
    }

    /// Everything we could tell, by prefix: our own first.
    pub(crate) fn offers(&self) -> impl Iterator<Item = (IpNet, Offer)> {
        let own = self.own.prefixes().iter().map(|prefix| (*prefix, Offer::Own));
        let heard = self.entries.iter().filter(|(prefix, _)| !self.own.contains(prefix));
        own.chain(heard.map(|(prefix, entry)| (prefix, entry.offer(self.tells_several))))
    }
}
