//! The octets of the ICMP messages that probes send and hear (RFC 792), and of the header before them.

use std::net::Ipv4Addr;

const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;
const TIMESTAMP: u8 = 13;
const TIMESTAMP_REPLY: u8 = 14;

const HEADER: usize = 20;
const ECHO_HEADER: usize = 8;

/// The smallest packet an echo fits into.
pub(super) const SMALLEST: u32 = 84;

/// An echo request that fills a packet of so many octets and must not be cut on its way. The kernel fills in source and checksum of the header.
pub(super) fn echo(to: Ipv4Addr, id: u16, sequence: u16, octets: u32) -> Vec<u8> {
    let octets = usize::try_from(octets).unwrap_or(usize::MAX).clamp(HEADER + ECHO_HEADER, usize::from(u16::MAX));
    let mut packet = vec![0; octets];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&u16::try_from(octets).unwrap_or(u16::MAX).to_be_bytes());
    packet[6] = 0x40; // do not fragment
    packet[8] = 64; // hops
    packet[9] = 1; // ICMP
    packet[16..20].copy_from_slice(&to.octets());
    fill(&mut packet[HEADER..], ECHO, id, sequence);
    packet
}

/// A question for the time of day, with ours, in milliseconds since midnight UTC.
pub(super) fn timestamp(id: u16, sequence: u16, now: u32) -> Vec<u8> {
    let mut message = vec![0; 20];
    message[8..12].copy_from_slice(&now.to_be_bytes());
    fill(&mut message, TIMESTAMP, id, sequence);
    message
}

fn fill(message: &mut [u8], kind: u8, id: u16, sequence: u16) {
    message[0] = kind;
    message[4..6].copy_from_slice(&id.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    let sum = checksum(message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// RFC 1071.
fn checksum(octets: &[u8]) -> u16 {
    let words = octets.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = words.fold(0, |sum, word| (sum & 0xffff) + (sum >> 16) + word);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

/// What came back to a question of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Echo,
    /// The neighbour's time of day, in milliseconds since midnight UTC; absent = it counts otherwise.
    Timestamp(Option<u32>),
}

/// Reads a packet with its header. What does not answer this question is nothing to us.
pub(super) fn reply(packet: &[u8], id: u16, sequence: u16) -> Option<Reply> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let message = packet.get(header..)?;
    let is_ours = message.get(4..6)? == id.to_be_bytes() && message.get(6..8)? == sequence.to_be_bytes();
    match message[0] {
        ECHO_REPLY if is_ours => Some(Reply::Echo),
        TIMESTAMP_REPLY if is_ours => {
            let received = u32::from_be_bytes(message.get(12..16)?.try_into().ok()?);
            // The highest bit says that it is no time since midnight UTC.
            Some(Reply::Timestamp((received >> 31 == 0).then_some(received)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_fills_its_packet_and_its_sum_comes_out() {
        let packet = echo(Ipv4Addr::new(192, 0, 2, 1), 7, 1, 1500);
        assert_eq!(packet.len(), 1500);
        assert_eq!(packet[2..4], [0x05, 0xdc]);
        assert_eq!(checksum(&packet[HEADER..]), 0, "the sum of a message with its sum is nothing");
    }

    #[test]
    fn only_the_answer_to_our_question_counts() {
        let mut answer = echo(Ipv4Addr::new(192, 0, 2, 1), 7, 1, 84);
        assert_eq!(reply(&answer, 7, 1), None, "that is a question");
        answer[HEADER] = ECHO_REPLY;
        assert_eq!(reply(&answer, 7, 1), Some(Reply::Echo));
        assert_eq!(reply(&answer, 7, 2), None);
        assert_eq!(reply(&[0x45, 0], 7, 1), None);

        let mut time = [vec![0x45; 20], timestamp(7, 1, 0)].concat();
        time[20] = TIMESTAMP_REPLY;
        time[32..36].copy_from_slice(&5000_u32.to_be_bytes());
        assert_eq!(reply(&time, 7, 1), Some(Reply::Timestamp(Some(5000))));
        time[32] = 0x80;
        assert_eq!(reply(&time, 7, 1), Some(Reply::Timestamp(None)));
    }
}
