//! Walks a packet through somebody else's chains, as far as one can tell without knowing all of it.
//!
//! In: rules as `nft -j` gives them, and a packet that begins a flow, known by its interfaces and perhaps its port. Out: what becomes of it for
//! certain. A rule that asks more than that is passed by, but for one that accepts by addresses: there somebody has thought of us.

use std::collections::BTreeMap;

use serde_json::Value;

/// The packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    pub(super) from: &'a str,
    /// Empty = the host itself.
    pub(super) to: &'a str,
    /// Of TCP; absent = any protocol.
    pub(super) port: Option<u64>,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Passes,
    /// By the rule of this handle.
    DropsAt(u64),
}

/// Whether a rule means the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    Yes,
    No,
    /// It asks for addresses, which packets of ours may have or not.
    ByAddress,
    Unknown,
}

/// Chains deeper than this are a circle; the kernel allows 16 (linux/netfilter/nf_tables.h, `NFT_JUMP_STACK_SIZE`).
const DEEPEST: usize = 16;

/// Rules by chain, in their order.
pub(super) struct Chains<'a>(BTreeMap<&'a str, Vec<&'a Value>>);

impl<'a> Chains<'a> {
    /// Those of one table.
    pub(super) fn of(rules: &'a [Value], family: &str, table: &str) -> Self {
        let mut chains: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for rule in rules.iter().filter(|rule| rule["family"] == family && rule["table"] == table) {
            chains.entry(rule["chain"].as_str().unwrap_or_default()).or_default().push(rule);
        }
        Self(chains)
    }

    pub(super) fn has(&self, chain: &str) -> bool {
        self.0.contains_key(chain)
    }

    /// What the rules of a chain and of those it calls do; absent = the packet comes out at the end.
    pub(super) fn walk(&self, chain: &str, packet: Packet<'_>) -> Option<Fate> {
        self.walk_from(chain, packet, 0)
    }

    fn walk_from(&self, chain: &str, packet: Packet<'_>, depth: usize) -> Option<Fate> {
        if depth > DEEPEST {
            return None;
        }
        for rule in self.0.get(chain).into_iter().flatten() {
            let statements: Vec<(&str, &Value)> = statements(rule).collect();
            let meant = statements.iter().map(|(name, statement)| meant(name, statement, packet)).fold(Meant::Yes, and);
            let verdict = statements.iter().find_map(|(name, statement)| verdict(name, statement));
            match (meant, verdict) {
                (Meant::Yes | Meant::ByAddress, Some(Verdict::Accept)) => return Some(Fate::Passes),
                (Meant::Yes, Some(Verdict::Drop)) => return Some(Fate::DropsAt(rule["handle"].as_u64().unwrap_or(0))),
                (Meant::Yes, Some(Verdict::Return)) => return None,
                (Meant::Yes, Some(Verdict::Goto(target))) => return self.walk_from(target, packet, depth + 1),
                (Meant::Yes, Some(Verdict::Jump(target))) => match self.walk_from(target, packet, depth + 1) {
                    Some(fate) => return Some(fate),
                    None => continue,
                },
                (Meant::Yes | Meant::No | Meant::ByAddress | Meant::Unknown, _) => {}
            }
        }
        None
    }
}

enum Verdict<'a> {
    Accept,
    Drop,
    Return,
    Jump(&'a str),
    Goto(&'a str),
}

/// A statement is an object with one key.
fn statements(rule: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let all = rule["expr"].as_array().into_iter().flatten();
    all.filter_map(|statement| statement.as_object()?.iter().next().map(|(name, value)| (name.as_str(), value)))
}

fn verdict<'a>(name: &str, statement: &'a Value) -> Option<Verdict<'a>> {
    match name {
        "accept" => Some(Verdict::Accept),
        "drop" | "reject" => Some(Verdict::Drop),
        "return" => Some(Verdict::Return),
        "jump" => Some(Verdict::Jump(statement["target"].as_str()?)),
        "goto" => Some(Verdict::Goto(statement["target"].as_str()?)),
        _ => None,
    }
}

fn meant(name: &str, statement: &Value, packet: Packet<'_>) -> Meant {
    match name {
        "match" => matched(statement, packet),
        "counter" | "log" | "comment" | "accept" | "drop" | "reject" | "return" | "jump" | "goto" => Meant::Yes,
        _ => Meant::Unknown,
    }
}

fn matched(statement: &Value, packet: Packet<'_>) -> Meant {
    let (left, right) = (&statement["left"], &statement["right"]);
    // A set that has a name is not in the rule: what accepts by it may be meant for us.
    if any(right, &|one| one.as_str().is_some_and(|name| name.starts_with('@'))) {
        return Meant::ByAddress;
    }
    let is_so = match (left["meta"]["key"].as_str(), left["payload"]["field"].as_str(), left["ct"]["key"].as_str()) {
        (Some("iifname" | "iif"), ..) => any(right, &|one| is_named(one, packet.from)),
        (Some("oifname" | "oif"), ..) => any(right, &|one| is_named(one, packet.to)),
        (Some("l4proto"), ..) if packet.port.is_some() => any(right, &|one| *one == "tcp" || *one == 6),
        (_, Some("protocol"), _) if packet.port.is_some() => any(right, &|one| *one == "tcp" || *one == 6),
        (_, Some("dport"), _) => match packet.port {
            Some(_) if left["payload"]["protocol"] == "udp" => false,
            Some(port) => any(right, &|one| one.as_u64() == Some(port) || is_within(one, port)),
            None => return Meant::Unknown,
        },
        (_, Some("saddr" | "daddr"), _) => return Meant::ByAddress,
        (_, _, Some("state")) => any(right, &|one| *one == "new"),
        _ => return Meant::Unknown,
    };
    match is_so == (statement["op"] != "!=") {
        true => Meant::Yes,
        false => Meant::No,
    }
}

/// Whether one of a set, or the only one, is it.
fn any(right: &Value, is_it: &dyn Fn(&Value) -> bool) -> bool {
    match right["set"].as_array().or(right.as_array()) {
        Some(all) => all.iter().any(is_it),
        None => is_it(right),
    }
}

fn is_named(pattern: &Value, name: &str) -> bool {
    match pattern.as_str() {
        Some(pattern) => pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start)),
        None => false,
    }
}

fn is_within(range: &Value, port: u64) -> bool {
    let end = |place: usize| range["range"][place].as_u64();
    end(0).zip(end(1)).is_some_and(|(first, last)| (first..=last).contains(&port))
}

/// One that does not mean it settles it; one that cannot be told leaves it open.
fn and(one: Meant, other: Meant) -> Meant {
    match (one, other) {
        (Meant::No, _) | (_, Meant::No) => Meant::No,
        (Meant::Unknown, _) | (_, Meant::Unknown) => Meant::Unknown,
        (Meant::ByAddress, _) | (_, Meant::ByAddress) => Meant::ByAddress,
        (Meant::Yes, Meant::Yes) => Meant::Yes,
    }
}
