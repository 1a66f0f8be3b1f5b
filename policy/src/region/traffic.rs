//! Exact sets of transport headers: protocols, and what each carries.
//!
//! Every header is a point of three coordinates: its protocol; its destination port or, for ICMP, `type × 256 + code`; its source
//! port. Where a protocol has no such thing the whole width stands for it. A set is a list of disjoint blocks, so that what is
//! left of it after a rule is again such a list, and no header is ever tried one by one.

use crate::model::PortProtocol;
use crate::packet::{ICMP, ICMP6, Transport};

/// A set of transport headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Traffic(Vec<Block>);

/// Everything whose three coordinates lie within. Never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Block {
    pub(crate) protocols: Protocols,
    /// Destination ports or ICMP messages.
    pub(crate) target: Span,
    /// Source ports.
    pub(crate) origin: Span,
}

/// A set of protocol numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Protocols([u64; 4]);

/// An inclusive span of ports or messages, not reversed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) low: u16,
    pub(crate) high: u16,
}

/// First of the dynamic ports (RFC 6335 §6).
const ANY_ORIGIN: u16 = 49_152;

/// What carries neither ports nor messages lies here, and nothing else does.
const NEITHER: u16 = 0;

impl Traffic {
    /// Every header there can be.
    pub fn all() -> Self {
        Self(vec![Block { protocols: Protocols::ALL, target: Span::ALL, origin: Span::ALL }])
    }

    /// No header.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn of(blocks: impl IntoIterator<Item = Block>) -> Self {
        blocks.into_iter().fold(Self::none(), |all, block| all.or(&Self(vec![block])))
    }

    /// Whether it holds no header.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds every header.
    pub fn is_all(&self) -> bool {
        Self::all().without(self).is_empty()
    }

    /// Whether it holds a header.
    pub fn contains(&self, transport: Transport) -> bool {
        let point = Block::of(transport);
        self.0.iter().any(|block| block.and(&point).is_some())
    }

    /// What both hold.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().flat_map(|block| other.0.iter().filter_map(|wanted| block.and(wanted))).collect())
    }

    /// Whether both hold something.
    pub fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|block| other.0.iter().any(|wanted| block.and(wanted).is_some()))
    }

    /// What this one holds and the other does not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = self.0.clone();
        for taken in &other.0 {
            left = left.iter().flat_map(|block| block.without(taken)).collect();
        }
        Self(left)
    }

    /// What either holds.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(other.without(self).0);
        all
    }

    /// Whether the other holds everything that this one holds.
    pub fn is_within(&self, other: &Self) -> bool {
        self.without(other).is_empty()
    }

    /// One header of it, the likeliest to be met: the commonest protocol, and of that a dynamic source port and an echo request where they may be.
    pub fn sample(&self) -> Option<Transport> {
        let unlikely = |block: &&Block| (block.commonest().map(commonness), block.likeliest_origin() != ANY_ORIGIN);
        let block = self.0.iter().min_by_key(unlikely)?;
        let protocol = block.commonest()?;
        Some(Transport::at(protocol, block.target.nearest(likeliest_target(protocol)), block.likeliest_origin()))
    }

    pub(crate) fn blocks(&self) -> &[Block] {
        &self.0
    }

    pub(crate) fn from_disjoint(blocks: Vec<Block>) -> Self {
        Self(blocks)
    }
}

/// Lower is met more often.
fn commonness(protocol: u8) -> (usize, u8) {
    let row = [6, 17, ICMP, ICMP6, 132, 136];
    (row.iter().position(|known| *known == protocol).unwrap_or(row.len()), protocol)
}

/// The echo request of protocols with messages (RFC 792, RFC 4443 §4.1), and else the lowest port.
fn likeliest_target(protocol: u8) -> u16 {
    match protocol {
        ICMP => u16::from_be_bytes([8, 0]),
        ICMP6 => u16::from_be_bytes([128, 0]),
        _ => 1,
    }
}

impl Transport {
    /// The header at a point.
    pub(crate) fn at(protocol: u8, target: u16, origin: u16) -> Self {
        match (PortProtocol::from_number(protocol), target.to_be_bytes()) {
            (Some(_), _) => Transport::Ports { protocol, source: origin, destination: target },
            (None, [kind, code]) if [ICMP, ICMP6].contains(&protocol) => Transport::Icmp { protocol, kind, code },
            (None, _) => Transport::Other(protocol),
        }
    }
}

impl Block {
    fn commonest(&self) -> Option<u8> {
        self.protocols.iter().min_by_key(|number| commonness(*number))
    }

    fn likeliest_origin(&self) -> u16 {
        self.origin.nearest(ANY_ORIGIN)
    }

    /// The point of a header.
    fn of(transport: Transport) -> Self {
        let (protocol, target, origin) = match transport {
            Transport::Ports { protocol, source, destination } => (protocol, destination, source),
            Transport::Icmp { protocol, kind, code } => (protocol, u16::from_be_bytes([kind, code]), NEITHER),
            Transport::Other(protocol) => (protocol, NEITHER, NEITHER),
        };
        Self { protocols: Protocols::one(protocol), target: Span::one(target), origin: Span::one(origin) }
    }

    pub(crate) fn and(&self, other: &Self) -> Option<Self> {
        Some(Self {
            protocols: self.protocols.and(other.protocols).filter(|protocols| !protocols.is_empty())?,
            target: self.target.and(other.target)?,
            origin: self.origin.and(other.origin)?,
        })
    }

    /// What is left: other protocols, then other targets, then other origins.
    fn without(&self, other: &Self) -> Vec<Self> {
        let Some(both) = self.and(other) else { return vec![*self] };
        let mut left = Vec::new();
        let protocols = self.protocols.without(other.protocols);
        if !protocols.is_empty() {
            left.push(Self { protocols, ..*self });
        }
        let of_both = Self { protocols: both.protocols, ..*self };
        left.extend(self.target.without(both.target).map(|target| Self { target, ..of_both }));
        let of_both = Self { target: both.target, ..of_both };
        left.extend(self.origin.without(both.origin).map(|origin| Self { origin, ..of_both }));
        left
    }
}

impl Protocols {
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    pub(crate) fn one(number: u8) -> Self {
        let mut words = [0; 4];
        words[usize::from(number / 64)] = 1 << (number % 64);
        Self(words)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == [0; 4]
    }

    pub(crate) fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn contains(self, number: u8) -> bool {
        self.0[usize::from(number / 64)] >> (number % 64) & 1 == 1
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..=u8::MAX).filter(move |number| self.contains(*number))
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// Always something, perhaps empty, so that it chains with the spans.
    fn and(self, other: Self) -> Option<Self> {
        Some(Self(std::array::from_fn(|word| self.0[word] & other.0[word])))
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }
}

impl Span {
    pub(crate) const ALL: Self = Self { low: 0, high: u16::MAX };

    pub(crate) fn one(number: u16) -> Self {
        Self { low: number, high: number }
    }

    pub(crate) fn and(self, other: Self) -> Option<Self> {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        (low <= high).then_some(Self { low, high })
    }

    /// What lies before and after a part of it.
    fn without(self, part: Self) -> impl Iterator<Item = Self> {
        let before = part.low.checked_sub(1).filter(|high| self.low <= *high).map(|high| Self { low: self.low, high });
        let after = part.high.checked_add(1).filter(|low| *low <= self.high).map(|low| Self { low, high: self.high });
        before.into_iter().chain(after)
    }

    /// The number in it that is nearest to the wanted one.
    fn nearest(self, wanted: u16) -> u16 {
        wanted.clamp(self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const EDGES: [u16; 6] = [0, 1, 79, 80, 1024, u16::MAX];

    fn span() -> impl Strategy<Value = Span> {
        (select(&EDGES[..]), select(&EDGES[..]))
            .prop_map(|(one, other)| Span { low: one.min(other), high: one.max(other) })
    }

    /// As rules make them: only what has ports is cut by ports, only what has messages by messages.
    fn traffic() -> impl Strategy<Value = Traffic> {
        let ported = (select(vec![6, 17]), span(), span()).prop_map(|(number, target, origin)| Block {
            protocols: Protocols::one(number),
            target,
            origin,
        });
        let messages = span().prop_map(|target| Block { protocols: Protocols::one(ICMP), target, origin: Span::ALL });
        let whole = select(vec![Protocols::one(47), Protocols::one(6), Protocols::ALL]).prop_map(|protocols| Block {
            protocols,
            target: Span::ALL,
            origin: Span::ALL,
        });
        vec(prop_oneof![4 => ported, 2 => messages, 1 => whole], 0..6).prop_map(Traffic::of)
    }

    fn points() -> impl Iterator<Item = Transport> {
        let ports = EDGES.into_iter().flat_map(|target| EDGES.map(move |origin| (target, origin)));
        ports.flat_map(|(target, origin)| [1, 6, 47].map(|protocol| Transport::at(protocol, target, origin)))
    }

    proptest! {
        #[test]
        fn sets_of_headers_keep_the_laws_of_sets(one in traffic(), other in traffic()) {
            for point in points() {
                let (in_one, in_other) = (one.contains(point), other.contains(point));

                prop_assert_eq!(one.and(&other).contains(point), in_one && in_other);
                prop_assert_eq!(one.or(&other).contains(point), in_one || in_other);
                prop_assert_eq!(one.without(&other).contains(point), in_one && !in_other);
            }
        }

        #[test]
        fn a_sample_lies_within(one in traffic()) {
            prop_assert_eq!(one.sample().is_none(), one.is_empty());
            prop_assert!(one.sample().is_none_or(|point| one.contains(point)));
        }

        #[test]
        fn a_sample_is_of_the_commonest_protocol_there_is(one in traffic()) {
            let rank = |transport| Block::of(transport).commonest().map(commonness);
            let sample = one.sample().map(rank);
            let least = points().filter(|point| one.contains(*point)).map(rank).min();

            prop_assert!(least.is_none_or(|least| sample.is_some_and(|sample| sample <= least)));
        }

        #[test]
        fn one_set_has_one_canonical_form(one in traffic(), other in traffic()) {
            let (there, back) = (one.or(&other).canonical(), other.or(&one).canonical());

            prop_assert_eq!(&there, &back);
            prop_assert!(there.is_within(&one.or(&other)) && one.or(&other).is_within(&there));
        }
    }

    #[test]
    fn a_sample_comes_from_a_dynamic_port_where_one_of_its_protocol_may() {
        let tcp = |(low, high), origin| {
            let target = Span { low, high };
            Block { protocols: Protocols::one(6), target, origin }
        };
        let low = Span { low: 0, high: 1023 };

        let sample = Traffic::of([tcp((1, 1000), low), tcp((1001, 2000), Span::ALL)]).sample();

        assert_eq!(sample, Some(Transport::Ports { protocol: 6, source: 49_152, destination: 1001 }));
        assert_eq!(Traffic::of([tcp((1, 1000), low)]).sample(), Some(Transport::at(6, 1, 1023)));
    }

    #[test]
    fn a_sample_of_messages_is_an_echo_request_where_it_may_be() {
        let messages = |protocol, target| {
            Traffic::of([Block { protocols: Protocols::one(protocol), target, origin: Span::ALL }]).sample()
        };
        let icmp = |protocol, kind, code| Some(Transport::Icmp { protocol, kind, code });

        assert_eq!(messages(ICMP, Span::ALL), icmp(ICMP, 8, 0));
        assert_eq!(messages(ICMP6, Span::ALL), icmp(ICMP6, 128, 0));
        assert_eq!(messages(ICMP, Span::one(0x0d00)), icmp(ICMP, 13, 0));
    }
}
