//! How tags are written and read: `65000:1`, `65000:1:2`, `rt:65000:1`, `no-export`.
//!
//! An extended one names its kind first: `rt` (route target), `ro` (route origin), else `ext` with its octets. Its administrator is
//! an AS number, or an IPv4 address; a number of two octets leaves four for the value, one of four leaves two, and where a small
//! number stands in four octets an `L` marks that: `rt:65000L:1`. Rules: RFC 4360 §3 to §5, RFC 5668 (four octets), RFC 8092 §6.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use super::{AnyCommunity, Community, ExtendedCommunity, LargeCommunity};

/// A text that is no community.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a community")]
pub struct NotACommunity {
    /// What was written.
    pub text: String,
}

impl NotACommunity {
    /// What to try.
    pub const ADVICE: &'static str = "write 65000:1 (two numbers to 65535), 65000:1:2 (three to 4294967295), rt:65000:1 or \
                                      ro:192.0.2.1:1, ext:0002fde800000001, or a name such as no-export";
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = self.halves();
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{high}:{low}"),
        }
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.administrator, self.function, self.parameter)
    }
}

/// How the administrator stands in an extended community: its high type octet.
const TWO_OCTET_AS: u8 = 0x00;
const ADDRESS: u8 = 0x01;
const FOUR_OCTET_AS: u8 = 0x02;

/// The kinds with a name of their own: their low type octet, RFC 4360 §4 and §5.
const KINDS: [(&str, u8); 2] = [("rt", 0x02), ("ro", 0x03)];

impl fmt::Display for ExtendedCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low, a, b, c, d, e, g] = self.0;
        let kind = KINDS.iter().find(|(_, code)| *code == low).map(|(kind, _)| kind);
        let number = u32::from_be_bytes([a, b, c, d]);
        let value = u16::from_be_bytes([e, g]);
        match (kind, high) {
            (Some(kind), TWO_OCTET_AS) => {
                write!(f, "{kind}:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g]))
            }
            (Some(kind), ADDRESS) => write!(f, "{kind}:{}:{value}", Ipv4Addr::from(number)),
            (Some(kind), FOUR_OCTET_AS) if number > u32::from(u16::MAX) => write!(f, "{kind}:{number}:{value}"),
            (Some(kind), FOUR_OCTET_AS) => write!(f, "{kind}:{number}L:{value}"),
            (_, _) => write!(f, "ext:{:016x}", u64::from_be_bytes(self.0)),
        }
    }
}

impl fmt::Display for AnyCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(community) => community.fmt(f),
            Self::Extended(community) => community.fmt(f),
            Self::Large(community) => community.fmt(f),
        }
    }
}

impl FromStr for AnyCommunity {
    type Err = NotACommunity;

    fn from_str(text: &str) -> Result<Self, NotACommunity> {
        let words: Vec<&str> = text.split(':').collect();
        let read = match words[..] {
            [name] => Community::named(name).map(Self::Standard),
            ["ext", octets] => raw(octets).map(Self::Extended),
            [high, low] => standard(high, low).map(Self::Standard),
            [kind, administrator, value] if kind.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                extended(kind, administrator, value).map(Self::Extended)
            }
            [administrator, function, parameter] => large(administrator, function, parameter).map(Self::Large),
            _ => None,
        };
        read.ok_or_else(|| NotACommunity { text: text.to_owned() })
    }
}

/// A number as it is printed: digits alone, for `+1` is somebody's mistake.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_plain = text.bytes().all(|octet| octet.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

fn standard(high: &str, low: &str) -> Option<Community> {
    let (high, low) = (number::<u16>(high)?, number::<u16>(low)?);
    Some(Community(u32::from(high) << 16 | u32::from(low)))
}

fn large(administrator: &str, function: &str, parameter: &str) -> Option<LargeCommunity> {
    Some(LargeCommunity {
        administrator: number(administrator)?,
        function: number(function)?,
        parameter: number(parameter)?,
    })
}

fn raw(octets: &str) -> Option<ExtendedCommunity> {
    let is_whole = octets.len() == 16 && octets.bytes().all(|octet| octet.is_ascii_hexdigit());
    let value = u64::from_str_radix(octets, 16).ok().filter(|_| is_whole)?;
    Some(ExtendedCommunity(value.to_be_bytes()))
}

fn extended(kind: &str, administrator: &str, value: &str) -> Option<ExtendedCommunity> {
    let (_, kind) = KINDS.iter().find(|(name, _)| *name == kind)?;
    if let Ok(address) = administrator.parse::<Ipv4Addr>() {
        return Some(wide(ADDRESS, *kind, address.octets(), number(value)?));
    }
    if let Some(asn) = number::<u16>(administrator) {
        let ([a, b], [c, d, e, f]) = (asn.to_be_bytes(), number::<u32>(value)?.to_be_bytes());
        return Some(ExtendedCommunity([TWO_OCTET_AS, *kind, a, b, c, d, e, f]));
    }
    let asn = number::<u32>(administrator.strip_suffix('L').unwrap_or(administrator))?;
    Some(wide(FOUR_OCTET_AS, *kind, asn.to_be_bytes(), number(value)?))
}

/// One whose administrator takes four octets.
fn wide(high: u8, low: u8, [a, b, c, d]: [u8; 4], value: u16) -> ExtendedCommunity {
    let [e, f] = value.to_be_bytes();
    ExtendedCommunity([high, low, a, b, c, d, e, f])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> AnyCommunity {
        text.parse().unwrap()
    }

    #[test]
    fn each_width_is_read_by_its_form() {
        assert_eq!(read("65000:1"), AnyCommunity::Standard(Community(65000 << 16 | 1)));
        let large = LargeCommunity { administrator: 4_200_000_000, function: 1, parameter: 2 };
        assert_eq!(read("4200000000:1:2"), AnyCommunity::Large(large));
        let extended = |octets| AnyCommunity::Extended(ExtendedCommunity(octets));
        assert_eq!(read("rt:65000:70000"), extended([0, 2, 0xfd, 0xe8, 0, 1, 0x11, 0x70]));
        assert_eq!(read("ro:192.0.2.1:7"), extended([1, 3, 192, 0, 2, 1, 0, 7]));
        assert_eq!(read("rt:4200000000:7"), extended([2, 2, 0xfa, 0x56, 0xea, 0, 0, 7]));
        assert_eq!(read("rt:65000L:7"), extended([2, 2, 0, 0, 0xfd, 0xe8, 0, 7]));
        assert_eq!(read("ext:4300000000000001"), extended([0x43, 0, 0, 0, 0, 0, 0, 1]));
    }

    #[test]
    fn well_known_ones_go_by_their_names() {
        assert_eq!(read("no-export"), AnyCommunity::Standard(Community::NO_EXPORT));
        assert_eq!(read("65535:65282").to_string(), "no-advertise");
        assert_eq!(Community::GRACEFUL_SHUTDOWN.to_string(), "graceful-shutdown");
        assert_eq!(Community::BLACKHOLE.halves(), (65535, 666));
    }

    #[test]
    fn what_is_no_community_is_refused() {
        let texts = [
            "",
            "1",
            "65536:1",
            "1:65536",
            "1:2:4294967296",
            "1:2:3:4",
            "+1:2",
            "rt:1",
            "rt:70000:70000",
            "xx:1:2",
            "ext:12",
            "no-such",
        ];
        for text in texts {
            assert_eq!(text.parse::<AnyCommunity>().unwrap_err().text, text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(standard in any::<u32>(), octets in any::<[u8; 8]>(), kind in 0u8..4, large in any::<[u32; 3]>()) {
            let [administrator, function, parameter] = large;
            let common = [kind, 2, octets[2], octets[3], octets[4], octets[5], octets[6], octets[7]];
            for community in [
                AnyCommunity::Standard(Community(standard)),
                AnyCommunity::Extended(ExtendedCommunity(octets)),
                AnyCommunity::Extended(ExtendedCommunity(common)),
                AnyCommunity::Large(LargeCommunity { administrator, function, parameter }),
            ] {
                prop_assert_eq!(community.to_string().parse(), Ok(community));
            }
        }
    }
}
