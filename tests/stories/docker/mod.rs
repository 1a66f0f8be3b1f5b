//! Stories of real dockerds, one on each of two hosts under a ToR.

mod again_and_again;
mod between_hosts;
mod compose;
mod encapsulation;
mod gateway_bridge;
mod hard_days;
mod isolation;
mod macvlan;
mod names;
mod options;
mod published;
mod readiness;
mod restarts;
mod several_networks;
mod swarm;
mod traps;

use poplin_lab::{Agent, Docker, Lab, Session, Tor};

/// Two hosts under a ToR, each with a dockerd.
pub(crate) struct Dockers {
    pub(crate) docker: [Docker; 2],
    pub(crate) hosts: [Agent; 2],
    tor: Tor,
    pub(crate) lab: Lab,
}

/// What is declared of the fabric.
const FABRIC: &str = "
{apiVersion: poplin.dev/v1, kind: Pool, metadata: {name: containers}, spec: {cidr: 10.77.0.0/16}}
---
{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {name: default}, spec: {mesh: false}}
---
{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: tor-h1}, spec: {address: 172.31.1.1, asn: 65000, hosts: \"host == 'h1'\"}}
---
{apiVersion: poplin.dev/v1, kind: Peer, metadata: {name: tor-h2}, spec: {address: 172.31.2.1, asn: 65000, hosts: \"host == 'h2'\"}}
";

impl Dockers {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], false)
    }

    /// With more arguments for dockerd, and perhaps started before the agents are.
    fn start_with(more: &[&str], is_dockerd_first: bool) -> Self {
        let lab = Lab::new();
        let mut tor = lab.tor();
        tor.start_etcd();
        let [(first, one), (second, two)] = [1, 2].map(|number| {
            let host = tor.host(&lab, number).with(&["--asn", &poplin_lab::asn_of(number).to_string()]);
            let docker = Docker::new(&lab, &host).with(more);
            let arguments = docker.arguments();
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            (docker, host.with(&arguments))
        });
        let mut dockers = Self { docker: [first, second], hosts: [one, two], tor, lab };
        if is_dockerd_first {
            dockers.docker.iter_mut().for_each(Docker::start);
        }
        dockers.hosts.iter_mut().for_each(Agent::start);
        dockers.hosts[0].apply(FABRIC);
        dockers.tor.start_bird(&[1, 2].map(|host| Session { host, asn: poplin_lab::asn_of(host) }));
        dockers.hosts.iter().for_each(|host| host.until_established(1));
        if !is_dockerd_first {
            dockers.docker.iter_mut().for_each(Docker::start);
        }
        dockers
    }
}

impl Drop for Dockers {
    /// Each story ends so: its containers go, and nothing is left of them.
    fn drop(&mut self) {
        let hosts = self.hosts.iter().filter(|host| !std::thread::panicking() && host.is_alive());
        let hosts: Vec<&Agent> = hosts.collect();
        if !hosts.is_empty() {
            self.docker.iter().for_each(Docker::remove_all);
            hosts.iter().for_each(|host| host.until_tidy());
        }
    }
}

/// Names of all endpoints of the fabric.
fn endpoints(host: &Agent) -> Vec<String> {
    let all = host.get(&["endpoints"]);
    let items = all["items"].as_array().or(all.as_array()).cloned().unwrap_or_default();
    items.iter().filter_map(|one| one["metadata"]["name"].as_str()).map(str::to_owned).collect::<Vec<_>>()
}
