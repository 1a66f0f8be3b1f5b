//! A ruleset in nft's own words, for people and for snapshots.
//!
//! What stands inside of `table inet … { }`, in the order of names. One thing nft has no words for: the steps of a dispatch, written
//! `iifname map @ids vmap @chains`. Where a path is asked at a port, `place` stands for protocol, port and path:
//! `place (oifname map @ids) . ((place map @questions) . ip saddr map @who4) counter map @counters vmap @verdicts`.

use std::fmt;

use crate::packet::{ICMP6, protocol_name};
use crate::ruleset::{
    Asks, AtPort, Atom, BasePolicy, Chain, ConntrackStates, Counter, Datatype, Dispatch, Element, FAMILY_4, Field,
    Form, Hook, HookKind, HookPoint, Log, Map, MapElements, Match, Origin, Rule, Ruleset, Set, SourceNat, Then,
    Verdict,
};

impl fmt::Display for Ruleset {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, set) in &self.sets {
            write!(out, "set {name} {set}")?;
        }
        for (name, map) in &self.maps {
            write!(out, "map {name} {map}")?;
        }
        for name in &self.counters {
            writeln!(out, "counter {name} {{ }}")?;
        }
        for (name, chain) in &self.chains {
            write!(out, "chain {name} {chain}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Set {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{{\n\ttype {}", concatenated(self.key.iter().map(|part| datatype(*part))))?;
        flags(out, self.form)?;
        elements(out, self.elements.iter().map(element))
    }
}

impl fmt::Display for Map {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = concatenated(self.key.iter().map(|part| datatype(*part)));
        let value = match self.elements {
            MapElements::Ids(_) => "mark",
            MapElements::Verdicts(_) => "verdict",
            MapElements::Counters(_) => "counter",
            MapElements::Sockets4(_) => "ipv4_addr . inet_service",
            MapElements::Sockets6(_) => "ipv6_addr . inet_service",
            MapElements::Addresses4(_) => "ipv4_addr",
            MapElements::Addresses6(_) => "ipv6_addr",
        };
        writeln!(out, "{{\n\ttype {key} : {value}")?;
        flags(out, self.form)?;
        match &self.elements {
            MapElements::Ids(ids) => elements(out, ids.iter().map(|(key, id)| format!("{} : {id:#x}", element(key)))),
            MapElements::Verdicts(verdicts) => {
                elements(out, verdicts.iter().map(|(key, verdict)| format!("{} : {verdict}", element(key))))
            }
            MapElements::Sockets4(sockets) => {
                elements(out, sockets.iter().map(|(key, to)| led(key, to.ip(), to.port())))
            }
            MapElements::Sockets6(sockets) => {
                elements(out, sockets.iter().map(|(key, to)| led(key, to.ip(), to.port())))
            }
            MapElements::Addresses4(all) => {
                elements(out, all.iter().map(|(key, to)| format!("{} : {to}", element(key))))
            }
            MapElements::Addresses6(all) => {
                elements(out, all.iter().map(|(key, to)| format!("{} : {to}", element(key))))
            }
            MapElements::Counters(counters) => {
                elements(out, counters.iter().map(|(key, counter)| format!("{} : \"{counter}\"", element(key))))
            }
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{{")?;
        if let Some(hook) = &self.hook {
            writeln!(out, "\t{hook}")?;
        }
        for rule in &self.rules {
            writeln!(out, "\t{rule}")?;
        }
        writeln!(out, "}}")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = match self.point {
            HookPoint::Prerouting => "prerouting",
            HookPoint::Input => "input",
            HookPoint::Forward => "forward",
            HookPoint::Output => "output",
            HookPoint::Postrouting => "postrouting",
        };
        let policy = match self.policy {
            BasePolicy::Accept => "accept",
            BasePolicy::Drop => "drop",
        };
        let kind = match self.kind {
            HookKind::Filter => "filter",
            HookKind::Nat => "nat",
        };
        write!(out, "type {kind} hook {point} priority {}; policy {policy};", self.priority)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_icmp6 = self.matches.contains(&equals(Field::Protocol, Atom::Octet(ICMP6)));
        for condition in &self.matches {
            match condition.to_string().strip_prefix("icmp ") {
                Some(rest) if is_icmp6 => write!(out, "icmpv6 {rest} ")?,
                _ => write!(out, "{condition} ")?,
            }
        }
        match &self.counter {
            Some(Counter::Own) => write!(out, "counter ")?,
            Some(Counter::Named(name)) => write!(out, "counter name \"{name}\" ")?,
            None => {}
        }
        match &self.then {
            Then::Verdict(verdict) => write!(out, "{verdict}"),
            Then::Log(log) => write!(out, "{log}"),
            Then::Continue => out.write_str("continue"),
            Then::Notrack => out.write_str("notrack"),
            Then::Mark { bit, is_set: true } => write!(out, "meta mark set meta mark | {bit:#010x}"),
            Then::Mark { bit, is_set: false } => write!(out, "meta mark set meta mark & {:#010x}", !bit),
            Then::DestinationNat { fields, map, is_v6 } => {
                let family = if *is_v6 { "ip6" } else { "ip" };
                write!(out, "dnat {family} to {} map @{map}", looked_at(fields))
            }
            Then::Exchange { field, map } => {
                let (what, family) = match field {
                    Field::Source4 => ("snat", "ip"),
                    Field::Source6 => ("snat", "ip6"),
                    Field::Destination6 => ("dnat", "ip6"),
                    _ => ("dnat", "ip"),
                };
                write!(out, "{what} {family} to {} map @{map}", looked_at(&[*field]))
            }
            Then::SourceNat(SourceNat::Masquerade) => out.write_str("masquerade"),
            Then::SourceNat(SourceNat::To(address)) => write!(out, "snat to {address}"),
            Then::Lookup { fields, map } => write!(out, "{} vmap @{map}", looked_at(fields)),
            Then::Dispatch(dispatch) => write!(out, "{dispatch}"),
            Then::AtPort(at_port) => write!(out, "{at_port}"),
        }
    }
}

impl fmt::Display for Dispatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, and, counters, verdicts } = self;
        match and {
            Some((field, ids)) => write!(out, "({from}) . {} map @{ids} ", field_name(*field))?,
            None => write!(out, "{from} ")?,
        }
        if let Some(counters) = counters {
            write!(out, "counter map @{counters} ")?;
        }
        write!(out, "vmap @{verdicts}")
    }
}

impl fmt::Display for AtPort {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, asks, counters, verdicts } = self;
        write!(out, "place ({path}) . ")?;
        match asks {
            Some(Asks { questions, field, owners }) => {
                write!(out, "((place map @{questions}) . {} map @{owners})", field_name(*field))?;
            }
            None => write!(out, "{:#x}", AtPort::UNASKED)?,
        }
        write!(out, " counter map @{counters} vmap @{verdicts}")
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Constant(id) => write!(out, "{id:#x}"),
            Origin::Fields { fields, ids } => write!(out, "{} map @{ids}", looked_at(fields)),
        }
    }
}

/// `field == value`.
fn equals(field: Field, value: Atom) -> Match {
    Match::Range { field, low: value.clone(), high: value, negated: false }
}

impl fmt::Display for Match {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |negated: &bool| if *negated { "!= " } else { "" };
        match self {
            Match::Range { field, low, high, negated } if low == high => {
                write!(out, "{} {}{}", field_name(*field), sign(negated), value(*field, low))
            }
            Match::Range { field, low, high, negated } => {
                write!(out, "{} {}{low}-{high}", field_name(*field), sign(negated))
            }
            Match::InterfacePrefix { field, prefix, negated } => {
                write!(out, "{} {}\"{prefix}*\"", field_name(*field), sign(negated))
            }
            Match::Group { field, group, negated } => {
                let way = if *field == Field::InterfaceIn { "iifgroup" } else { "oifgroup" };
                write!(out, "{way} {}{group}", sign(negated))
            }
            Match::Member { fields, set, negated } => write!(out, "{} {}@{set}", looked_at(fields), sign(negated)),
            Match::Bits { field, mask, value, negated } => {
                let sign = if *negated { "!=" } else { "==" };
                write!(out, "{} & {mask:#04x} {sign} {value:#04x}", field_name(*field))
            }
            Match::Conntrack(states) => write!(out, "ct state {states}"),
            Match::Mark { bit, negated } => {
                write!(out, "meta mark & {bit:#010x} {} 0x0", if *negated { "==" } else { "!=" })
            }
            Match::ToHost { negated } => write!(out, "fib daddr type {}local", sign(negated)),
        }
    }
}

impl fmt::Display for ConntrackStates {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states = [
            (self.invalid, "invalid"),
            (self.established, "established"),
            (self.related, "related"),
            (self.new, "new"),
            (self.untracked, "untracked"),
        ];
        let named: Vec<_> = states.into_iter().filter_map(|(is_meant, name)| is_meant.then_some(name)).collect();
        out.write_str(&named.join(","))
    }
}

impl fmt::Display for Log {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, prefix, per_second } = self;
        let copied = Self::COPIED_OCTETS;
        write!(out, "limit rate {per_second}/second burst {per_second} packets ")?;
        write!(out, "log prefix \"{prefix}\" group {group} snaplen {copied}")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => out.write_str("accept"),
            Verdict::Drop => out.write_str("drop"),
            Verdict::Return => out.write_str("return"),
            Verdict::Jump(name) => write!(out, "jump {name}"),
            Verdict::Goto(name) => write!(out, "goto {name}"),
        }
    }
}

impl fmt::Display for Atom {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Atom::Interface(interface) => write!(out, "\"{interface}\""),
            Atom::Octet(octet) => write!(out, "{octet}"),
            Atom::Port(port) => write!(out, "{port}"),
            Atom::Address4(address) => write!(out, "{address}"),
            Atom::Address6(address) => write!(out, "{address}"),
            Atom::Id(id) => write!(out, "{id:#x}"),
        }
    }
}

/// An element as nft writes it: `10.0.0.1`, `80-90`, `"pop1" . 10.0.0.1`.
pub(crate) fn element(element: &Element) -> String {
    match &element.high {
        None => atoms(element.low.atoms()),
        Some(high) => format!("{}-{high}", atoms(element.low.atoms())),
    }
}

fn led(key: &Element, address: impl fmt::Display, port: u16) -> String {
    format!("{} : {address} . {port}", element(key))
}

fn flags(out: &mut fmt::Formatter<'_>, form: Form) -> fmt::Result {
    match form {
        Form::Hash => Ok(()),
        Form::Interval => writeln!(out, "\tflags interval"),
    }
}

fn elements(out: &mut fmt::Formatter<'_>, elements: impl Iterator<Item = String>) -> fmt::Result {
    let listed = elements.collect::<Vec<_>>().join(", ");
    if !listed.is_empty() {
        writeln!(out, "\telements = {{ {listed} }}")?;
    }
    writeln!(out, "}}")
}

/// A value in the words its field has for it.
fn value(field: Field, atom: &Atom) -> String {
    match (field, atom) {
        (Field::Family, atom) => if *atom == FAMILY_4 { "ipv4" } else { "ipv6" }.to_owned(),
        (Field::Protocol, Atom::Octet(number)) => match protocol_name(*number).as_str() {
            "icmp6" => "ipv6-icmp".to_owned(),
            name => name.trim_start_matches("proto/").to_owned(),
        },
        (_, atom) => atom.to_string(),
    }
}

fn looked_at(fields: &[Field]) -> String {
    concatenated(fields.iter().map(|field| field_name(*field)))
}

fn atoms(key: impl Iterator<Item = Atom>) -> String {
    key.map(|atom| atom.to_string()).collect::<Vec<_>>().join(" . ")
}

fn concatenated<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.collect::<Vec<_>>().join(" . ")
}

fn datatype(datatype: Datatype) -> &'static str {
    match datatype {
        Datatype::Interface => "ifname",
        Datatype::Octet => "inet_proto",
        Datatype::Port => "inet_service",
        Datatype::Address4 => "ipv4_addr",
        Datatype::Address6 => "ipv6_addr",
        Datatype::Id => "mark",
    }
}

fn field_name(field: Field) -> &'static str {
    match field {
        Field::InterfaceIn => "iifname",
        Field::InterfaceOut => "oifname",
        Field::Family => "meta nfproto",
        Field::Protocol => "meta l4proto",
        Field::Source4 => "ip saddr",
        Field::Destination4 => "ip daddr",
        Field::Source6 => "ip6 saddr",
        Field::Destination6 => "ip6 daddr",
        Field::HopLimit6 => "ip6 hoplimit",
        Field::SourcePort => "th sport",
        Field::DestinationPort => "th dport",
        Field::IcmpMessage => "@th,0,16",
        Field::IcmpType => "icmp type",
        Field::IcmpCode => "icmp code",
        Field::TcpFlags => "tcp flags",
    }
}
