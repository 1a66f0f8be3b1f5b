//! Who is at the door and has not shown who they are yet.
//!
//! In: those who come, and where from. Out: who has to go so that there is room. There is no way to be kept out by others who only stand there: the
//! longest waiting of those places goes of which most stand here, so whoever wants to fill it shows out their own.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The network part of an IPv6 address: of one network a single machine may take all others (RFC 4291 §2.5.1).
const NETWORK_BITS: u32 = 64;

/// Those who wait, each by a number; what is kept for each ends its waiting when it is dropped.
#[derive(Debug)]
pub(super) struct Lobby<T> {
    most: usize,
    next: u64,
    waiting: BTreeMap<u64, (IpAddr, T)>,
}

impl<T> Lobby<T> {
    pub(super) fn of(most: usize) -> Self {
        Self { most, next: 0, waiting: BTreeMap::new() }
    }

    /// Lets somebody in, and shows somebody out if it is full.
    pub(super) fn enter(&mut self, from: IpAddr, kept: T) -> (u64, Option<T>) {
        let shown_out = if self.waiting.len() >= self.most { self.longest_of_most() } else { None };
        let number = self.next;
        self.next += 1;
        self.waiting.insert(number, (place(from), kept));
        (number, shown_out.and_then(|number| self.leave(number)))
    }

    /// Somebody waits no longer.
    pub(super) fn leave(&mut self, number: u64) -> Option<T> {
        self.waiting.remove(&number).map(|(_, kept)| kept)
    }

    fn longest_of_most(&self) -> Option<u64> {
        let mut places: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (from, _)) in &self.waiting {
            places.entry(*from).or_insert((0, *number)).0 += 1;
        }
        let fullest = places.into_values().max_by_key(|(count, first)| (*count, std::cmp::Reverse(*first)));
        fullest.map(|(_, first)| first)
    }
}

/// What counts as one place.
fn place(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> NETWORK_BITS << NETWORK_BITS).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(lobby: &mut Lobby<&'static str>, from: &str, name: &'static str) -> Option<&'static str> {
        lobby.enter(from.parse().unwrap(), name).1
    }

    #[test]
    fn who_comes_is_let_in_and_the_longest_waiting_goes() {
        let mut lobby = Lobby::of(2);

        assert_eq!(enter(&mut lobby, "192.0.2.1", "a"), None);
        assert_eq!(enter(&mut lobby, "192.0.2.2", "b"), None);
        assert_eq!(enter(&mut lobby, "192.0.2.3", "c"), Some("a"));
    }

    #[test]
    fn who_fills_it_from_one_place_shows_out_their_own() {
        let mut lobby = Lobby::of(3);
        enter(&mut lobby, "192.0.2.1", "operator");
        for name in ["b", "c"] {
            enter(&mut lobby, "192.0.2.66", name);
        }

        assert_eq!(enter(&mut lobby, "192.0.2.66", "d"), Some("b"));
        assert_eq!(enter(&mut lobby, "192.0.2.66", "e"), Some("c"));
    }

    #[test]
    fn a_network_of_ipv6_is_one_place() {
        let mut lobby = Lobby::of(3);
        enter(&mut lobby, "2001:db8::1", "operator");
        enter(&mut lobby, "2001:db8:0:1::1", "b");
        enter(&mut lobby, "2001:db8:0:1::2", "c");

        assert_eq!(enter(&mut lobby, "2001:db8:0:2::1", "d"), Some("b"));
    }

    #[test]
    fn who_has_left_takes_no_room() {
        let mut lobby = Lobby::of(1);
        let (number, _) = lobby.enter("192.0.2.1".parse().unwrap(), "a");

        assert_eq!(lobby.leave(number), Some("a"));
        assert_eq!(enter(&mut lobby, "192.0.2.1", "b"), None);
        assert_eq!(lobby.leave(number), None);
    }
}
