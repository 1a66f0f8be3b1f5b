//! BFD control packets: octets <-> values.
//!
//! In: the payload of a UDP packet. Out: a [`Packet`], or why it is discarded. Knows nothing of sessions.
//! Rules: RFC 5880 §4.1 (layout), §6.8.6 (what is discarded whoever sent it).
//!
//! ```text
//!    0                   1                   2                   3
//!   |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//!   |                       My Discriminator                        |
//!   |                      Your Discriminator                       |
//!   |                    Desired Min TX Interval                    |
//!   |                   Required Min RX Interval                    |
//!   |                 Required Min Echo RX Interval                 |
//! ```

use std::time::Duration;

use super::{Diagnostic, State};

/// The length of a packet without authentication.
pub const PACKET_OCTETS: usize = 24;

const VERSION: u8 = 1;

const POLL: u8 = 1 << 5;
const FINAL: u8 = 1 << 4;
const INDEPENDENT: u8 = 1 << 3;
const AUTHENTICATED: u8 = 1 << 2;
const DEMAND: u8 = 1 << 1;
const MULTIPOINT: u8 = 1;

/// One control packet. Intervals are whole microseconds of 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender last left the state Up.
    pub diagnostic: Diagnostic,
    /// Where the sender stands.
    pub state: State,
    /// Whether the sender asks for an answer at once (P).
    pub is_poll: bool,
    /// Whether this is such an answer (F).
    pub is_final: bool,
    /// Whether the sender's part does not share the fate of its control plane (C).
    pub is_independent: bool,
    /// Whether the sender wants no packets while both are up (D).
    pub is_demand: bool,
    /// How many of the sender's packets in a row may be missed; not zero.
    pub multiplier: u8,
    /// The sender's name for the session; not zero.
    pub mine: u32,
    /// The receiver's name for the session; zero while the sender does not know it.
    pub yours: u32,
    /// How often the sender would like to send.
    pub min_transmit: Duration,
    /// How often the sender can bear to receive; zero wants no packets at all.
    pub min_receive: Duration,
    /// The same of echo packets; zero wants none.
    pub min_echo: Duration,
}

/// Why a packet is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not version 1.
    #[error("version {0}, and only 1 is spoken")]
    Version(u8),
    /// The packet does not hold what its length says, or says too little.
    #[error("length {told} in {octets} octets, and a packet has at least {PACKET_OCTETS}")]
    Length {
        /// What the packet says of itself.
        told: u8,
        /// What arrived.
        octets: usize,
    },
    /// A multiplier of zero would mean that the sender is always dead.
    #[error("detection multiplier 0")]
    Multiplier,
    /// Kept for later, and set.
    #[error("the multipoint bit is set")]
    Multipoint,
    /// The sender names no session of its own.
    #[error("my discriminator is 0")]
    NoDiscriminator,
    /// Neither does it name one of ours, though it claims to have heard of it.
    #[error("your discriminator is 0 in state {0}")]
    Unaddressed(State),
    /// Nobody agreed on a key.
    #[error("authenticated, and no key is agreed on")]
    Authenticated,
}

impl Packet {
    /// Reads a packet, in the order of checks of RFC 5880 §6.8.6. What follows its stated length is passed over.
    pub fn decode(octets: &[u8]) -> Result<Self, Malformed> {
        let (first, flags, multiplier, told) = match octets {
            [first, flags, multiplier, told, ..] => (*first, *flags, *multiplier, *told),
            _ => return Err(Malformed::Length { told: 0, octets: octets.len() }),
        };
        if first >> 5 != VERSION {
            return Err(Malformed::Version(first >> 5));
        }
        check_length(flags, told, octets)?;
        let packet = Self {
            diagnostic: Diagnostic::new(first),
            state: State::from_bits(flags >> 6),
            is_poll: flags & POLL != 0,
            is_final: flags & FINAL != 0,
            is_independent: flags & INDEPENDENT != 0,
            is_demand: flags & DEMAND != 0,
            multiplier,
            mine: word(octets, 1),
            yours: word(octets, 2),
            min_transmit: micros(word(octets, 3)),
            min_receive: micros(word(octets, 4)),
            min_echo: micros(word(octets, 5)),
        };
        packet.check(flags)?;
        Ok(packet)
    }

    fn check(&self, flags: u8) -> Result<(), Malformed> {
        match self {
            _ if self.multiplier == 0 => Err(Malformed::Multiplier),
            _ if flags & MULTIPOINT != 0 => Err(Malformed::Multipoint),
            _ if self.mine == 0 => Err(Malformed::NoDiscriminator),
            _ if self.yours == 0 && !matches!(self.state, State::Down | State::AdminDown) => {
                Err(Malformed::Unaddressed(self.state))
            }
            _ if flags & AUTHENTICATED != 0 => Err(Malformed::Authenticated),
            _ => Ok(()),
        }
    }

    /// Writes the packet; intervals beyond 32 bits of microseconds become the longest.
    pub fn encode(&self) -> [u8; PACKET_OCTETS] {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = flag(self.is_poll, POLL)
            | flag(self.is_final, FINAL)
            | flag(self.is_independent, INDEPENDENT)
            | flag(self.is_demand, DEMAND);
        let words: [u32; PACKET_OCTETS / 4] = [
            u32::from_be_bytes([
                VERSION << 5 | self.diagnostic.code(),
                self.state.bits() << 6 | flags,
                self.multiplier,
                24, // PACKET_OCTETS
            ]),
            self.mine,
            self.yours,
            whole_micros(self.min_transmit),
            whole_micros(self.min_receive),
            whole_micros(self.min_echo),
        ];
        let mut octets = [0; PACKET_OCTETS];
        for (place, word) in octets.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        octets
    }

    /// The packet without what only asks for an answer or gives one: whether two say the same (RFC 5880 §6.8.7).
    pub(super) fn content(self) -> Self {
        Self { is_poll: false, is_final: false, ..self }
    }
}

/// An authenticated packet has two octets more; that it is not taken comes later, so that each flaw has its own name.
fn check_length(flags: u8, told: u8, octets: &[u8]) -> Result<(), Malformed> {
    let least = if flags & AUTHENTICATED != 0 { PACKET_OCTETS + 2 } else { PACKET_OCTETS };
    match usize::from(told) {
        length if length < least || length > octets.len() => Err(Malformed::Length { told, octets: octets.len() }),
        _ => Ok(()),
    }
}

/// The 32-bit word of this number; zero beyond the end, which the length rules out.
fn word(octets: &[u8], number: usize) -> u32 {
    let word = octets.chunks_exact(4).nth(number).and_then(|octets| octets.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}

fn micros(word: u32) -> Duration {
    Duration::from_micros(word.into())
}

fn whole_micros(interval: Duration) -> u32 {
    u32::try_from(interval.as_micros()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets_of_a_packet() -> Vec<u8> {
        let mut octets = vec![0x20, 0b11_000000, 3, 24];
        for word in [7_u32, 9, 300_000, 300_000, 0] {
            octets.extend(word.to_be_bytes());
        }
        octets
    }

    fn with(place: usize, octet: u8) -> Result<Packet, Malformed> {
        let mut octets = octets_of_a_packet();
        octets[place] = octet;
        Packet::decode(&octets)
    }

    #[test]
    fn section_4_1_a_packet_is_read_and_written_alike() {
        let octets = octets_of_a_packet();

        let packet = Packet::decode(&octets).unwrap();

        assert_eq!((packet.state, packet.multiplier, packet.mine, packet.yours), (State::Up, 3, 7, 9));
        assert_eq!(packet.min_transmit, Duration::from_millis(300));
        assert_eq!(packet.encode()[..], octets[..]);
    }

    #[test]
    fn section_4_1_every_flag_has_its_own_bit() {
        let mut octets = octets_of_a_packet();
        for flag in [POLL, FINAL, INDEPENDENT, DEMAND] {
            octets[1] = 0b11_000000 | flag;
            let packet = Packet::decode(&octets).unwrap();
            assert_eq!(
                [packet.is_poll, packet.is_final, packet.is_independent, packet.is_demand],
                [POLL, FINAL, INDEPENDENT, DEMAND].map(|bit| bit == flag)
            );
            assert_eq!(packet.encode()[..], octets[..]);
        }
    }

    #[test]
    fn section_6_8_6_what_is_malformed_is_discarded_and_named() {
        assert_eq!(with(0, 0x40), Err(Malformed::Version(2)));
        assert_eq!(with(3, 23), Err(Malformed::Length { told: 23, octets: 24 }));
        assert_eq!(with(3, 25), Err(Malformed::Length { told: 25, octets: 24 }));
        assert_eq!(with(2, 0), Err(Malformed::Multiplier));
        assert_eq!(with(1, 0b11_000001), Err(Malformed::Multipoint));
        assert_eq!(with(7, 0), Err(Malformed::NoDiscriminator));
        assert_eq!(with(11, 0), Err(Malformed::Unaddressed(State::Up)));
        assert_eq!(Packet::decode(&[0x20]), Err(Malformed::Length { told: 0, octets: 1 }));
    }

    #[test]
    fn section_6_8_6_authentication_nobody_agreed_on_is_refused() {
        let mut octets = octets_of_a_packet();
        octets[1] |= AUTHENTICATED;
        assert_eq!(Packet::decode(&octets), Err(Malformed::Length { told: 24, octets: 24 }));
        octets[3] = 28;
        octets.extend([1, 4, 1, b'x']);
        assert_eq!(Packet::decode(&octets), Err(Malformed::Authenticated));
    }

    #[test]
    fn section_6_8_6_a_beginner_names_no_session_of_ours() {
        let mut octets = octets_of_a_packet();
        octets[1] = 0b01_000000;
        octets[11] = 0;
        assert_eq!(Packet::decode(&octets).unwrap().yours, 0);
    }
}
