//! Which autonomous systems a route came through.
//!
//! Rules: RFC 4271 §4.3 and §5.1.2 (AS_PATH), RFC 6793 §4.2 (two-octet neighbours and AS4_PATH), RFC 7607 (AS 0).

use std::fmt;

use crate::Asn;

use super::reader::Reader;

/// One stretch of a path: at most 255 numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// In order of travel, the latest first; at least one.
    Sequence(Vec<Asn>),
    /// Merged by aggregation, in no order; at least one.
    Set(Vec<Asn>),
}

/// Which autonomous systems a route came through, the nearest first; empty for a route of our own system.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AsPath(pub Vec<Segment>);

const SET: u8 = 1;
const SEQUENCE: u8 = 2;
/// Those of confederations, of which we are part of none (RFC 5065 §3).
const CONFEDERATED: [u8; 2] = [3, 4];

impl Segment {
    fn numbers(&self) -> &[Asn] {
        match self {
            Self::Sequence(numbers) | Self::Set(numbers) => numbers,
        }
    }

    /// A set counts as one, RFC 4271 §9.1.2.2 a).
    fn length(&self) -> usize {
        match self {
            Self::Sequence(numbers) => numbers.len(),
            Self::Set(_) => 1,
        }
    }

    /// The number of its kind, and the systems it names.
    fn read(reader: &mut Reader<'_>, four_octets: bool) -> Option<(u8, Vec<Asn>)> {
        let kind = reader.u8()?;
        let count = reader.u8().filter(|&count| count > 0)?;
        let number = |_| if four_octets { reader.u32() } else { reader.u16().map(u32::from) };
        let numbers = (0..count).map(number).map(|asn| asn.filter(|&asn| asn != 0).map(Asn));
        Some((kind, numbers.collect::<Option<_>>()?))
    }

    fn of(kind: u8, numbers: Vec<Asn>) -> Option<Self> {
        match kind {
            SET => Some(Self::Set(numbers)),
            SEQUENCE => Some(Self::Sequence(numbers)),
            _ => None,
        }
    }

    fn encode(&self, four_octets: bool, out: &mut Vec<u8>) {
        let kind = match self {
            Self::Set(_) => SET,
            Self::Sequence(_) => SEQUENCE,
        };
        for part in self.numbers().chunks(255) {
            out.extend([kind, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
            for asn in part {
                if four_octets { out.extend(asn.0.to_be_bytes()) } else { out.extend(asn.two_octets().to_be_bytes()) }
            }
        }
    }
}

impl AsPath {
    /// A path through these systems, in order.
    pub fn through(numbers: impl IntoIterator<Item = Asn>) -> Self {
        let numbers: Vec<_> = numbers.into_iter().collect();
        if numbers.is_empty() { Self::default() } else { Self(vec![Segment::Sequence(numbers)]) }
    }

    /// How long the path counts when paths are compared.
    pub fn length(&self) -> usize {
        self.0.iter().map(Segment::length).sum()
    }

    /// Whether the route came through this system.
    pub fn contains(&self, asn: Asn) -> bool {
        self.numbers().any(|number| number == asn)
    }

    /// The neighbouring system it came from; `None` for a path that is empty or begins with a set.
    pub fn first(&self) -> Option<Asn> {
        match self.0.first() {
            Some(Segment::Sequence(numbers)) => numbers.first().copied(),
            Some(Segment::Set(_)) | None => None,
        }
    }

    /// The system that began it; `None` for a path that is empty or ends with a set.
    pub fn last(&self) -> Option<Asn> {
        match self.0.last() {
            Some(Segment::Sequence(numbers)) => numbers.last().copied(),
            Some(Segment::Set(_)) | None => None,
        }
    }

    /// Puts a system before all others so many times, RFC 4271 §5.1.2 b); what passes 255 begins a new stretch.
    pub fn prepend(&mut self, asn: Asn, times: usize) {
        for _ in 0..times {
            match self.0.first_mut() {
                Some(Segment::Sequence(numbers)) if numbers.len() < 255 => numbers.insert(0, asn),
                Some(Segment::Sequence(_) | Segment::Set(_)) | None => self.0.insert(0, Segment::Sequence(vec![asn])),
            }
        }
    }

    /// At most how many octets it takes in a message, with the AS4_PATH an old neighbour gets beside it.
    pub(super) fn octets_max(&self) -> usize {
        self.0.iter().map(|segment| 4 + 8 * segment.numbers().len()).sum()
    }

    /// Whether every number fits into two octets.
    pub(super) fn fits_two_octets(&self) -> bool {
        self.numbers().all(Asn::fits_two_octets)
    }

    fn numbers(&self) -> impl Iterator<Item = Asn> {
        self.0.iter().flat_map(Segment::numbers).copied()
    }

    /// `None` for an unknown kind of segment, one that is empty, one that does not fit, and for AS 0. Segments of confederations are unknown here:
    /// nobody who is outside of one may be told of them (RFC 5065 §5).
    pub(super) fn decode(octets: &[u8], four_octets: bool) -> Option<Self> {
        let mut reader = Reader::new(octets);
        let mut segments = Vec::new();
        while !reader.is_empty() {
            let (kind, numbers) = Segment::read(&mut reader, four_octets)?;
            segments.push(Segment::of(kind, numbers)?);
        }
        Some(Self(segments))
    }

    /// What an AS4_PATH says, and whether segments of confederations were passed over in it, which do not belong there (RFC 6793 §3).
    pub(super) fn decode_of_four(octets: &[u8]) -> Option<(Self, bool)> {
        let mut reader = Reader::new(octets);
        let (mut segments, mut has_passed) = (Vec::new(), false);
        while !reader.is_empty() {
            let (kind, numbers) = Segment::read(&mut reader, true)?;
            match CONFEDERATED.contains(&kind) {
                true => has_passed = true,
                false => segments.push(Segment::of(kind, numbers)?),
            }
        }
        Some((Self(segments), has_passed))
    }

    pub(super) fn encode(&self, four_octets: bool, out: &mut Vec<u8>) {
        self.0.iter().for_each(|segment| segment.encode(four_octets, out));
    }

    /// The true path behind a two-octet one: what AS4_PATH lacks in front is taken from AS_PATH, RFC 6793 §4.2.3.
    pub(super) fn merged(self, four: AsPath) -> Self {
        let Some(missing) = self.length().checked_sub(four.length()) else { return self };
        let mut segments = self.leading(missing);
        match (segments.last_mut(), four.0.first()) {
            (Some(Segment::Sequence(head)), Some(Segment::Sequence(tail))) if head.len() + tail.len() <= 255 => {
                head.extend(tail);
                segments.extend(four.0.into_iter().skip(1));
            }
            _ => segments.extend(four.0),
        }
        Self(segments)
    }

    /// The first part of the path, as long as told.
    fn leading(self, mut length: usize) -> Vec<Segment> {
        let mut segments = Vec::new();
        for segment in self.0 {
            match segment {
                _ if length == 0 => break,
                Segment::Sequence(mut numbers) => {
                    numbers.truncate(length);
                    length -= numbers.len();
                    segments.push(Segment::Sequence(numbers));
                }
                Segment::Set(numbers) => {
                    length -= 1;
                    segments.push(Segment::Set(numbers));
                }
            }
        }
        segments
    }
}

impl fmt::Display for AsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |numbers: &[Asn]| numbers.iter().map(Asn::to_string).collect::<Vec<_>>().join(" ");
        let segments = self.0.iter().map(|segment| match segment {
            Segment::Sequence(numbers) => words(numbers),
            Segment::Set(numbers) => format!("{{{}}}", words(numbers)),
        });
        f.write_str(&segments.collect::<Vec<_>>().join(" "))
    }
}
