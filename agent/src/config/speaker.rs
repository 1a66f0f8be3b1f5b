//! What a speaker without a fabric is told: one TOML file instead of a store.
//!
//! In: a file. Out: what the process itself needs, and the objects that a store would hold: this host, the fabric's settings, peers and route
//! maps. Peers and route maps are written as the `spec` of a document of that kind, and checked by the same hands. Everything that
//! is wrong is said at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use poplin_manifest::field::Invalids;
use poplin_proto::nearest;
use poplin_proto::v1::{self, Resource};
use serde::Deserialize;

use super::api::ApiSettings;
use crate::resource::{check, path_of};
use crate::store::Values;

/// The file as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    /// Our autonomous system.
    asn: u32,
    /// Our BGP identifier.
    router_id: String,
    /// The cluster we reflect in; absent = our BGP identifier.
    #[serde(default)]
    cluster_id: String,
    /// Our name; absent = the system's.
    host: Option<String>,
    /// Where `poplin` asks; absent = /run/poplin/api.sock.
    socket: Option<PathBuf>,
    /// Who may ask, and where by TLS.
    #[serde(default)]
    api: ApiSettings,
    /// Where BGP connections are accepted; absent = [::]:179.
    #[serde(default)]
    listen: Vec<SocketAddr>,
    /// Where metrics are served by HTTP; absent = nowhere.
    metrics_listen: Option<SocketAddr>,
    /// What we dial from, and the next hops of what we tell as our own; at most one of each family.
    #[serde(default)]
    addresses: BTreeSet<IpAddr>,
    /// Whether the routes we learn go to the kernel.
    #[serde(default)]
    kernel_routes: bool,
    /// accept | reject, as in `FabricConfig`.
    #[serde(default)]
    external_default: String,
    /// How the ways to a prefix share its traffic, as in `FabricConfig`.
    maximum_paths: Option<u32>,
    multipath_relax: Option<bool>,
    /// Who is told by BMP, as in `FabricConfig`.
    #[serde(default)]
    monitoring_stations: Vec<v1::MonitoringStation>,
    #[serde(default)]
    peers: BTreeMap<String, v1::PeerSpec>,
    #[serde(default)]
    route_maps: BTreeMap<String, v1::RouteMapSpec>,
}

/// What is read once, when the process starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lasting {
    /// The file's own word for the host's name.
    pub host: Option<String>,
    /// Where to serve.
    pub socket: Option<PathBuf>,
    /// Who may ask, and where by TLS.
    pub(super) api: ApiSettings,
    /// Where BGP connections are accepted.
    pub listen: Vec<SocketAddr>,
    /// Where metrics are served.
    pub metrics_listen: Option<SocketAddr>,
    /// What is dialled from.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether learned routes go to the kernel.
    pub installs: bool,
}

/// A file that was read and found sound.
#[derive(Clone, Debug)]
pub struct SpeakerFile {
    /// What is read once.
    pub lasting: Lasting,
    file: File,
}

impl SpeakerFile {
    /// Reads the file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} does not configure a speaker", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text)?;
        let lasting = Lasting {
            host: file.host.clone(),
            socket: file.socket.clone(),
            api: file.api.clone(),
            listen: file.listen.clone(),
            metrics_listen: file.metrics_listen,
            addresses: file.addresses.clone(),
            installs: file.kernel_routes,
        };
        if file.addresses.len() > 2 || file.addresses.iter().filter(|address| address.is_ipv4()).count() > 1 {
            bail!("addresses: there may be one of each family, and {} were given", file.addresses.len());
        }
        Ok(Self { lasting, file })
    }

    /// What a store would hold for this host, by key.
    pub fn values(&self, host: &str) -> anyhow::Result<Values> {
        let mut problems = self.file.misplaced();
        let mut values = Values::new();
        for (place, resource) in self.file.resources(host) {
            match check(&resource).and_then(|object| Ok((path_of(&object.key()), written(&resource)?))) {
                Ok((key, value)) => {
                    values.insert(key, value);
                }
                Err(invalids) => problems.extend(told(&place, &invalids)),
            }
        }
        match problems.is_empty() {
            true => Ok(values),
            false => bail!("{}", problems.join("\n")),
        }
    }
}

impl File {
    /// Each object, and where in the file it stands.
    fn resources(&self, host: &str) -> Vec<(String, Resource)> {
        let metadata = |name: &str| Some(v1::Metadata { name: name.to_owned(), ..v1::Metadata::default() });
        let host = v1::Host { metadata: metadata(host), spec: Some(self.host_spec()), ..v1::Host::default() };
        let fabric =
            v1::FabricConfig { metadata: metadata("default"), spec: Some(self.fabric()), ..Default::default() };
        let peers = self.peers.iter().map(|(name, spec)| {
            let peer = v1::Peer { metadata: metadata(name), spec: Some(spec.clone()), ..v1::Peer::default() };
            (format!("peers.{name}."), Resource::from(peer))
        });
        let maps = self.route_maps.iter().map(|(name, spec)| {
            let map = v1::RouteMap { metadata: metadata(name), spec: Some(spec.clone()), ..v1::RouteMap::default() };
            (format!("routeMaps.{name}."), Resource::from(map))
        });
        let own = [(String::new(), Resource::from(host)), (String::new(), Resource::from(fabric))];
        own.into_iter().chain(peers).chain(maps).collect()
    }

    fn host_spec(&self) -> v1::HostSpec {
        let addresses = self.addresses.iter().map(ToString::to_string).collect();
        v1::HostSpec {
            addresses,
            asn: Some(self.asn),
            router_id: self.router_id.clone(),
            drain: false,
            told: String::new(),
            machine: String::new(),
            agent_version: String::new(),
            schema: 0,
        }
    }

    fn fabric(&self) -> v1::FabricConfigSpec {
        v1::FabricConfigSpec {
            asn: Some(self.asn),
            mesh: Some(false),
            cluster_id: self.cluster_id.clone(),
            external_default: self.external_default.clone(),
            maximum_paths: self.maximum_paths,
            multipath_relax: self.multipath_relax,
            monitoring_stations: self.monitoring_stations.clone(),
            ..v1::FabricConfigSpec::default()
        }
    }

    /// What no document by itself can show to be wrong.
    fn misplaced(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, peer) in &self.peers {
            if !peer.hosts.is_empty() {
                problems.push(format!("peers.{name}.hosts: there is one speaker, and it peers with all; leave it out"));
            }
            if peer.reflector_client && peer.asn != self.asn && peer.remote_as != "internal" {
                let theirs = if peer.asn == 0 { "another AS".to_owned() } else { format!("AS {}", peer.asn) };
                problems
                    .push(format!("peers.{name}.reflectorClient: it is in {theirs}, and we are in AS {}", self.asn));
            }
            for (field, map) in [("import", &peer.import), ("export", &peer.export)] {
                problems.extend(self.missing(map).map(|problem| format!("peers.{name}.{field}: {problem}")));
            }
        }
        for (field, place) in [("address", place_at as fn(&v1::PeerSpec) -> &str), ("interface", place_on)] {
            let mut places = BTreeMap::new();
            for (name, place) in
                self.peers.iter().map(|(name, peer)| (name, place(peer))).filter(|(_, at)| !at.is_empty())
            {
                if let Some(other) = places.insert(place, name) {
                    problems.push(format!("peers.{name}.{field}: {place} is {other} already"));
                }
            }
        }
        problems
    }

    fn missing(&self, map: &str) -> Option<String> {
        if map.is_empty() || self.route_maps.contains_key(map) {
            return None;
        }
        let near = nearest(map, self.route_maps.keys().map(String::as_str));
        let advice = near.map_or_else(|| format!("write [routeMaps.{map}]"), |near| format!("did you mean {near:?}?"));
        Some(format!("there is no route map named {map:?}; {advice}"))
    }
}

fn place_at(peer: &v1::PeerSpec) -> &str {
    &peer.address
}

fn place_on(peer: &v1::PeerSpec) -> &str {
    &peer.interface
}

/// The form in which a store holds it.
fn written(resource: &Resource) -> Result<Vec<u8>, Invalids> {
    Ok(resource.to_json().expect("a message of texts and numbers is JSON").into_bytes())
}

/// What is wrong, in the words of the file.
fn told(place: &str, invalids: &Invalids) -> Vec<String> {
    let one = |invalid: &poplin_manifest::field::Invalid| {
        let field = invalid.field.strip_prefix("spec.").unwrap_or(&invalid.field);
        let mut text = format!("{place}{field}: {}", invalid.message);
        if let Some(advice) = &invalid.advice {
            let _ = write!(text, "; {advice}");
        }
        text
    };
    invalids.0.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
