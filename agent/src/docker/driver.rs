//! What each call of dockerd comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_node::name::AttachmentId;
use poplin_node::request::{Answer, Attach, Attached, Detach, Hold};
use poplin_policy::label::Labels;
use serde::Serialize;
use serde_json::{Value, json};

use super::wire::{ipam, network, read};
use crate::serve::{Call, Desk, refused};

/// What Docker's endpoints have for an interface's name: Docker numbers them itself, and does not tell.
const INTERFACE: &str = "docker";

/// Answers dockerd. Cheap to clone.
#[derive(Clone)]
pub(super) struct Driver {
    desk: Desk,
}

/// What was asked is done, or why not, for people.
type Outcome = Result<Value, String>;

impl Driver {
    pub(super) fn new(desk: Desk) -> Self {
        Self { desk }
    }

    /// Answers one call; nothing if there is no such call.
    pub(super) async fn call(&self, path: &str, body: &[u8]) -> Option<Outcome> {
        Some(match path {
            "Plugin.Activate" => Ok(json!({"Implements": ["NetworkDriver", "IpamDriver"]})),
            "NetworkDriver.GetCapabilities" => Ok(json!({"Scope": "local", "ConnectivityScope": "global"})),
            "NetworkDriver.CreateNetwork" | "NetworkDriver.DeleteNetwork" => done(),
            "NetworkDriver.CreateEndpoint" => self.create_endpoint(body).await,
            "NetworkDriver.EndpointOperInfo" => Ok(json!({"Value": {}})),
            "NetworkDriver.DeleteEndpoint" => self.delete_endpoint(body).await,
            "NetworkDriver.Join" => self.join(body).await,
            "NetworkDriver.Leave"
            | "NetworkDriver.ProgramExternalConnectivity"
            | "NetworkDriver.RevokeExternalConnectivity"
            | "NetworkDriver.DiscoverNew"
            | "NetworkDriver.DiscoverDelete"
            | "IpamDriver.ReleasePool" => done(),
            "IpamDriver.GetCapabilities" => Ok(json!({"RequiresMACAddress": false, "RequiresRequestReplay": false})),
            "IpamDriver.GetDefaultAddressSpaces" => {
                Ok(json!({"LocalDefaultAddressSpace": "poplin", "GlobalDefaultAddressSpace": "poplin"}))
            }
            "IpamDriver.RequestPool" => request_pool(body),
            "IpamDriver.RequestAddress" => self.request_address(body).await,
            "IpamDriver.ReleaseAddress" => self.release_address(body).await,
            _ => return None,
        })
    }

    async fn request_address(&self, body: &[u8]) -> Outcome {
        let request: ipam::RequestAddress = read(body)?;
        let address = match request.address.as_str() {
            "" => match self
                .ask(|answer| Call::Hold(Hold { is_v6: request.pool_id.ends_with("v6"), network: None }, answer))
                .await?
            {
                Answer::Held(address) => address,
                other => return Err(format!("{other:?} is no address")),
            },
            wanted => wanted.parse().map_err(|_| format!("{wanted:?} is not an address"))?,
        };
        Ok(json!({"Address": IpNet::from(address).to_string()}))
    }

    async fn release_address(&self, body: &[u8]) -> Outcome {
        let request: ipam::ReleaseAddress = read(body)?;
        if let Ok(address) = request.address.parse() {
            let _ = self.desk.calls.send(Call::LetGo(address)).await;
        }
        done()
    }

    async fn create_endpoint(&self, body: &[u8]) -> Outcome {
        let request: network::CreateEndpoint = read(body)?;
        let given = request.interface.unwrap_or_default();
        let addresses: BTreeSet<IpAddr> = [&given.address, &given.address_ipv6]
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| text.parse::<IpNet>().map(|net| net.addr()).map_err(|_| format!("{text:?} is not an address")))
            .collect::<Result<_, _>>()?;
        let attach = Attach {
            attachment: attachment(&request.endpoint_id),
            name: None,
            labels: Labels::default(),
            namespace: None,
            ports: Vec::new(),
            netns: std::path::PathBuf::new(),
            addresses,
            has_all_addresses: true,
            mac: crate::resource::mac(&given.mac_address),
            network: None,
        };
        let attached = match self.ask(|answer| Call::Attach(attach, answer)).await? {
            Answer::Attached(attached) => attached,
            other => return Err(format!("{other:?} is no attachment")),
        };
        let mac_address = match given.mac_address.as_str() {
            "" => attached.endpoint.mac.to_string(),
            _ => String::new(),
        };
        Ok(json!({"Interface": network::Interface { mac_address, ..network::Interface::default() }}))
    }

    async fn join(&self, body: &[u8]) -> Outcome {
        let request: network::Named = read(body)?;
        let attached = self.attached(&request.endpoint_id).await?;
        let gateway = |is_v6: bool| attached.gateways.iter().find(|gateway| gateway.is_ipv6() == is_v6);
        let routes = attached.gateways.iter().map(|gateway| network::StaticRoute {
            destination: IpNet::from(*gateway).to_string(),
            route_type: network::CONNECTED,
            next_hop: String::new(),
        });
        told(&network::Joined {
            interface_name: network::InterfaceName {
                src_name: attached.waiting.clone().unwrap_or_default(),
                dst_prefix: "eth".to_owned(),
            },
            gateway: gateway(false).map(ToString::to_string).unwrap_or_default(),
            gateway_ipv6: gateway(true).map(ToString::to_string).unwrap_or_default(),
            static_routes: routes.collect(),
            disable_gateway_service: true,
        })
    }

    async fn delete_endpoint(&self, body: &[u8]) -> Outcome {
        let request: network::Named = read(body)?;
        let detach = Detach::Attachment(attachment(&request.endpoint_id));
        self.ask(|answer| Call::Detach(detach, answer)).await?;
        done()
    }

    /// What was promised to an endpoint.
    async fn attached(&self, endpoint_id: &str) -> Result<Attached, String> {
        let id = attachment(endpoint_id);
        let known = self.desk.ask(|answer| Call::Check(id, answer)).await.map_err(|failure| failure.message)?;
        known.map(|(attached, _)| attached).ok_or_else(|| format!("endpoint {endpoint_id} is not known here"))
    }

    /// Asks the head; what it refuses comes with what to try.
    async fn ask(&self, call: impl FnOnce(tokio::sync::oneshot::Sender<Answer>) -> Call) -> Result<Answer, String> {
        match self.desk.ask(call).await.map_err(|failure| failure.message)? {
            Answer::Refused(refusal) => {
                let failure = refused(&refusal);
                Err(format!("{}; {}", failure.message, failure.advice.unwrap_or_default()))
            }
            other => Ok(other),
        }
    }
}

fn request_pool(body: &[u8]) -> Outcome {
    let request: ipam::RequestPool = read(body)?;
    let (family, any) = if request.v6 { ("v6", "::/0") } else { ("v4", "0.0.0.0/0") };
    let pool = if request.pool.is_empty() { any } else { &request.pool };
    told(&ipam::Pool {
        pool_id: format!("{pool} {family}"),
        pool: pool.to_owned(),
        data: BTreeMap::from([(ipam::GATEWAY, any.to_owned())]),
    })
}

fn attachment(endpoint_id: &str) -> AttachmentId {
    AttachmentId { container: endpoint_id.to_owned(), interface: INTERFACE.to_owned() }
}

fn done() -> Outcome {
    Ok(json!({}))
}

fn told(answer: &impl Serialize) -> Outcome {
    serde_json::to_value(answer).map_err(|error| error.to_string())
}
