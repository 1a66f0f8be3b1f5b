//! The algebra of packet rules: what a ruleset is made of, without saying where it runs.
//!
//! In: nothing, these are values. Out: nothing; the compiler makes them, `walk` reads them the slow and plain way, the agent
//! writes them to nftables one to one. Knows nothing of policies, endpoints or netlink. Shape and words are those of
//! nftables (linux/netfilter/nf_tables.h): one `inet` table of sets, maps and chains.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

pub use crate::key::Key;
pub use crate::name::{Interface, Name};

/// One whole `inet` table. Equal tables treat every packet alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Sets by name; a set is referred to by the rules of `chains`. Shared with the changes that made them: there may be a hundred thousand
    /// elements in them.
    pub sets: BTreeMap<Name, Arc<Set>>,
    /// Maps by name; a map's verdicts refer to `chains`, its counters to `counters`.
    pub maps: BTreeMap<Name, Map>,
    /// Counters that stand by themselves: what refers to one may come and go, and it counts on.
    pub counters: BTreeSet<Name>,
    /// Base chains (with a hook) and chains that are jumped to. Shared with the changes that made them: there may be tens of thousands.
    pub chains: BTreeMap<Name, Arc<Chain>>,
}

/// A part of a packet, or of what the kernel knows about it, that rules look at.
///
/// A field of one family or protocol is read only after a rule's earlier match has established that family or protocol;
/// the compiler sees to it, and `walk` panics where it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Interface the packet came in by (`meta iifname`).
    InterfaceIn,
    /// Interface the packet leaves by (`meta oifname`).
    InterfaceOut,
    /// Address family, as [`Atom::Octet`] 2 (`NFPROTO_IPV4`) or 10 (`NFPROTO_IPV6`) (`meta nfproto`).
    Family,
    /// Transport protocol after extension headers (`meta l4proto`).
    Protocol,
    /// IPv4 source address (`ip saddr`).
    Source4,
    /// IPv4 destination address (`ip daddr`).
    Destination4,
    /// IPv6 source address (`ip6 saddr`).
    Source6,
    /// IPv6 destination address (`ip6 daddr`).
    Destination6,
    /// IPv6 hop limit (`ip6 hoplimit`).
    HopLimit6,
    /// Source port of TCP, UDP, UDP-Lite, SCTP, DCCP (`th sport`).
    SourcePort,
    /// Destination port of the same (`th dport`).
    DestinationPort,
    /// ICMP or ICMPv6 type and code as one number: first two octets of the transport header.
    IcmpMessage,
    /// ICMP or ICMPv6 type: first octet of the transport header.
    IcmpType,
    /// ICMP or ICMPv6 code: second octet of the transport header.
    IcmpCode,
    /// TCP flags: octet 13 of the transport header.
    TcpFlags,
}

/// `NFPROTO_IPV4` (linux/netfilter.h).
pub const FAMILY_4: Atom = Atom::Octet(2);
/// `NFPROTO_IPV6` (linux/netfilter.h).
pub const FAMILY_6: Atom = Atom::Octet(10);

/// The kind of value a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datatype {
    /// 16 octets, NUL padded.
    Interface,
    /// One octet.
    Octet,
    /// Two octets, network order.
    Port,
    /// Four octets, network order.
    Address4,
    /// Sixteen octets, network order.
    Address6,
    /// An id that another map gave, as a key: sixteen octets, `0 . id . id . 0` in nft's words.
    Id,
}

impl Field {
    /// What kind of value the field holds.
    pub fn datatype(self) -> Datatype {
        match self {
            Field::InterfaceIn | Field::InterfaceOut => Datatype::Interface,
            Field::Family
            | Field::Protocol
            | Field::HopLimit6
            | Field::IcmpType
            | Field::IcmpCode
            | Field::TcpFlags => Datatype::Octet,
            Field::SourcePort | Field::DestinationPort | Field::IcmpMessage => Datatype::Port,
            Field::Source4 | Field::Destination4 => Datatype::Address4,
            Field::Source6 | Field::Destination6 => Datatype::Address6,
        }
    }
}

/// One value of a field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// An interface's name.
    Interface(Interface),
    /// A protocol, family, ICMP type or code, hop limit or flags.
    Octet(u8),
    /// A port.
    Port(u16),
    /// An IPv4 address.
    Address4(Ipv4Addr),
    /// An IPv6 address.
    Address6(Ipv6Addr),
    /// An id.
    Id(u64),
}

impl Atom {
    /// What kind of value it is.
    pub fn datatype(&self) -> Datatype {
        match self {
            Atom::Interface(_) => Datatype::Interface,
            Atom::Octet(_) => Datatype::Octet,
            Atom::Port(_) => Datatype::Port,
            Atom::Address4(_) => Datatype::Address4,
            Atom::Address6(_) => Datatype::Address6,
            Atom::Id(_) => Datatype::Id,
        }
    }
}

/// How a set finds its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Exact keys of one or more fields; constant cost, 5 µs a change.
    Hash,
    /// Inclusive ranges of one field, not overlapping (`NFT_SET_INTERVAL`); logarithmic.
    Interval,
}

/// A set of keys. Elements of a [`Form::Interval`] set never touch or overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What a key is made of, in order.
    pub key: Vec<Datatype>,
    /// How it is searched.
    pub form: Form,
    /// What is in it.
    pub elements: BTreeSet<Element>,
}

/// One key, or one inclusive range of keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    /// The key, or the first of the range.
    pub low: Key,
    /// The last of a range, whose keys have one part; absent for a single key, as most are.
    pub high: Option<Box<Atom>>,
}

impl Element {
    /// A single key.
    pub fn exactly(key: impl IntoIterator<Item = Atom>) -> Self {
        Self { low: key.into_iter().collect(), high: None }
    }

    /// A range of one field, both ends included.
    pub fn range(low: Atom, high: Atom) -> Self {
        Self { high: (low != high).then(|| Box::new(high)), low: Key::from_iter([low]) }
    }

    /// The last key.
    pub fn last(&self) -> Key {
        self.high.as_deref().map_or_else(|| self.low.clone(), |high| Key::from_iter([high.clone()]))
    }
}

/// A map from keys to an id, a verdict, a counter, an address, or an address and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// What a key is made of, in order.
    pub key: Vec<Datatype>,
    /// How it is searched. Elements of a [`Form::Interval`] map never overlap; they touch where what they lead to differs.
    pub form: Form,
    /// What each key leads to.
    pub elements: MapElements,
}

/// What a map holds; one kind a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapElements {
    /// Key → id (data of twelve octets): a step of a dispatch.
    Ids(BTreeMap<Element, u64>),
    /// Key → verdict (`vmap`): the end of a dispatch, or a look-up of its own.
    Verdicts(BTreeMap<Element, Verdict>),
    /// Key → counter.
    Counters(BTreeMap<Element, Name>),
    /// Key → IPv4 address and port.
    Sockets4(BTreeMap<Element, SocketAddrV4>),
    /// Key → IPv6 address and port; without flow and zone.
    Sockets6(BTreeMap<Element, SocketAddrV6>),
    /// Key → IPv4 address.
    Addresses4(BTreeMap<Element, Ipv4Addr>),
    /// Key → IPv6 address.
    Addresses6(BTreeMap<Element, Ipv6Addr>),
}

/// What one element of a map of ids, counters or verdicts leads to. Maps of sockets and addresses are small, and looked at as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// To an id.
    Id(u64),
    /// To a counter.
    Counter(Name),
    /// To a verdict.
    Verdict(Verdict),
}

/// A list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where packets enter it by themselves; absent = only by jump or goto.
    pub hook: Option<Hook>,
    /// Looked at in order.
    pub rules: Vec<Rule>,
}

/// A place in the kernel's path where a base chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What its rules are for.
    pub kind: HookKind,
    /// Which place.
    pub point: HookPoint,
    /// Lower runs first; 0 is `filter`, −300 is `raw` (linux/netfilter_ipv4.h).
    pub priority: i32,
    /// What happens to a packet no rule decided: accept or drop.
    pub policy: BasePolicy,
}

/// What the rules of a base chain are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// They see every packet, and say what becomes of it (`type filter`).
    Filter,
    /// They see the first packet of each flow, and say under which addresses the flow goes on (`type nat`).
    Nat,
}

/// The hooks of the `inet` family that we use (linux/netfilter.h, `nf_inet_hooks`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookPoint {
    /// Every packet that comes in, before routing.
    Prerouting,
    /// Packets for this host itself.
    Input,
    /// Packets passing through.
    Forward,
    /// Packets from this host itself.
    Output,
    /// Every packet that leaves, after routing.
    Postrouting,
}

/// The policy of a base chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasePolicy {
    /// Undecided packets go on.
    Accept,
    /// Undecided packets are dropped.
    Drop,
}

/// If every match holds, the verdict; else the next rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All must hold.
    pub matches: Vec<Match>,
    /// What counts the packets that reach the verdict.
    pub counter: Option<Counter>,
    /// What to do.
    pub then: Then,
}

/// What counts packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// The rule's own, which begins and ends with it.
    Own,
    /// One of the table's.
    Named(Name),
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// The field lies in the inclusive range, or outside of it. `low == high` is equality.
    Range {
        /// What is looked at.
        field: Field,
        /// First value.
        low: Atom,
        /// Last value.
        high: Atom,
        /// Holds outside instead.
        negated: bool,
    },
    /// The interface's name begins so (`iifname "pop*"`).
    InterfacePrefix {
        /// [`Field::InterfaceIn`] or [`Field::InterfaceOut`].
        field: Field,
        /// 1 to 15 octets.
        prefix: String,
        /// Holds for other names instead.
        negated: bool,
    },
    /// The interface is of this group, whatever its name (`iifgroup`, `oifgroup`).
    Group {
        /// [`Field::InterfaceIn`] or [`Field::InterfaceOut`].
        field: Field,
        /// Its number; 0 = whoever was put in none.
        group: u32,
        /// Holds for other groups instead.
        negated: bool,
    },
    /// The fields, joined, are a key of the set, or are not.
    Member {
        /// As many as the set's key has parts, of the same datatypes.
        fields: Vec<Field>,
        /// The set's name.
        set: Name,
        /// Holds for keys not in the set instead.
        negated: bool,
    },
    /// `field & mask == value`, for one-octet fields.
    Bits {
        /// A field of [`Datatype::Octet`].
        field: Field,
        /// Which bits are looked at.
        mask: u8,
        /// What they are to be.
        value: u8,
        /// Holds for other bits instead.
        negated: bool,
    },
    /// The conntrack state is one of these.
    Conntrack(ConntrackStates),
    /// The packet's mark has this bit, or has it not (`meta mark & bit != 0`).
    Mark {
        /// One bit.
        bit: u32,
        /// Holds without it instead.
        negated: bool,
    },
    /// The destination is an address of this host, or is none (`fib daddr type local`).
    ToHost {
        /// Holds for other destinations instead.
        negated: bool,
    },
}

/// A set of conntrack states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConntrackStates {
    /// Fits no known flow and begins none.
    pub invalid: bool,
    /// Of a flow seen in both directions, or the reply of a new one.
    pub established: bool,
    /// Begins a flow that a known one announced, such as an ICMP error.
    pub related: bool,
    /// Begins a flow.
    pub new: bool,
    /// Is not looked at, for something said so before.
    pub untracked: bool,
}

/// What a rule does with a packet. What few rules do and takes much to say stands in memory of its own: rules are kept by the ten thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Always the same.
    Verdict(Verdict),
    /// Tells whoever listens, as long as there are not too many, and goes on to the next rule.
    Log(Log),
    /// The flow that the packet begins goes on under another source, and the chain ends. Only in chains of [`HookKind::Nat`] at
    /// [`HookPoint::Postrouting`].
    SourceNat(SourceNat),
    /// The flow that the packet begins goes on to the address and port that the joined fields lead to in a map of these, of the family that
    /// an earlier match has established; a key that is not there: the next rule. Only in chains of [`HookKind::Nat`] at
    /// [`HookPoint::Prerouting`] and [`HookPoint::Output`].
    DestinationNat {
        /// As many as the map's key has parts.
        fields: Vec<Field>,
        /// The map's name.
        map: Name,
        /// Whether it is [`MapElements::Sockets6`].
        is_v6: bool,
    },
    /// The flow that the packet begins goes on with another address in the place of this one, the one that it leads to in a map of addresses of
    /// its family, which an earlier match has established; ports stay, and the chain ends. One that is not there: the next rule. Only in chains
    /// of [`HookKind::Nat`]: a source at [`HookPoint::Postrouting`], a destination at [`HookPoint::Prerouting`] and [`HookPoint::Output`].
    Exchange {
        /// A source or destination address.
        field: Field,
        /// The map's name: [`MapElements::Addresses4`] or [`MapElements::Addresses6`].
        map: Name,
    },
    /// Nothing beyond counting; goes on to the next rule (`continue`).
    Continue,
    /// Connection tracking is not to look at it (`notrack`); goes on to the next rule. Only before tracking, at [`HookPoint::Prerouting`]
    /// and [`HookPoint::Output`].
    Notrack,
    /// Sets one bit of the packet's mark, or clears it, and leaves the others (`meta mark set`); goes on to the next rule.
    Mark {
        /// One bit.
        bit: u32,
        /// Cleared instead if not.
        is_set: bool,
    },
    /// Looks the joined fields up in a [`MapElements::Verdicts`] map; a key that is not there: the next rule.
    Lookup {
        /// As many as the map's key has parts.
        fields: Vec<Field>,
        /// The map's name.
        map: Name,
    },
    /// Finds an id, and does what a map says of it; whatever is not there on the way: the next rule.
    Dispatch(Box<Dispatch>),
    /// Does what maps say of a path at the packet's protocol and destination port; whatever is not there on the way: the next rule.
    AtPort(Box<AtPort>),
}

/// Under which source a flow goes on. Where two flows would be alike by it, the kernel chooses another source port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceNat {
    /// An address of the interface it leaves by, or if that has none, another one of this host's (`masquerade`).
    Masquerade,
    /// This address (`snat`). Packets of the other family go on to the next rule.
    To(IpAddr),
}

/// The steps to a verdict by way of ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Whence the first id is.
    pub from: Origin,
    /// Joined with this field, the id is looked up in a [`MapElements::Ids`] map with a key of [`Datatype::Id`] and the field's, for another id.
    pub and: Option<(Field, Name)>,
    /// What the id leads to in this [`MapElements::Counters`] map counts the packet.
    pub counters: Option<Name>,
    /// Id → verdict, a [`MapElements::Verdicts`] map.
    pub verdicts: Name,
}

/// The steps to a verdict by way of a path, protocol, destination port, and what is known of an address. A place is protocol, port and
/// path, joined: a key of [`Datatype::Octet`], [`Datatype::Port`] and [`Datatype::Id`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtPort {
    /// Which path.
    pub path: Origin,
    /// How the answer is found; absent: it is [`AtPort::UNASKED`].
    pub asks: Option<Asks>,
    /// Place and answer, joined → what counts the packet, a [`MapElements::Counters`] map.
    pub counters: Name,
    /// The same → verdict, a [`MapElements::Verdicts`] map.
    pub verdicts: Name,
}

impl AtPort {
    /// The answer where nothing is asked beyond the port.
    pub const UNASKED: u64 = 0;
}

/// How an address answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asks {
    /// Place → id, a [`MapElements::Ids`] map.
    pub questions: Name,
    /// Which address.
    pub field: Field,
    /// That id and the address, joined → answer, a [`MapElements::Ids`] map.
    pub owners: Name,
}

/// Whence an id is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is always the same.
    Constant(u64),
    /// The joined fields lead to it in a [`MapElements::Ids`] map.
    Fields {
        /// As many as the map's key has parts.
        fields: Vec<Field>,
        /// Fields → id.
        ids: Name,
    },
}

/// How packets are told of (`log group`): the kernel hands a copy of each to the listener of a group, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Which listener (linux/netfilter/nfnetlink_log.h), one number a network namespace.
    pub group: u16,
    /// Stands before each copy: where it was taken. At most [`Log::MAX_PREFIX_OCTETS`].
    pub prefix: String,
    /// So many a second at most, and as many at once; 1 or more. The rest goes on untold.
    pub per_second: u32,
}

impl Log {
    /// Longest prefix, in octets. The kernel takes 127 (`NF_LOG_PREFIXLEN`); nobody needs that.
    pub const MAX_PREFIX_OCTETS: usize = 64;
    /// How much of a packet is copied, in octets: an IPv6 header, some extension headers, and the start of the transport.
    pub const COPIED_OCTETS: u32 = 128;

    /// Makes a log. Prefixes are composed by the compiler, never by people, so a bad one is a bug of ours.
    pub fn new(group: u16, prefix: impl Into<String>, per_second: u32) -> Self {
        let prefix = prefix.into();
        let is_plain = prefix.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic() && octet != b'"');
        assert!(is_plain && prefix.len() <= Self::MAX_PREFIX_OCTETS, "{prefix:?} cannot stand before a packet");
        assert!(per_second > 0, "a log that tells nothing is none");
        Self { group, prefix, per_second }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It passes this hook's chain of ours.
    Accept,
    /// It is gone.
    Drop,
    /// Back to the rule after the jump; from a base chain, its policy.
    Return,
    /// Into another chain, and back here when that returns or ends.
    Jump(Name),
    /// Into another chain, and from there back to where this chain was jumped to from.
    Goto(Name),
}
