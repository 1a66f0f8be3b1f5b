//! Which port of the host a port of a container is published at, where Docker leaves that to us: `-p 80`, `-P`, `-p 8000-8010:80`.
//!
//! In: what is wanted, and what the endpoint has. Out: one try after the other, for the head alone knows what others publish. What an endpoint has it
//! keeps. Ports on which a process of the host waits are passed over.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use poplin_policy::nat::Published;
use socket2::{Domain, Socket, Type};

use super::portmap::Wanted;

/// Where the kernel tells which ports it gives to those who ask for none (ip-sysctl): dockerd takes from the same.
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// What dockerd takes where that cannot be read: the dynamic ports of RFC 6335, section 6, but for the first.
const DYNAMIC: RangeInclusive<u16> = 49_153..=65_535;

/// Where one of the wanted ports is published now, and where it could be else.
pub(super) struct Choice<'a> {
    wanted: &'a Wanted,
    now: Published,
    /// Ports of the host yet to be tried.
    left: Box<dyn Iterator<Item = u16> + Send>,
}

impl<'a> Choice<'a> {
    /// The first to try for each, no two of which overlap.
    pub fn all(wanted: &'a [Wanted], held: &[Published], endpoint: &str) -> Result<Vec<Self>, String> {
        let any = local_ports();
        let mut choices: Vec<Self> = Vec::new();
        // Who has no choice comes first.
        let (only, more): (Vec<&Wanted>, Vec<&Wanted>) =
            wanted.iter().partition(|wanted| matches!(wanted.only(), Ok(Some(_))));
        for wanted in only {
            let now = wanted.only()?.ok_or("a port has no place")?;
            choices.push(Self { wanted, now, left: Box::new(std::iter::empty()) });
        }
        for wanted in more {
            let taken: Vec<Published> = choices.iter().map(|choice| choice.now.clone()).collect();
            choices.push(Self::first(wanted, held, ports(wanted, &any, endpoint), &taken)?);
        }
        Ok(choices)
    }

    /// What it has, or the first that is free.
    fn first(
        wanted: &'a Wanted,
        held: &[Published],
        mut left: Box<dyn Iterator<Item = u16> + Send>,
        taken: &[Published],
    ) -> Result<Self, String> {
        let is_fit = |port: &&Published| {
            let host_port = *port.host_ports().start();
            let is_asked_for = wanted.host_ports.as_ref().is_none_or(|ports| ports.contains(&host_port));
            is_asked_for
                && wanted.at(host_port).as_ref() == Ok(*port)
                && !taken.iter().any(|other| other.overlaps(port))
        };
        let now = match held.iter().find(is_fit) {
            Some(port) => port.clone(),
            None => next(wanted, &mut left, taken)?,
        };
        Ok(Self { wanted, now, left })
    }

    pub fn now(&self) -> &Published {
        &self.now
    }

    /// Goes on to the next, if there is any choice; `taken` are the ports of the same container.
    pub fn pass_over(&mut self, taken: &[Published]) -> Result<(), String> {
        self.now = next(self.wanted, &mut self.left, taken)?;
        Ok(())
    }

    pub fn is_free_to_move(&self) -> bool {
        !matches!(self.wanted.only(), Ok(Some(_)))
    }
}

fn next(wanted: &Wanted, left: &mut dyn Iterator<Item = u16>, taken: &[Published]) -> Result<Published, String> {
    for port in left {
        let published = wanted.at(port)?;
        if !taken.iter().any(|other| other.overlaps(&published)) && is_idle(wanted, port) {
            return Ok(published);
        }
    }
    let Wanted { port, protocol, host_ports, .. } = wanted;
    let among = host_ports.as_ref().map_or_else(String::new, |ports| format!(" of {}-{}", ports.start(), ports.end()));
    Err(format!(
        "port {port}/{protocol} cannot be published: no port of this host{among} is free; poplin ports lists what is taken"
    ))
}

/// All that may be tried, in order: of a range the first first, of any whichever the endpoint had before.
fn ports(wanted: &Wanted, any: &RangeInclusive<u16>, endpoint: &str) -> Box<dyn Iterator<Item = u16> + Send> {
    if let Some(ports) = &wanted.host_ports {
        return Box::new(ports.clone());
    }
    let mut hasher = DefaultHasher::new();
    (endpoint, wanted).hash(&mut hasher);
    let count = u64::from(any.end() - any.start()) + 1;
    let offset = u16::try_from(hasher.finish() % count).unwrap_or_default();
    Box::new((any.start() + offset..=*any.end()).chain(*any.start()..any.start() + offset))
}

fn local_ports() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string(LOCAL_PORTS).unwrap_or_default();
    let mut ports = text.split_whitespace().filter_map(|port| port.parse::<u16>().ok());
    match (ports.next(), ports.next()) {
        (Some(first), Some(last)) if 0 < first && first <= last => first..=last,
        _ => DYNAMIC,
    }
}

/// Whether no process of the host waits there. Of SCTP it is not known, for agents have no such sockets.
fn is_idle(wanted: &Wanted, port: u16) -> bool {
    let kind = match wanted.protocol {
        "tcp" => Type::STREAM,
        "udp" => Type::DGRAM,
        _ => return true,
    };
    let addresses = match wanted.address {
        Some(address) => vec![address],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    !addresses.into_iter().any(|address| is_in_use(address, port, kind))
}

/// Only a port in use says no: an address that is not there, or a family, is nobody's.
fn is_in_use(address: IpAddr, port: u16, kind: Type) -> bool {
    let address = SocketAddr::new(address, port);
    let Ok(socket) = Socket::new(Domain::for_address(address), kind, None) else { return false };
    if address.is_ipv6() && socket.set_only_v6(true).is_err() {
        return false;
    }
    socket.bind(&address.into()).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(port: u16, host_ports: Option<RangeInclusive<u16>>) -> Wanted {
        Wanted { port, protocol: "tcp", address: Some(Ipv4Addr::LOCALHOST.into()), host_ports }
    }

    fn told(choices: &[Choice<'_>]) -> Vec<String> {
        choices.iter().map(|choice| choice.now().to_string()).collect()
    }

    #[test]
    fn a_range_is_tried_from_its_beginning_but_for_what_waits_or_is_taken() {
        let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = busy.local_addr().unwrap().port();
        let range = wanted(80, Some(port..=port));
        let held = || ports(&range, &DYNAMIC, "e");
        assert!(Choice::first(&range, &[], held(), &[]).is_err_and(|error| error.contains("no port of this host")));

        drop(busy);
        assert!(Choice::first(&range, &[], held(), &[]).is_ok());
        let taken = [range.at(port).unwrap()];
        assert!(Choice::first(&range, &[], held(), &taken).is_err());
    }

    #[test]
    fn what_an_endpoint_has_it_keeps_and_two_never_share_one() {
        let all = [wanted(80, None), wanted(81, None), wanted(82, Some(50_000..=50_000))];
        let held = [all[0].at(40_123).unwrap(), all[1].at(50_000).unwrap()];

        let choices = Choice::all(&all, &held, "e").unwrap();

        let told = told(&choices);
        assert!(told.contains(&"127.0.0.1:40123:80/tcp".to_owned()), "{told:?}");
        assert!(told.contains(&"127.0.0.1:50000:82/tcp".to_owned()), "{told:?}");
        assert!(!told.contains(&"127.0.0.1:50000:81/tcp".to_owned()), "{told:?}");
    }

    #[test]
    fn every_local_port_is_tried_once_beginning_at_one_of_the_endpoints_own() {
        let any = 40_000..=40_099;
        let mut tried: Vec<u16> = ports(&wanted(80, None), &any, "e").collect();
        assert_eq!(tried, ports(&wanted(80, None), &any, "e").collect::<Vec<_>>(), "after a restart again");
        tried.sort_unstable();

        assert_eq!(tried, any.collect::<Vec<_>>());
    }
}
