//! Whom to ask for names that are not the fabric's: those who were named, else the host's own resolvers (resolv.conf(5)), read again when they change.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Where the host's resolvers stand.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// How often that is looked at, at most.
const PATIENCE: Duration = Duration::from_secs(1);

/// As many as resolv.conf(5) counts.
const MOST: usize = 3;

/// The port of names.
pub(super) const PORT: u16 = 53;

/// Whom to ask.
#[derive(Debug)]
pub struct Upstreams {
    named: Vec<SocketAddr>,
    path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    resolvers: Vec<SocketAddr>,
    /// Our own addresses, those of a link with its index: who asks there asks us.
    own: BTreeSet<(IpAddr, u32)>,
    told: Option<String>,
}

impl Upstreams {
    /// These, or those of the host if there are none.
    pub fn new(named: Vec<SocketAddr>) -> Self {
        Self { named, path: RESOLV_CONF.into(), seen: Mutex::default() }
    }

    pub(super) fn know_own(&self, own: BTreeSet<(IpAddr, u32)>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).own = own;
    }

    /// All of them, the first first. Ourselves we do not ask: that would never end.
    pub(super) fn now(&self, now: Instant) -> Vec<SocketAddr> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.named.is_empty() && seen.at.is_none_or(|at| now.saturating_duration_since(at) >= PATIENCE) {
            seen.at = Some(now);
            match std::fs::read_to_string(&self.path) {
                Ok(text) => seen.resolvers = resolvers(&text),
                Err(error) if error.kind() == ErrorKind::NotFound => seen.resolvers.clear(),
                Err(_) => {} // it is being written, perhaps
            }
        }
        let Seen { resolvers, own, told, .. } = &mut *seen;
        let all = if self.named.is_empty() { &*resolvers } else { &self.named };
        let others: Vec<SocketAddr> = all.iter().filter(|one| !is_own(one, own)).copied().collect();
        let complaint = match (all.is_empty(), others.len() == all.len()) {
            (true, _) => {
                Some(format!("{} names no resolver: names outside of the fabric are not found", self.path.display()))
            }
            (false, false) => Some("a resolver of this host is its own agent, and is not asked".to_owned()),
            (false, true) => None,
        };
        if complaint != *told {
            complaint.iter().for_each(|complaint| tracing::warn!("{complaint}; see --dns-upstream"));
            *told = complaint;
        }
        others
    }
}

fn is_own(one: &SocketAddr, own: &BTreeSet<(IpAddr, u32)>) -> bool {
    let link = match one {
        SocketAddr::V4(_) => 0,
        SocketAddr::V6(address) => address.scope_id(),
    };
    one.port() == PORT && own.contains(&(one.ip(), link))
}

/// The resolvers a file in the form of resolv.conf(5) names.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|word| *word == "nameserver")?;
        parse(words.next()?)
    });
    named.take(MOST).collect()
}

/// An address, of a link perhaps: fe80::1%eth0.
fn parse(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(address, PORT));
    }
    let (address, interface) = text.split_once('%')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let index = std::fs::read_to_string(format!("/sys/class/net/{interface}/ifindex")).ok()?;
    Some(SocketAddrV6::new(address, PORT, 0, index.trim().parse().ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_as_the_host_reads_them() {
        let text = "# by hand\nsearch lab\nnameserver 192.0.2.53\nnameserver\t2001:db8::53 # ours\nnameserver x\noptions edns0\n";

        let all: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();

        assert_eq!(all, ["192.0.2.53:53", "[2001:db8::53]:53"]);
    }

    #[test]
    fn a_changed_file_is_followed_and_we_never_ask_ourselves() {
        let path = std::env::temp_dir().join(format!("poplin-resolv-{}", std::process::id()));
        let upstreams = Upstreams { path: path.clone(), ..Upstreams::new(Vec::new()) };
        upstreams.know_own([("169.254.1.1".parse().unwrap(), 0), ("fe80::1".parse().unwrap(), 1)].into());
        let now = Instant::now();
        let at = |now| upstreams.now(now).iter().map(ToString::to_string).collect::<Vec<_>>();

        assert!(at(now).is_empty());
        std::fs::write(&path, "nameserver 169.254.1.1\nnameserver 192.0.2.53\n").unwrap();

        assert_eq!(at(now + PATIENCE), ["192.0.2.53:53"]);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_router_of_another_link_with_our_address_is_not_ourselves() {
        let own = BTreeSet::from([("fe80::1".parse().unwrap(), 7)]);
        let at = |link| SocketAddrV6::new("fe80::1".parse().unwrap(), PORT, 0, link).into();

        assert!(is_own(&at(7), &own) && !is_own(&at(3), &own));
    }

    #[test]
    fn who_is_named_goes_before_the_hosts_own() {
        let named = "192.0.2.1:5353".parse().unwrap();

        assert_eq!(Upstreams::new(vec![named]).now(Instant::now()), [named]);
    }
}
