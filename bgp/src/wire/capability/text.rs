//! Capabilities in words, also those we only know by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{AddPaths, Capability, Family, GracefulRestart, LongLived};

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Multiprotocol(family) => write!(f, "{family} unicast"),
            Self::RouteRefresh => f.write_str("route refresh"),
            Self::EnhancedRefresh => f.write_str("enhanced route refresh"),
            Self::Role(role) => write!(f, "role {role}"),
            Self::ExtendedNextHop(all) => write!(f, "extended next hop ({})", families(all)),
            Self::ExtendedMessages => f.write_str("extended messages"),
            Self::GracefulRestart(restart) => write!(f, "graceful restart ({})", words(restart)),
            Self::LongLived(long_lived) => write!(f, "long-lived graceful restart ({})", lasting(long_lived)),
            Self::AddPaths(all) => write!(f, "more than one path ({})", directions(all)),
            Self::FourOctetAsn(asn) => write!(f, "four-octet AS {asn}"),
            Self::Other { code, .. } => match name(*code) {
                Some(name) => write!(f, "{name} (code {code})"),
                None => write!(f, "code {code}"),
            },
        }
    }
}

/// `IPv4 over IPv6`; nothing we know of is said in another one's words.
fn families(all: &BTreeSet<Family>) -> String {
    match all.is_empty() {
        true => "none of ours".to_owned(),
        false => all.iter().map(|family| format!("{family} over IPv6")).collect::<Vec<_>>().join(", "),
    }
}

/// `IPv4 both, IPv6 receive`.
fn directions(all: &BTreeMap<Family, AddPaths>) -> String {
    let word = |mode: &AddPaths| match (mode.receive, mode.send) {
        (true, true) => "both",
        (true, false) => "receive",
        (false, true) => "send",
        (false, false) => "none",
    };
    all.iter().map(|(family, mode)| format!("{family} {}", word(mode))).collect::<Vec<_>>().join(", ")
}

/// `120 s, has restarted, notifications too, IPv4 kept, IPv6`: kept says that traffic was forwarded through the latest restart.
fn words(restart: &GracefulRestart) -> String {
    let time = std::iter::once(format!("{} s", restart.time_secs));
    let restarted = restart.is_restarting.then(|| "has restarted".to_owned());
    let gentle = restart.is_gentle.then(|| "notifications too".to_owned());
    let families = restart.families.iter().map(|(family, is_kept)| match is_kept {
        true => format!("{family} kept"),
        false => family.to_string(),
    });
    time.chain(restarted).chain(gentle).chain(families).collect::<Vec<_>>().join(", ")
}

/// `IPv4 3600 s kept, IPv6 600 s`: kept says the same.
fn lasting(long_lived: &LongLived) -> String {
    let words = long_lived.families.iter().map(|(family, lasting)| match lasting.is_forwarding {
        true => format!("{family} {} s kept", lasting.time_secs),
        false => format!("{family} {} s", lasting.time_secs),
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What IANA's registry of capability codes calls those that neighbours are seen to offer.
fn name(code: u8) -> Option<&'static str> {
    Some(match code {
        1 => "another address family",
        5 => "extended next hop of another form",
        6 => "extended messages of another form",
        9 => "role of another form",
        64 => "graceful restart of another form",
        69 => "more than one path, of another form",
        70 => "enhanced route refresh of another form",
        71 => "long-lived graceful restart of another form",
        73 => "host name",
        128 => "route refresh of old",
        _ => return None,
    })
}
