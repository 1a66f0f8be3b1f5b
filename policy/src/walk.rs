//! What a ruleset does with one packet at one hook, read the slow and plain way.
//!
//! In: a ruleset and a packet with what the kernel knows about it. Out: accept or drop. This is the judge of what the
//! compiler makes, so it follows nft(8) rule by rule and knows nothing of policies.
//! Panics where a rule reads a field the packet does not have, or refers to what does not stand: both are the compiler's bugs.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::packet::{Packet, TCP, Transport};
use crate::ruleset::{
    Asks, AtPort, Atom, BasePolicy, Chain, ConntrackStates, Counter, Dispatch, Element, FAMILY_4, FAMILY_6, Field,
    Form, Hook, HookKind, HookPoint, Interface, Key, Map, MapElements, Match, Name, Origin, Rule, Ruleset, Set,
    SourceNat, Then, Value, Verdict,
};

/// A packet at a place of the kernel's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transit {
    /// Which place.
    pub hook: HookPoint,
    /// Interface it came in by; absent for what the host itself sends.
    pub interface_in: Option<Interface>,
    /// Interface it leaves by; absent before routing and for the host itself.
    pub interface_out: Option<Interface>,
    /// Group of the interface, in a table that asks for groups; 0 = none.
    pub group: u32,
    /// The packet.
    pub packet: Packet,
    /// IPv6 hop limit; not looked at for IPv4.
    pub hop_limit: u8,
    /// TCP flags, such as [`SYN`]; not looked at for other protocols.
    pub tcp_flags: u8,
    /// What connection tracking says.
    pub state: ConntrackState,
    /// The mark it carries so far (`meta mark`).
    pub mark: u32,
}

/// The flag of a packet that opens a TCP connection (RFC 9293 §3.1).
pub const SYN: u8 = 0x02;
/// The flag of every later packet of a TCP connection.
pub const ACK: u8 = 0x10;

/// What connection tracking says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConntrackState {
    /// It begins a flow.
    New,
    /// It belongs to a flow seen in both directions.
    Established,
    /// It begins what a known flow announced.
    Related,
    /// It fits nothing.
    Invalid,
    /// It is not looked at, such as neighbour discovery.
    Untracked,
}

/// What became of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on.
    Accept,
    /// It is gone.
    Drop,
}

/// How a chain was left.
enum Ending {
    Accept,
    Drop,
    Return,
}

/// Where a ruleset can be looked up: one that stands, or one as it was. What is not there is nothing.
pub trait Book {
    /// All chains.
    fn chains(&self) -> Vec<&Chain>;
    /// A chain.
    fn chain(&self, name: &Name) -> Option<&Chain>;
    /// Whether a set has a key.
    fn has(&self, name: &Name, key: &[Atom]) -> Option<bool>;
    /// What a map of ids, counters or verdicts says for a key.
    fn value(&self, name: &Name, key: &[Atom]) -> Option<Option<Value>>;
    /// A map of verdicts or sockets that is small, and changed as a whole.
    fn verdicts(&self, name: &Name) -> Option<&Map>;
}

impl<B: Book> Book for &B {
    fn chains(&self) -> Vec<&Chain> {
        (*self).chains()
    }

    fn chain(&self, name: &Name) -> Option<&Chain> {
        (*self).chain(name)
    }

    fn has(&self, name: &Name, key: &[Atom]) -> Option<bool> {
        (*self).has(name, key)
    }

    fn value(&self, name: &Name, key: &[Atom]) -> Option<Option<Value>> {
        (*self).value(name, key)
    }

    fn verdicts(&self, name: &Name) -> Option<&Map> {
        (*self).verdicts(name)
    }
}

impl Book for Ruleset {
    fn chains(&self) -> Vec<&Chain> {
        self.chains.values().map(Arc::as_ref).collect()
    }

    fn chain(&self, name: &Name) -> Option<&Chain> {
        self.chains.get(name).map(Arc::as_ref)
    }

    fn has(&self, name: &Name, key: &[Atom]) -> Option<bool> {
        self.sets.get(name).map(|set| set.has(key))
    }

    fn value(&self, name: &Name, key: &[Atom]) -> Option<Option<Value>> {
        self.maps.get(name).map(|map| map.value(key))
    }

    fn verdicts(&self, name: &Name) -> Option<&Map> {
        self.maps.get(name)
    }
}

impl Set {
    /// Whether it has a key.
    pub(crate) fn has(&self, key: &[Atom]) -> bool {
        assert!(
            self.key.iter().copied().eq(key.iter().map(Atom::datatype)),
            "the set's key is {:?}, not {key:?}",
            self.key
        );
        match self.form {
            Form::Hash => self.elements.contains(&Element::exactly(key.iter().cloned())),
            Form::Interval => self.elements.range(..=last_from(key)).next_back().is_some_and(|range| holds(range, key)),
        }
    }
}

impl Map {
    /// The id, counter or verdict of a key.
    pub(crate) fn value(&self, key: &[Atom]) -> Option<Value> {
        match &self.elements {
            MapElements::Ids(ids) => found(self.form, ids, key).copied().map(Value::Id),
            MapElements::Counters(counters) => found(self.form, counters, key).cloned().map(Value::Counter),
            MapElements::Verdicts(verdicts) => found(self.form, verdicts, key).cloned().map(Value::Verdict),
            MapElements::Sockets4(_)
            | MapElements::Sockets6(_)
            | MapElements::Addresses4(_)
            | MapElements::Addresses6(_) => panic!("a map of sockets or addresses is looked up for others"),
        }
    }
}

impl Map {
    /// The address and port a key leads to.
    fn socket(&self, key: &[Atom]) -> Option<SocketAddr> {
        match &self.elements {
            MapElements::Sockets4(sockets) => found(self.form, sockets, key).copied().map(SocketAddr::V4),
            MapElements::Sockets6(sockets) => found(self.form, sockets, key).copied().map(SocketAddr::V6),
            MapElements::Ids(_)
            | MapElements::Verdicts(_)
            | MapElements::Counters(_)
            | MapElements::Addresses4(_)
            | MapElements::Addresses6(_) => panic!("a map of others is looked up for a socket"),
        }
    }

    /// The address a key leads to.
    fn address(&self, key: &[Atom]) -> Option<IpAddr> {
        match &self.elements {
            MapElements::Addresses4(addresses) => found(self.form, addresses, key).copied().map(IpAddr::V4),
            MapElements::Addresses6(addresses) => found(self.form, addresses, key).copied().map(IpAddr::V6),
            MapElements::Ids(_)
            | MapElements::Verdicts(_)
            | MapElements::Counters(_)
            | MapElements::Sockets4(_)
            | MapElements::Sockets6(_) => panic!("a map of others is looked up for an address"),
        }
    }
}

/// Sends the packet through the base chains of its hook, lowest priority first.
pub fn walk(book: &impl Book, transit: &Transit) -> Outcome {
    trail(book, transit).0
}

/// The same, and the chains and counters it went through on the way, in order.
pub fn trail(book: &impl Book, transit: &Transit) -> (Outcome, Vec<Name>) {
    let Journey { outcome, chains, .. } = journey(book, transit, |_| true);
    (outcome, chains)
}

/// What happened to a packet on its way through the base chains of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    /// What became of it.
    pub outcome: Outcome,
    /// The chains it went through that are not base chains, and the counters that counted it, in order.
    pub chains: Vec<Name>,
    /// Whether connection tracking was told not to look at it.
    pub is_untracked: bool,
    /// The mark it carries from there on.
    pub mark: u32,
}

/// Sends the packet through those base chains of its hook whose priority is asked for, lowest first.
pub fn journey(book: &impl Book, transit: &Transit, asks: impl Fn(i32) -> bool) -> Journey {
    let bases = bases(book, transit, HookKind::Filter, asks);
    let walker = Walker::of(book, transit);
    let is_dropped = |base: &&Chain| match walker.run(base) {
        Ending::Accept => false,
        Ending::Drop => true,
        Ending::Return => base.hook.is_some_and(|hook| hook.policy == BasePolicy::Drop),
    };
    let outcome = if bases.iter().any(is_dropped) { Outcome::Drop } else { Outcome::Accept };
    let (is_untracked, mark) = (walker.is_untracked.get(), walker.mark.get());
    Journey { outcome, chains: walker.trail.into_inner(), is_untracked, mark }
}

/// Under which source a flow goes on that begins with this packet; absent if under its own. Such chains decide nothing else.
pub fn source_nat(book: &impl Book, transit: &Transit) -> Option<SourceNat> {
    let walker = Walker::of(book, transit);
    bases(book, transit, HookKind::Nat, |_| true).into_iter().find_map(|base| {
        walker.run(base);
        walker.source_nat.get()
    })
}

/// Whereto a flow goes on that begins with this packet, which is for an address of this host or is not; absent if where it was meant. What has no
/// ports goes on to port 0.
pub fn destination_nat(book: &impl Book, transit: &Transit, is_to_host: bool) -> Option<SocketAddr> {
    let walker = Walker { is_to_host: Some(is_to_host), ..Walker::of(book, transit) };
    bases(book, transit, HookKind::Nat, |_| true).into_iter().find_map(|base| {
        walker.run(base);
        walker.destination_nat.get()
    })
}

/// The base chains of a kind at a packet's hook whose priority is asked for, lowest first.
fn bases<'b>(book: &'b impl Book, transit: &Transit, kind: HookKind, asks: impl Fn(i32) -> bool) -> Vec<&'b Chain> {
    let is_asked = |hook: Hook| hook.kind == kind && hook.point == transit.hook && asks(hook.priority);
    let hooked = |chain: &&Chain| chain.hook.is_some_and(is_asked);
    let mut bases: Vec<&Chain> = book.chains().into_iter().filter(hooked).collect();
    bases.sort_by_key(|chain| chain.hook.map(|hook| hook.priority));
    bases
}

struct Walker<'a, B> {
    book: &'a B,
    transit: &'a Transit,
    trail: RefCell<Vec<Name>>,
    is_untracked: Cell<bool>,
    mark: Cell<u32>,
    source_nat: Cell<Option<SourceNat>>,
    destination_nat: Cell<Option<SocketAddr>>,
    /// Whether the destination is an address of this host, where that is known.
    is_to_host: Option<bool>,
}

impl<'a, B: Book> Walker<'a, B> {
    fn of(book: &'a B, transit: &'a Transit) -> Self {
        Self {
            book,
            transit,
            trail: RefCell::default(),
            is_untracked: Cell::default(),
            mark: Cell::new(transit.mark),
            source_nat: Cell::default(),
            destination_nat: Cell::default(),
            is_to_host: (transit.hook == HookPoint::Input).then_some(true),
        }
    }

    fn run(&self, chain: &Chain) -> Ending {
        for rule in &chain.rules {
            if !rule.matches.iter().all(|condition| self.holds(condition)) {
                continue;
            }
            let verdict = self.verdict_of(rule);
            let counts = verdict.is_some() || rule.then == Then::Continue;
            if let (true, Some(Counter::Named(name))) = (counts, &rule.counter) {
                self.pass(name);
            }
            match verdict {
                None => {}
                Some(Verdict::Accept) => return Ending::Accept,
                Some(Verdict::Drop) => return Ending::Drop,
                Some(Verdict::Return) => return Ending::Return,
                Some(Verdict::Goto(target)) => return self.run(self.chain(&target)),
                Some(Verdict::Jump(target)) => match self.run(self.chain(&target)) {
                    Ending::Return => {}
                    settled => return settled,
                },
            }
        }
        Ending::Return
    }

    /// The rule's verdict; nothing if it only does something on the way, or a look-up found nothing.
    fn verdict_of(&self, rule: &Rule) -> Option<Verdict> {
        match &rule.then {
            Then::Verdict(verdict) => Some(verdict.clone()),
            Then::Continue | Then::Log(_) => None,
            Then::Notrack => {
                self.is_untracked.set(true);
                None
            }
            Then::Mark { bit, is_set } => {
                let others = self.mark.get() & !bit;
                self.mark.set(if *is_set { others | bit } else { others });
                None
            }
            Then::SourceNat(SourceNat::To(address)) if address.is_ipv4() != self.transit.packet.source.is_ipv4() => {
                None
            }
            Then::DestinationNat { fields, map, .. } => {
                self.destination_nat.set(self.verdicts(map).socket(&self.lookup_key(fields)?));
                self.destination_nat.get().map(|_| Verdict::Accept)
            }
            Then::Exchange { field, map } => self.exchanged(*field, map),
            Then::SourceNat(source) => {
                self.source_nat.set(Some(*source));
                Some(Verdict::Accept)
            }
            Then::Lookup { fields, map } => match &self.verdicts(map).elements {
                MapElements::Verdicts(verdicts) => {
                    found(self.verdicts(map).form, verdicts, &self.lookup_key(fields)?).cloned()
                }
                _ => panic!("{map} is looked up for verdicts and holds none"),
            },
            Then::Dispatch(dispatch) => self.dispatched(dispatch),
            Then::AtPort(at_port) => self.at_port(at_port),
        }
    }

    fn exchanged(&self, field: Field, map: &Name) -> Option<Verdict> {
        let address = self.verdicts(map).address(&self.lookup_key(&[field])?)?;
        match field {
            Field::Source4 | Field::Source6 => self.source_nat.set(Some(SourceNat::To(address))),
            _ => {
                let port = match self.transit.packet.transport {
                    Transport::Ports { destination, .. } => destination,
                    Transport::Icmp { .. } | Transport::Other(_) => 0,
                };
                self.destination_nat.set(Some(SocketAddr::new(address, port)));
            }
        }
        Some(Verdict::Accept)
    }

    fn dispatched(&self, Dispatch { from, and, counters, verdicts }: &Dispatch) -> Option<Verdict> {
        let mut id = self.origin(from)?;
        if let Some((field, ids)) = and {
            id = self.id(ids, &[Atom::Id(id), self.field(*field)])?;
        }
        let key = [Atom::Id(id)];
        if let Some(counters) = counters {
            self.count(counters, &key)?;
        }
        self.verdict_at(verdicts, &key)
    }

    fn at_port(&self, AtPort { path, asks, counters, verdicts }: &AtPort) -> Option<Verdict> {
        let path = self.origin(path)?;
        let mut key = self.lookup_key(&[Field::Protocol, Field::DestinationPort])?;
        key.push(Atom::Id(path));
        let answer = match asks {
            None => AtPort::UNASKED,
            Some(Asks { questions, field, owners }) => {
                let question = self.id(questions, &key)?;
                self.id(owners, &[Atom::Id(question), self.field(*field)])?
            }
        };
        key.push(Atom::Id(answer));
        self.count(counters, &key)?;
        self.verdict_at(verdicts, &key)
    }

    fn verdict_at(&self, verdicts: &Name, key: &[Atom]) -> Option<Verdict> {
        match self.value(verdicts, key)? {
            Value::Verdict(verdict) => Some(verdict),
            Value::Id(_) | Value::Counter(_) => panic!("{verdicts} is looked up for verdicts and holds none"),
        }
    }

    fn origin(&self, origin: &Origin) -> Option<u64> {
        match origin {
            Origin::Constant(id) => Some(*id),
            Origin::Fields { fields, ids } => self.id(ids, &self.lookup_key(fields)?),
        }
    }

    fn count(&self, counters: &Name, key: &[Atom]) -> Option<()> {
        let Value::Counter(name) = self.value(counters, key)? else { panic!("{counters} counts") };
        self.pass(&name);
        Some(())
    }

    fn holds(&self, condition: &Match) -> bool {
        match condition {
            Match::Range { field, low, high, negated } => {
                let value = self.field(*field);
                (*low <= value && value <= *high) != *negated
            }
            Match::InterfacePrefix { field, prefix, negated } => {
                self.interface(*field).as_str().starts_with(prefix.as_str()) != *negated
            }
            Match::Group { group, negated, .. } => (self.transit.group == *group) != *negated,
            Match::Member { fields, set, negated } => self.has(set, &self.key(fields)) != *negated,
            Match::Bits { field, mask, value, negated } => match self.field(*field) {
                Atom::Octet(octet) => (octet & mask == *value) != *negated,
                other => panic!("bits of {other:?} are looked at"),
            },
            Match::Conntrack(states) => has_state(*states, self.transit.state),
            Match::Mark { bit, negated } => (self.mark.get() & bit != 0) != *negated,
            Match::ToHost { negated } => {
                let is_to_host = self.is_to_host.expect("only what translates destinations asks whose they are");
                is_to_host != *negated
            }
        }
    }

    fn key(&self, fields: &[Field]) -> Vec<Atom> {
        fields.iter().map(|field| self.field(*field)).collect()
    }

    /// The key of a look-up. A joined key that names its protocol may have parts that other protocols have not: whatever the kernel
    /// finds in their place, it finds no such key.
    fn lookup_key(&self, fields: &[Field]) -> Option<Vec<Atom>> {
        let has_ports = matches!(self.transit.packet.transport, Transport::Ports { .. });
        let asks_for_ports = fields.contains(&Field::DestinationPort) || fields.contains(&Field::SourcePort);
        let is_other = fields.contains(&Field::Protocol) && asks_for_ports && !has_ports;
        (!is_other).then(|| self.key(fields))
    }

    fn field(&self, field: Field) -> Atom {
        let Packet { source, destination, transport } = self.transit.packet;
        let absent = || -> ! { panic!("{field:?} is read of {}", self.transit.packet) };
        match (field, source, destination, transport) {
            (Field::InterfaceIn | Field::InterfaceOut, ..) => Atom::Interface(self.interface(field).clone()),
            (Field::Family, IpAddr::V4(_), ..) => FAMILY_4,
            (Field::Family, IpAddr::V6(_), ..) => FAMILY_6,
            (Field::Protocol, ..) => Atom::Octet(self.transit.packet.protocol()),
            (Field::Source4, IpAddr::V4(address), ..) => Atom::Address4(address),
            (Field::Destination4, _, IpAddr::V4(address), _) => Atom::Address4(address),
            (Field::Source6, IpAddr::V6(address), ..) => Atom::Address6(address),
            (Field::Destination6, _, IpAddr::V6(address), _) => Atom::Address6(address),
            (Field::HopLimit6, IpAddr::V6(_), ..) => Atom::Octet(self.transit.hop_limit),
            (Field::SourcePort, .., Transport::Ports { source, .. }) => Atom::Port(source),
            (Field::DestinationPort, .., Transport::Ports { destination, .. }) => Atom::Port(destination),
            (Field::IcmpMessage, .., Transport::Icmp { kind, code, .. }) => {
                Atom::Port(u16::from_be_bytes([kind, code]))
            }
            (Field::IcmpType, .., Transport::Icmp { kind, .. }) => Atom::Octet(kind),
            (Field::IcmpCode, .., Transport::Icmp { code, .. }) => Atom::Octet(code),
            (Field::TcpFlags, .., Transport::Ports { protocol: TCP, .. }) => Atom::Octet(self.transit.tcp_flags),
            (
                Field::Source4
                | Field::Destination4
                | Field::Source6
                | Field::Destination6
                | Field::HopLimit6
                | Field::SourcePort
                | Field::DestinationPort
                | Field::IcmpMessage
                | Field::IcmpType
                | Field::IcmpCode
                | Field::TcpFlags,
                ..,
            ) => absent(),
        }
    }

    fn interface(&self, field: Field) -> &Interface {
        let interface = match field {
            Field::InterfaceIn => &self.transit.interface_in,
            Field::InterfaceOut => &self.transit.interface_out,
            other => panic!("{other:?} is no interface"),
        };
        interface.as_ref().unwrap_or_else(|| panic!("{field:?} is read at {:?}", self.transit.hook))
    }

    fn chain(&self, name: &Name) -> &Chain {
        self.pass(name);
        self.book.chain(name).unwrap_or_else(|| panic!("chain {name} does not stand"))
    }

    fn has(&self, name: &Name, key: &[Atom]) -> bool {
        self.book.has(name, key).unwrap_or_else(|| panic!("set {name} does not stand"))
    }

    /// A chain that carries out what a counter counted is called as that is.
    fn pass(&self, name: &Name) {
        let mut trail = self.trail.borrow_mut();
        if trail.last() != Some(name) {
            trail.push(name.clone());
        }
    }

    fn value(&self, name: &Name, key: &[Atom]) -> Option<Value> {
        self.book.value(name, key).unwrap_or_else(|| panic!("map {name} does not stand"))
    }

    fn id(&self, name: &Name, key: &[Atom]) -> Option<u64> {
        match self.value(name, key)? {
            Value::Id(id) => Some(id),
            Value::Counter(_) | Value::Verdict(_) => panic!("{name} is looked up for ids and holds none"),
        }
    }

    fn verdicts(&self, name: &Name) -> &Map {
        self.book.verdicts(name).unwrap_or_else(|| panic!("map {name} does not stand"))
    }
}

/// What a map holds for a key.
fn found<'a, V>(form: Form, elements: &'a BTreeMap<Element, V>, key: &[Atom]) -> Option<&'a V> {
    match form {
        Form::Hash => elements.get(&Element::exactly(key.iter().cloned())),
        Form::Interval => {
            let (range, value) = elements.range(..=last_from(key)).next_back()?;
            holds(range, key).then_some(value)
        }
    }
}

/// The greatest element that begins at a key: the only one that can hold it is this or the one before, as ranges do not overlap.
fn last_from(key: &[Atom]) -> Element {
    Element { low: key.iter().cloned().collect(), high: Some(Box::new(Atom::Id(u64::MAX))) }
}

fn holds(range: &Element, key: &[Atom]) -> bool {
    let key = Key::from_iter(key.iter().cloned());
    range.low <= key && key <= range.last()
}

fn has_state(states: ConntrackStates, state: ConntrackState) -> bool {
    match state {
        ConntrackState::New => states.new,
        ConntrackState::Established => states.established,
        ConntrackState::Related => states.related,
        ConntrackState::Invalid => states.invalid,
        ConntrackState::Untracked => states.untracked,
    }
}
