//! Whole fabrics, ready to use: hosts under a ToR, and hosts that peer with one another.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Agent, Container, Lab, Session, Tor};

/// Ranges of both families for containers.
const POOLS: &str = "
apiVersion: poplin.dev/v1
kind: Pool
metadata: {name: containers}
spec: {cidr: 10.77.0.0/16}
---
apiVersion: poplin.dev/v1
kind: Pool
metadata: {name: containers-v6}
spec: {cidr: 'fd77::/48'}
";

/// Hosts with their agents and what stands between them. Ended in this order: agents, ToR, files.
#[derive(Debug)]
pub struct Fabric {
    /// The agents, h1 first.
    pub hosts: Vec<Agent>,
    /// The switch in the middle.
    pub tor: Tor,
    /// Where all of it lives.
    pub lab: Lab,
}

impl Fabric {
    /// So many hosts, each with an AS of its own and one eBGP session, to the ToR.
    pub fn under_a_tor(count: u8) -> Self {
        let mut fabric =
            Self::start(count, |tor, lab, number| tor.host(lab, number).with(&["--asn", &asn_text(number)]));
        let mut objects = format!(
            "{POOLS}---\napiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {{name: default}}\nspec: {{mesh: false}}\n"
        );
        for number in 1..=count {
            let _ = write!(
                objects,
                "---\napiVersion: poplin.dev/v1\nkind: Peer\nmetadata: {{name: tor-h{number}}}\n\
                 spec: {{address: 172.31.{number}.1, asn: 65000, hosts: \"host == 'h{number}'\"}}\n"
            );
        }
        fabric.hosts[0].apply(&objects);
        let sessions: Vec<Session> = (1..=count).map(|host| Session { host, asn: asn_of(host) }).collect();
        fabric.tor.start_bird(&sessions);
        fabric.until_established(1);
        fabric
    }

    /// So many hosts on one segment, each with an iBGP session to every other.
    pub fn meshed(count: u8) -> Self {
        let fabric = Self::start(count, |tor, lab, number| tor.host_on_segment(lab, number));
        fabric.hosts[0].apply(POOLS);
        fabric.until_established(usize::from(count) - 1);
        fabric
    }

    fn start(count: u8, host: impl Fn(&Tor, &Lab, u8) -> Agent) -> Self {
        let lab = Lab::new();
        let mut tor = lab.tor();
        tor.start_etcd();
        let mut hosts: Vec<Agent> = (1..=count).map(|number| host(&tor, &lab, number)).collect();
        hosts.iter_mut().for_each(Agent::launch);
        hosts.iter_mut().for_each(Agent::until_ready);
        Self { hosts, tor, lab }
    }

    /// Waits until each host has so many sessions, and all of them are established.
    pub fn until_established(&self, count: usize) {
        self.hosts.iter().for_each(|host| host.until_established(count));
    }

    /// A machine beside the ToR, at these addresses that end in 2; the ToR is at 1, and leads it to these destinations. It is no container,
    /// but looks like one.
    pub fn machine(&self, name: &str, addresses: [IpAddr; 2], destinations: [&str; 2]) -> Container {
        let machine = self.lab.container(name);
        let ([four, six], near) = (addresses, addresses.map(first));
        let (near4, near6) = (format!("{}/24", near[0]), format!("{}/64", near[1]));
        let (inside, far) = (machine.namespace(), [format!("{four}/24"), format!("{six}/64")]);
        self.tor.namespace().join(name, &[&near4, &near6], inside, "eth0", &[&far[0], &far[1]]);
        inside.run("ip", &["route", "add", destinations[0], "via", &near[0]]);
        inside.run("ip", &["-6", "route", "add", destinations[1], "via", &near[1]]);
        machine
    }

    /// A container attached to a host, counted from 1, as a runtime does it.
    pub fn container(&self, host: usize, name: &str) -> Container {
        let mut container = self.lab.container(name);
        self.hosts[host - 1].cni_add(&mut container, &serde_json::json!({"app": name}));
        container
    }
}

/// An address of each family.
pub const fn both(four: [u8; 4], six: [u16; 8]) -> [IpAddr; 2] {
    let ([a, b, c, d], [s, t, u, v, w, x, y, z]) = (four, six);
    [IpAddr::V4(Ipv4Addr::new(a, b, c, d)), IpAddr::V6(Ipv6Addr::new(s, t, u, v, w, x, y, z))]
}

/// The neighbour of an address that ends in 2.
fn first(address: IpAddr) -> String {
    let text = address.to_string();
    format!("{}1", text.strip_suffix('2').expect("machines end in 2"))
}

/// The AS of host *n* under a ToR.
pub fn asn_of(host: u8) -> u32 {
    64600 + u32::from(host)
}

fn asn_text(host: u8) -> String {
    asn_of(host).to_string()
}
