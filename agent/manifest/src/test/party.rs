//! Understands the end of a case.
//!
//! A word is tried in this order: `outside`, `anybody`, an address or prefix, a selector, an endpoint's name, a host endpoint's. Names and
//! selectors cannot be confused: a selector has an operator or a call in it.

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_policy::check::Party;
use poplin_policy::host::HostEndpoint;
use poplin_policy::model::{Peers, QualifiedName, Scope, Selection};
use poplin_policy::selector::Selector;
use poplin_policy::world::World;
use poplin_proto::nearest;

use super::written::{Parts, WrittenParty};
use crate::field::{Invalid, net, selector};

/// Who is meant. Selectors look in `home`, or everywhere if that is empty.
pub(super) fn party(field: &str, written: &WrittenParty, home: &str, world: &World) -> Result<Party, Invalid> {
    match written {
        WrittenParty::Word(word) => of_word(field, word, home, world),
        WrittenParty::Parts(parts) => of_parts(field, parts, home, world),
    }
}

fn of_word(field: &str, word: &str, home: &str, world: &World) -> Result<Party, Invalid> {
    let of = |peers: Peers| Ok(Party::of(word, peers));
    let nets = |nets: Vec<IpNet>| of(Peers { nets, ..Peers::default() });
    match word {
        "outside" => return of(Peers { outside: true, ..Peers::default() }),
        "anybody" => return of(Peers::default()),
        _ => {}
    }
    if let Ok(address) = word.parse::<IpAddr>() {
        return nets(vec![address.into()]);
    }
    if let Ok(net) = word.parse::<IpNet>() {
        return nets(vec![net.trunc()]);
    }
    match word.contains([' ', '(', '=', '!', '\t', '&', '|']) {
        true => of(Peers { select: Some(selected(field, word, scope_of(home))?), ..Peers::default() }),
        false => {
            let (peers, host_endpoint) = named(field, word, world)?;
            Ok(Party { host_endpoint, ..Party::of(word, peers) })
        }
    }
}

fn of_parts(field: &str, parts: &Parts, home: &str, world: &World) -> Result<Party, Invalid> {
    let at = |name: &str| format!("{field}.{name}");
    let mut peers = Peers { outside: parts.outside, ..Peers::default() };
    for (index, text) in parts.nets.iter().enumerate() {
        peers.nets.push(net(&format!("{field}.nets[{index}]"), text)?);
    }
    let mut host_endpoint = None;
    if !parts.endpoint.is_empty() {
        let meant;
        (meant, host_endpoint) = named(&at("endpoint"), &parts.endpoint, world)?;
        peers.nets.extend(meant.nets);
        peers.outside |= meant.outside;
    }
    peers.sets = parts.sets.iter().map(|name| QualifiedName::from(name.as_str())).collect();
    let scope = match (parts.namespace.as_str(), parts.namespaces.as_str()) {
        ("", "") => scope_of(home),
        (namespace, "") => Scope::Namespace(namespace.to_owned()),
        (_, text) => Scope::Namespaces(selector(&at("namespaces"), text)?),
    };
    let is_scoped = !(parts.namespace.is_empty() && parts.namespaces.is_empty());
    if !parts.select.is_empty() || is_scoped {
        peers.select = Some(selected(&at("select"), &parts.select, scope)?);
    }
    let mut party = Party { host_endpoint, ..Party::of(told(parts), peers) };
    for (index, except) in parts.except.iter().enumerate() {
        party.except.extend(self::party(&format!("{field}.except[{index}]"), except, home, world)?.any);
    }
    Ok(party)
}

fn scope_of(home: &str) -> Scope {
    if home.is_empty() { Scope::Anywhere } else { Scope::Namespace(home.to_owned()) }
}

fn selected(field: &str, text: &str, scope: Scope) -> Result<Selection, Invalid> {
    let labels = if text.is_empty() { Selector::all() } else { selector(field, text)? };
    Ok(Selection { labels, scope })
}

/// The addresses of an endpoint, or of a host endpoint, and then its name. A host endpoint that is declared without addresses may have any that is
/// no endpoint's.
fn named(field: &str, name: &str, world: &World) -> Result<(Peers, Option<String>), Invalid> {
    if let Some(endpoint) = world.endpoints.get(name) {
        let nets = endpoint.addresses.iter().map(|address| IpNet::from(*address)).collect();
        return Ok((Peers { nets, ..Peers::default() }, None));
    }
    if world.host_endpoints.contains_key(name) {
        let nets = world.sets.get(&HostEndpoint::other_end(name)).map(|set| set.nets.clone()).unwrap_or_default();
        let outside = nets.is_empty();
        return Ok((Peers { nets, outside, ..Peers::default() }, Some(name.to_owned())));
    }
    let invalid = Invalid::new(field, "UNKNOWN_ENDPOINT", format!("there is no endpoint {name:?}"));
    let known = world.endpoints.keys().chain(world.host_endpoints.keys());
    Err(match nearest(name, known.map(String::as_str)) {
        Some(near) => invalid.advice(format!("did you mean {near}?")),
        None => {
            let kinds =
                "endpoints, host endpoints, selectors such as app == 'web', addresses, prefixes, outside, anybody";
            invalid.advice(format!("ends are {kinds}"))
        }
    })
}

/// The parts in one line.
fn told(parts: &Parts) -> String {
    let named = [("namespace ", &parts.namespace), ("namespaces ", &parts.namespaces)];
    let mut words: Vec<String> =
        [&parts.endpoint, &parts.select].into_iter().filter(|text| !text.is_empty()).cloned().collect();
    words.extend(named.iter().filter(|(_, text)| !text.is_empty()).map(|(word, text)| format!("{word}{text}")));
    words.extend(parts.nets.iter().chain(parts.sets.iter()).cloned());
    words.extend(parts.outside.then(|| "outside".to_owned()));
    if words.is_empty() { "anybody".to_owned() } else { words.join(" of ") }
}
