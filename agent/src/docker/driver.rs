//! Which call of dockerd is answered where, and what the calls share: the head, the store, and what is known of Docker's networks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use ipnet::IpNet;
use poplin_node::name::{AttachmentId, NetworkName};
use poplin_node::request::Answer;
use poplin_proto::Failure;
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{ApplyRequest, Network, Resource};
use serde::Serialize;
use serde_json::{Value, json};

use super::api::Api;
use super::binding::Bindings;
use super::call;
use super::naming::{documents, fits, plain};
use super::wish::Wish;
use crate::config::Docker;
use crate::resource::{decode_resource, kind_prefix};
use crate::serve::{Call, Desk, apply, refused};

/// What Docker's endpoints have for an interface's name: Docker numbers them itself, and does not tell.
pub(super) const INTERFACE: &str = "docker";

/// What was asked is done, or why not, for people.
pub(super) type Outcome = Result<Value, String>;

/// Answers dockerd. Cheap to clone.
#[derive(Clone)]
pub(super) struct Driver {
    pub desk: Desk,
    pub api: Api,
    pub bindings: Bindings,
    /// What dockerd calls us.
    pub name: String,
    pub memory: Arc<Mutex<Memory>>,
    /// Networks are named one after the other: two calls may need the name of one.
    naming: Arc<tokio::sync::Mutex<()>>,
}

/// What matters for moments only, and may be lost.
#[derive(Default)]
pub(super) struct Memory {
    /// `--ip-range` of subnets that were asked for: told with the range, and not with the network.
    pub ranges: BTreeMap<IpNet, IpNet>,
    /// Numbers given out with ranges that nobody named.
    pub numbers: Vec<u16>,
    /// Endpoints that were made in this life, and when: dockerd lists them some moments later only.
    pub made: BTreeMap<AttachmentId, Instant>,
}

impl Driver {
    pub fn new(settings: &Docker, desk: Desk) -> Self {
        let name = settings.plugin.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Self {
            api: Api::new(settings.socket.clone()),
            bindings: Bindings::new(desk.clone()),
            desk,
            name: name.unwrap_or_default(),
            memory: Arc::default(),
            naming: Arc::default(),
        }
    }

    /// Answers one call; nothing if there is no such call.
    pub async fn call(&self, path: &str, body: &[u8]) -> Option<Outcome> {
        Some(match path {
            "Plugin.Activate" => Ok(json!({"Implements": ["NetworkDriver", "IpamDriver"]})),
            // Local, for dockerd shares what is global by Swarm only, which has no plugins of this kind; the network is shared by us.
            "NetworkDriver.GetCapabilities" => Ok(json!({"Scope": "local", "ConnectivityScope": "global"})),
            "NetworkDriver.CreateNetwork" => call::create_network::answer(self, body).await,
            "NetworkDriver.DeleteNetwork" => call::delete_network::answer(self, body).await,
            "NetworkDriver.CreateEndpoint" => call::create_endpoint::answer(self, body).await,
            "NetworkDriver.EndpointOperInfo" => Ok(json!({"Value": {}})),
            "NetworkDriver.DeleteEndpoint" => call::delete_endpoint::answer(self, body).await,
            "NetworkDriver.Join" => call::join::answer(self, body).await,
            "NetworkDriver.Leave"
            | "NetworkDriver.ProgramExternalConnectivity"
            | "NetworkDriver.RevokeExternalConnectivity"
            | "NetworkDriver.DiscoverNew"
            | "NetworkDriver.DiscoverDelete"
            | "IpamDriver.ReleasePool" => done(),
            "IpamDriver.GetCapabilities" => Ok(json!({"RequiresMACAddress": false, "RequiresRequestReplay": false})),
            // One for both: with two, dockerd 29 looks for a pool that no host route overlaps, and every one is overlapped by ours.
            "IpamDriver.GetDefaultAddressSpaces" => {
                Ok(json!({"LocalDefaultAddressSpace": "poplin", "GlobalDefaultAddressSpace": "poplin"}))
            }
            "IpamDriver.RequestPool" => call::request_pool::answer(self, body).await,
            "IpamDriver.RequestAddress" => call::request_address::answer(self, body).await,
            "IpamDriver.ReleaseAddress" => call::release_address::answer(self, body).await,
            _ => return None,
        })
    }

    /// The network of the fabric that a Docker network is. If its name was not known yet, dockerd is asked for it.
    pub async fn network_of(&self, docker_id: &str) -> Result<NetworkName, String> {
        if let Some(network) = self.bindings.get(docker_id).await?.network {
            return Ok(NetworkName::new(network));
        }
        let _turn = self.naming.lock().await;
        let mut binding = self.bindings.get(docker_id).await?;
        if let Some(network) = binding.network {
            return Ok(NetworkName::new(network));
        }
        let told = self.api.get(&format!("/networks/{docker_id}")).await?;
        let docker_name = told["Name"].as_str().unwrap_or_default();
        let labels = serde_json::from_value(told["Labels"].clone()).unwrap_or_default();
        let name = plain(docker_name);
        self.declare(&name, docker_name, &binding.wish, &labels, false).await?;
        binding.network = Some(name.clone());
        docker_name.clone_into(&mut binding.docker_name);
        self.bindings.put(docker_id, &binding).await?;
        tracing::info!("Docker's network {docker_name} is network {name}");
        Ok(NetworkName::new(name))
    }

    /// Makes a network of the fabric, unless it is there and as wished.
    pub async fn declare(
        &self,
        name: &str,
        docker_name: &str,
        wish: &Wish,
        labels: &BTreeMap<String, String>,
        dry_run: bool,
    ) -> Result<(), String> {
        let networks = self.networks().await?;
        if let Some(standing) = networks.iter().find(|one| called(one) == name) {
            return fits(standing, docker_name, wish);
        }
        let mut wish = wish.clone();
        if networks.iter().any(|one| one.spec.as_ref().is_some_and(|spec| spec.index == wish.spec.index)) {
            wish.spec.index = 0; // another network was faster
        }
        let pools = self.stored("Pool").await?.into_iter().filter_map(|resource| match resource.object? {
            Object::Pool(pool) => pool.spec?.cidr.parse().ok(),
            _ => None,
        });
        let resources = documents(name, docker_name, &wish, labels, &pools.collect::<Vec<_>>());
        let request = ApplyRequest { resources, dry_run, ..ApplyRequest::default() };
        apply(&*self.desk.store, &self.desk.host, &request)
            .await
            .map(|_| ())
            .map_err(|status| Failure::all_from_status(&status).iter().map(told_failure).collect::<Vec<_>>().join("; "))
    }

    /// The networks of the fabric.
    pub async fn networks(&self) -> Result<Vec<Network>, String> {
        let of_kind = |resource: Resource| match resource.object {
            Some(Object::Network(network)) => Some(network),
            _ => None,
        };
        Ok(self.stored("Network").await?.into_iter().filter_map(of_kind).collect())
    }

    /// All objects of a kind.
    pub async fn stored(&self, kind: &str) -> Result<Vec<Resource>, String> {
        let prefix = kind_prefix(kind).ok_or_else(|| format!("{kind} is no kind"))?;
        let snapshot = self.desk.store.snapshot(&prefix).await.map_err(|error| error.story())?;
        Ok(snapshot.entries.iter().filter_map(|entry| decode_resource(entry).ok()).collect())
    }

    /// Asks the head; what it refuses comes with what to try.
    pub async fn ask(&self, call: impl FnOnce(tokio::sync::oneshot::Sender<Answer>) -> Call) -> Result<Answer, String> {
        match self.desk.ask(call).await.map_err(|failure| told_failure(&failure))? {
            Answer::Refused(refusal) => Err(told_failure(&refused(&refusal))),
            other => Ok(other),
        }
    }

    pub fn remember<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The name of a network.
pub(super) fn called(network: &Network) -> &str {
    network.metadata.as_ref().map_or("", |metadata| &metadata.name)
}

/// A failure in one line, with what to try.
pub(super) fn told_failure(failure: &Failure) -> String {
    let advice = failure.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
    format!("{}{advice}", failure.message)
}

/// By what the head knows an endpoint of Docker.
pub(super) fn attachment(endpoint_id: &str) -> AttachmentId {
    AttachmentId { container: endpoint_id.to_owned(), interface: INTERFACE.to_owned() }
}

pub(super) fn done() -> Outcome {
    Ok(json!({}))
}

pub(super) fn told(answer: &impl Serialize) -> Outcome {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
