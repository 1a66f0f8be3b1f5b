//! Policy, and the hosts it is enforced on: what there is to know about the way of a packet.
//!
//! In: documents, or what an agent's store says. Out: who has which address, and on which host it is. Knows nothing of packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_policy::host::{Failsafe, HostEndpoint, WorkloadToHost};
use poplin_policy::world::World;
use poplin_proto::v1::FabricConfigSpec;
use poplin_proto::v1::resource::Object;
use poplin_proto::{Failure, nearest};
use tonic::Code;

use crate::address::addresses;
use crate::field::{Findings, Invalid, Invalids, word};
use crate::{Document, failsafe, host_endpoints, world};

/// A fabric, as far as it has a say about packets.
#[derive(Clone, Debug)]
pub struct Site {
    /// What policy reasons about.
    pub world: World,
    /// The addresses of each host, by its name.
    pub hosts: BTreeMap<String, BTreeSet<IpAddr>>,
    /// The host of each endpoint, by the endpoint's name. One of which it is not known is missing.
    pub homes: BTreeMap<String, String>,
    /// The host endpoints, with labels of their own only.
    pub host_endpoints: Vec<HostEndpoint>,
    /// Ports that stay open at them.
    pub failsafe: Failsafe,
    /// What endpoints may open to their own host.
    pub workload_to_host: WorkloadToHost,
    /// Whether hosts answer for names.
    pub serves_names: bool,
}

/// Where an address is at home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// An endpoint of a host; the host is empty where it is not known.
    Workload { host: String, endpoint: String },
    /// A host itself.
    Host(String),
    /// No host of the fabric.
    Elsewhere,
}

impl Site {
    /// What documents mean, or everything that is wrong with them.
    pub fn of(documents: &[Document]) -> Result<Self, Vec<Failure>> {
        let mut site = Self {
            world: world(documents)?,
            hosts: BTreeMap::new(),
            homes: BTreeMap::new(),
            host_endpoints: host_endpoints(documents),
            failsafe: failsafe(documents)?,
            workload_to_host: WorkloadToHost::default(),
            serves_names: true,
        };
        let mut failures = Vec::new();
        for document in documents {
            if let Err(invalids) = site.add(document) {
                failures.extend(document.failures(invalids));
            }
        }
        if failures.is_empty() { Ok(site) } else { Err(failures) }
    }

    fn add(&mut self, document: &Document) -> Result<(), Invalids> {
        let name = document.resource.name().to_owned();
        match &document.resource.object {
            Some(Object::Host(host)) => {
                let texts = host.spec.as_ref().map(|spec| &spec.addresses[..]).unwrap_or_default();
                let mut findings = Findings::default();
                let addresses = addresses(&mut findings, "spec.addresses", texts);
                self.hosts.insert(name, findings.finish(Some(addresses))?);
            }
            Some(Object::Endpoint(endpoint)) => {
                let host = endpoint.spec.as_ref().map(|spec| spec.host.clone()).filter(|host| !host.is_empty());
                self.homes.extend(host.map(|host| (name, host)));
            }
            Some(Object::FabricConfig(config)) => {
                let spec = config.spec.clone().unwrap_or_default();
                self.workload_to_host = check_workload_to_host(&spec)?;
                self.serves_names = spec.dns.and_then(|dns| dns.enabled).unwrap_or(true);
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn home(&self, address: IpAddr) -> Home {
        if let Some((endpoint, _)) = self.world.endpoint_of(address) {
            let host = self.homes.get(endpoint).cloned().unwrap_or_default();
            return Home::Workload { host, endpoint: endpoint.to_owned() };
        }
        let host = self.hosts.iter().find(|(_, addresses)| addresses.contains(&address)).map(|(name, _)| name.clone());
        let of_endpoint = || self.host_endpoints.iter().find(|one| one.addresses.contains(&address));
        host.or_else(|| of_endpoint().map(|one| one.host.clone())).map_or(Home::Elsewhere, Home::Host)
    }

    /// The addresses of whoever has that name.
    pub fn known(&self, name: &str) -> Option<BTreeSet<IpAddr>> {
        let endpoint = self.world.endpoints.get(name);
        let own = endpoint.map(|endpoint| endpoint.addresses.iter().copied().collect());
        own.or_else(|| self.addresses_of(name))
    }

    /// What a text may stand for: itself, or the addresses of the host endpoint or else of the host that is called so.
    pub(crate) fn meanings(&self, field: &str, text: &str) -> Result<Vec<String>, Failure> {
        if text.parse::<IpAddr>().is_ok() || self.world.endpoints.contains_key(text) {
            return Ok(vec![text.to_owned()]);
        }
        match self.addresses_of(text) {
            Some(addresses) if !addresses.is_empty() => Ok(addresses.iter().map(ToString::to_string).collect()),
            Some(_) => {
                let message = format!("it is not known which addresses {text} has");
                Err(Failure::new(Code::InvalidArgument, "NO_ADDRESS", message)
                    .field(field)
                    .advice("ask with an address in its place"))
            }
            None => Err(self.nobody(field, text)),
        }
    }

    /// The addresses of the host endpoint of that name, and where it has none or is not there, of the host.
    fn addresses_of(&self, name: &str) -> Option<BTreeSet<IpAddr>> {
        let endpoint = self.host_endpoints.iter().find(|endpoint| endpoint.name == name);
        let of_endpoint = endpoint.map(|endpoint| endpoint.addresses.iter().copied().collect::<BTreeSet<_>>());
        let host = self.hosts.get(name).cloned();
        of_endpoint.clone().filter(|addresses| !addresses.is_empty()).or(host).or(of_endpoint)
    }

    fn nobody(&self, field: &str, text: &str) -> Failure {
        let endpoints = self.world.endpoints.keys().map(String::as_str);
        let own = self.host_endpoints.iter().map(|endpoint| endpoint.name.as_str());
        let near = nearest(text, endpoints.chain(own).chain(self.hosts.keys().map(String::as_str)));
        let advice = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "see `poplin get endpoints`, `poplin get hosts` and `poplin get hostendpoints`".to_owned(),
        };
        let message = format!("{text:?} is no endpoint, no host, no host endpoint and no address");
        Failure::new(Code::NotFound, "NOT_FOUND", message).field(field).advice(advice)
    }
}

/// Checks what endpoints may open to their own host.
pub fn check_workload_to_host(spec: &FabricConfigSpec) -> Result<WorkloadToHost, Invalid> {
    let words = [("", WorkloadToHost::default()), ("accept", WorkloadToHost::Accept), ("drop", WorkloadToHost::Drop)];
    word("spec.workloadToHost", &spec.workload_to_host, &words)
}
