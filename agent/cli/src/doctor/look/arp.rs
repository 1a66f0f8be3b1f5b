//! The octets of an ARP probe and of what answers it (RFC 826; RFC 5227 §2.1.1), with the Ethernet before them.

use std::net::Ipv4Addr;

/// linux/if_ether.h, `ETH_P_ARP`.
pub(super) const ARP: u16 = 0x0806;

/// Everybody on a link.
pub(super) const ALL: [u8; 6] = [0xff; 6];

/// Ethernet, IPv4, and how long their addresses are (RFC 826).
const FORM: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// A question that does not say who asks, so that nobody learns anything from it.
pub(super) fn probe(address: Ipv4Addr, mac: [u8; 6], whom: [u8; 6]) -> Vec<u8> {
    let [from, to] = [[0; 4], address.octets()];
    [&whom, &mac[..], &ARP.to_be_bytes(), &FORM, &[0, 1], &mac, &from, &[0; 6], &to].concat()
}

/// The MAC of who says that the address is its own.
pub(super) fn speaker(frame: &[u8], address: Ipv4Addr) -> Option<[u8; 6]> {
    let is_arp = frame.get(12..14)? == ARP.to_be_bytes() && frame.get(14..20)? == FORM;
    let says_so = frame.get(28..32)? == address.octets();
    (is_arp && says_so).then(|| frame[22..28].try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_tells_nothing_of_us_and_an_answer_tells_who_it_is() {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let question = probe(address, [2, 0, 0, 0, 0, 1], ALL);
        assert_eq!(question.len(), 42);
        assert_eq!(speaker(&question, address), None, "a probe claims nothing");

        let mut answer = question;
        answer[22..28].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        answer[28..32].copy_from_slice(&address.octets());
        assert_eq!(speaker(&answer, address), Some([2, 0, 0, 0, 0, 9]));
        assert_eq!(speaker(&answer[..20], address), None);
    }
}
