//! What comes to a published port of this host goes on to the container that publishes it.
//!
//! In: what endpoints of this host publish. Out: three base chains and their maps; where nothing is published there are none. One port more is
//! an element more. The client's address stays, but where no answer would come back: the host speaks to itself by its loopback address, and
//! a container to itself by its host's port. There is little on one host, so each change looks at all of it.
//!
//! ```text
//! published-in (prerouting) ──┬─ to an address of this host ── published ── address . protocol . port, or protocol . port ── dnat
//! published-out (output) ─────┘
//! published-back (postrouting) ── from loopback to a container, or from a container to itself ── masquerade
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use super::Compiler;
use super::condition::{equals, look_up, member, when, within};
use super::family::address_atom;
use super::outgoing::{Border, SOURCE_NAT};
use super::part::Part;
use crate::host::Settings;
use crate::model::{Direction, IpVersion};
use crate::nat::{LOOPBACK_4, Publication, Published};
use crate::ruleset::{
    Atom, BasePolicy, Chain, Element, Field, Form, Hook, HookKind, HookPoint, Map, MapElements, Match, Name, Rule, Set,
    SourceNat, Then, Verdict,
};

/// Priority of destination translation, `dstnat` (linux/netfilter_ipv4.h, `NF_IP_PRI_NAT_DST`).
pub(super) const DESTINATION_NAT: i32 = -100;

/// A publication and where it leads, for one family.
type Way<'p> = (&'p Published, IpAddr);

impl Compiler {
    /// An endpoint of this host publishes this, or nothing any more.
    pub fn set_published(&mut self, name: &str, publication: Option<Publication>) {
        let publication = publication.filter(|publication| !publication.ports.is_empty());
        let Border { edge, published, .. } = &mut self.border;
        if edge.published.get(name) == publication.as_ref() {
            return;
        }
        match publication {
            Some(publication) => drop(edge.published.insert(name.to_owned(), publication)),
            None => drop(edge.published.remove(name)),
        }
        published.put(part(&edge.published, &self.settings), &mut self.edited);
        self.set_base_chains();
    }

    /// Whether something is published for clients of a family.
    pub(super) fn publishes(&self, family: IpVersion) -> bool {
        !ways(&self.border.edge.published, family).is_empty()
    }
}

/// A packet of a container to itself, which only translation brings to its host, and nobody is asked about.
pub(super) fn to_itself(family: IpVersion) -> Vec<Match> {
    vec![family.is_it(), member(vec![source(family), destination(family)], itself_name(family), false)]
}

fn part(published: &BTreeMap<String, Publication>, settings: &Settings) -> Part {
    let mut part = Part::default();
    let (mut leading, mut back) = (Vec::new(), Vec::new());
    for family in IpVersion::BOTH {
        let ways = ways(published, family);
        if !ways.is_empty() {
            leading.extend(rules(family, &ways, &mut part));
            back.extend(from_loopback(family, settings));
            back.push(masquerade(to_itself(family)));
            part.sets.insert(itself_name(family), itself(&ways, family));
        }
    }
    if !leading.is_empty() {
        let elsewhere = when(vec![Match::ToHost { negated: true }], Verdict::Accept);
        let to_published = || vec![elsewhere.clone(), when(Vec::new(), Verdict::Jump(Name::new("published")))];
        let from_others = [vec![to_loopback()], to_published()].concat();
        part.chains.insert(Name::new("published"), Chain { hook: None, rules: leading });
        part.chains.insert(Name::new("published-in"), base(HookPoint::Prerouting, DESTINATION_NAT, from_others));
        part.chains.insert(Name::new("published-out"), base(HookPoint::Output, DESTINATION_NAT, to_published()));
        part.chains.insert(Name::new("published-back"), base(HookPoint::Postrouting, SOURCE_NAT, back));
    }
    part
}

/// Of two that overlap, which are refused before they come here, the first by its endpoint's name counts.
fn ways(published: &BTreeMap<String, Publication>, family: IpVersion) -> Vec<Way<'_>> {
    let is_of_family = |address: &&IpAddr| IpVersion::of(**address) == family;
    let of_one = |publication: &'_ Publication| publication.addresses.iter().find(is_of_family).copied();
    let all = published.values().filter_map(|publication| Some((publication, of_one(publication)?)));
    let each = all.flat_map(|(publication, container)| publication.ports.iter().map(move |port| (port, container)));
    each.filter(|(port, _)| port.concerns(family == IpVersion::V6)).collect()
}

/// The look-ups of one family: what is published at one address goes before what is published at all of them.
fn rules(family: IpVersion, ways: &[Way<'_>], part: &mut Part) -> Vec<Rule> {
    let mut rules = Vec::new();
    let (at_one, at_all): (Vec<Way<'_>>, Vec<Way<'_>>) =
        ways.iter().partition(|(port, _)| port.host_address().is_some());
    for (kind, ways) in [("published-at", at_one), ("published", at_all)] {
        if ways.is_empty() {
            continue;
        }
        if kind == "published" {
            rules.push(not_all_of_loopback(family));
        }
        let name = Name::new(format!("{kind}{}", family.digit()));
        let address = ways[0].0.host_address().map(|_| destination(family));
        let fields: Vec<Field> = address.into_iter().chain([Field::Protocol, Field::DestinationPort]).collect();
        let key = fields.iter().map(|field| field.datatype()).collect();
        part.maps.insert(name.clone(), Map { key, form: Form::Hash, elements: sockets(&ways, family) });
        let then = Then::DestinationNat { fields, map: name, is_v6: family == IpVersion::V6 };
        rules.push(look_up(vec![family.is_it()], then));
    }
    rules
}

/// Of loopback addresses, who names none means 127.0.0.1 alone: others, such as a resolver at 127.0.0.53, stay what they are. And packets of
/// ::1 cannot leave the host.
fn not_all_of_loopback(family: IpVersion) -> Rule {
    let others = match family {
        IpVersion::V4 => {
            let after = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + 1);
            within(Field::Destination4, Atom::Address4(after), Atom::Address4(LOOPBACK_4.1))
        }
        IpVersion::V6 => equals(Field::Destination6, Atom::Address6(Ipv6Addr::LOCALHOST)),
    };
    when(vec![family.is_it(), others], Verdict::Return)
}

fn sockets(ways: &[Way<'_>], family: IpVersion) -> MapElements {
    let each = ways.iter().rev(); // the first is put in last
    let each = each.flat_map(|(port, to)| port.pairs().map(|(from, into)| (key(port, from), (*to, into))));
    let each: BTreeMap<Element, (IpAddr, u16)> = each.collect();
    match family {
        IpVersion::V4 => MapElements::Sockets4(each.into_iter().filter_map(socket4).collect()),
        IpVersion::V6 => MapElements::Sockets6(each.into_iter().filter_map(socket6).collect()),
    }
}

fn key(port: &Published, number: u16) -> Element {
    let address = port.host_address().map(address_atom);
    let rest = [Atom::Octet(port.protocol().number()), Atom::Port(number)];
    Element::exactly(address.into_iter().chain(rest))
}

fn socket4((key, (address, port)): (Element, (IpAddr, u16))) -> Option<(Element, SocketAddrV4)> {
    match address {
        IpAddr::V4(address) => Some((key, SocketAddrV4::new(address, port))),
        IpAddr::V6(_) => None,
    }
}

fn socket6((key, (address, port)): (Element, (IpAddr, u16))) -> Option<(Element, SocketAddrV6)> {
    match address {
        IpAddr::V6(address) => Some((key, SocketAddrV6::new(address, port, 0, 0))),
        IpAddr::V4(_) => None,
    }
}

/// What comes for loopback from another machine is none of ours: the kernel drops it after this.
fn to_loopback() -> Rule {
    let loopback = within(Field::Destination4, Atom::Address4(LOOPBACK_4.0), Atom::Address4(LOOPBACK_4.1));
    when(vec![IpVersion::V4.is_it(), loopback], Verdict::Accept)
}

/// What the host sends from its loopback address leaves under another, so that an answer can come.
fn from_loopback(family: IpVersion, settings: &Settings) -> Option<Rule> {
    let source = within(Field::Source4, Atom::Address4(LOOPBACK_4.0), Atom::Address4(LOOPBACK_4.1));
    let prefix = settings.interface_prefix.clone();
    let to_ours = Match::InterfacePrefix { field: Field::InterfaceOut, prefix, negated: false };
    (family == IpVersion::V4).then(|| masquerade(vec![family.is_it(), source, to_ours]))
}

fn masquerade(matches: Vec<Match>) -> Rule {
    look_up(matches, Then::SourceNat(SourceNat::Masquerade))
}

fn itself(ways: &[Way<'_>], family: IpVersion) -> Set {
    let pair = |(_, address): &Way<'_>| Element::exactly([address_atom(*address), address_atom(*address)]);
    let elements: BTreeSet<Element> = ways.iter().map(pair).collect();
    Set { key: vec![family.datatype(); 2], form: Form::Hash, elements }
}

fn itself_name(family: IpVersion) -> Name {
    Name::new(format!("itself{}", family.digit()))
}

pub(super) fn source(family: IpVersion) -> Field {
    family.peer_field(Direction::Ingress)
}

pub(super) fn destination(family: IpVersion) -> Field {
    family.peer_field(Direction::Egress)
}

pub(super) fn base(point: HookPoint, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain { hook: Some(Hook { kind: HookKind::Nat, point, priority, policy: BasePolicy::Accept }), rules }
}
