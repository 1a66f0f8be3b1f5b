//! Joins a namespace to the fabric, for the verbs that do: what may be wished, the call, the container's side, and the way back.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{AttachRequest, AttachResponse, DetachRequest, EndpointSpec};
use poplin_sandbox::{Inside, SandboxError, Wiring};
use tonic::transport::Channel;

use crate::kind::title;
use crate::problem::Problem;

/// What an endpoint shall be like.
#[derive(Debug, clap::Args)]
pub(crate) struct Wishes {
    /// Label of the endpoint; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Namespace the endpoint lives in, as policies see it.
    #[arg(long)]
    namespace: Option<String>,
    /// Network it joins; it then lives in the namespace of that name.
    #[arg(long, conflicts_with = "namespace")]
    network: Option<String>,
    /// Profile whose labels it inherits; may be given again, and of two that have a label the first counts.
    #[arg(long = "profile", value_name = "PROFILE")]
    profiles: Vec<String>,
    /// Name it answers to beside its own; others may have it, too. May be given again.
    #[arg(long = "alias", value_name = "NAME")]
    aliases: Vec<String>,
    /// Wanted MAC of the interface inside.
    #[arg(long)]
    mac: Option<String>,
    /// Name of one of its ports, for rules; may be given again.
    #[arg(long = "port", value_name = "NAME=PROTO/PORT")]
    ports: Vec<String>,
    /// Port of this host that leads to one of its own, TCP unless /udp or /sctp is said; may be given again.
    #[arg(short, long = "publish", value_name = "[HOSTIP:]HOSTPORT:PORT[/PROTO]")]
    published: Vec<String>,
    /// Address of the outside that shall lead to it until it is detached, one a family; may be given again.
    #[arg(long = "floating", value_name = "ADDRESS")]
    floating: Vec<IpAddr>,
    /// Name of the interface inside.
    #[arg(long, default_value = "eth0")]
    interface: String,
    /// Wanted address, one a family; otherwise a pool gives one.
    #[arg(long = "ip", value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
    /// Pool the address shall be of; may be given again, for the other family.
    #[arg(long = "pool", value_name = "POOL")]
    pools: Vec<String>,
    /// Keep the address for an endpoint of this name when it is detached, and take the one that was kept.
    #[arg(long)]
    sticky: bool,
}

pub(crate) fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Who joins, and as what.
#[derive(Debug)]
pub(crate) struct Joining {
    /// By this the agent tells attachments apart.
    pub(crate) container: String,
    pub(crate) name: String,
    pub(crate) netns: PathBuf,
    pub(crate) wishes: Wishes,
}

/// What stands for the namespace of who is attached by a tap: the far end is whoever opens this file.
const TUN_DEVICE: &str = "/dev/net/tun";

impl Joining {
    /// A virtual machine, by a tap that stands under that name.
    pub(crate) fn by_tap(name: String, tap: &str, wishes: Wishes) -> Self {
        let wishes = Wishes { interface: tap.to_owned(), ..wishes };
        Self { container: name.clone(), name, netns: TUN_DEVICE.into(), wishes }
    }

    /// Policy and routes stand before the inside rises. If it cannot be furnished, the attachment is taken back.
    pub(crate) async fn join(&self, client: &mut WorkloadServiceClient<Channel>) -> Result<AttachResponse, Problem> {
        if self.netns == Path::new(TUN_DEVICE) {
            return Ok(client.attach(self.request()).await?.into_inner()); // a machine furnishes itself
        }
        let inside = Inside::enter(&self.netns)?;
        let (answer, prepared) = tokio::join!(client.attach(self.request()), inside.prepared());
        let answer = answer?.into_inner();
        let furnished = async { prepared?.wire(&self.wiring(&answer)?).await };
        let Err(error) = furnished.await else { return Ok(answer) };
        let problem = Problem::from(error);
        Err(match self.leave(client).await {
            Ok(()) => problem,
            Err(other) => problem.and(other),
        })
    }

    /// Gives the attachment up.
    pub(crate) async fn leave(&self, client: &mut WorkloadServiceClient<Channel>) -> Result<(), Problem> {
        let request = DetachRequest {
            container: self.container.clone(),
            container_interface: self.wishes.interface.clone(),
            name: String::new(),
        };
        client.detach(request).await?;
        Ok(())
    }

    /// What it got, in a line.
    pub(crate) fn told(&self, answer: &AttachResponse) -> String {
        let addresses = spec(answer).addresses.join(" ");
        format!("{} attached: {} {addresses}\n", title("endpoint", &self.name), self.wishes.interface)
    }

    fn request(&self) -> AttachRequest {
        let wishes = &self.wishes;
        AttachRequest {
            container: self.container.clone(),
            container_interface: wishes.interface.clone(),
            netns: self.netns.display().to_string(),
            name: self.name.clone(),
            labels: wishes.labels.iter().cloned().collect(),
            namespace: wishes.namespace.clone().unwrap_or_default(),
            ports: wishes.ports.clone(),
            published: wishes.published.clone(),
            addresses: wishes.addresses.iter().map(ToString::to_string).collect(),
            network: wishes.network.clone().unwrap_or_default(),
            pools: wishes.pools.clone(),
            sticky: wishes.sticky,
            mac: wishes.mac.clone().unwrap_or_default(),
            aliases: wishes.aliases.clone(),
            profiles: wishes.profiles.clone(),
            floating: wishes.floating.iter().map(ToString::to_string).collect(),
            ..AttachRequest::default()
        }
    }

    fn wiring(&self, answer: &AttachResponse) -> Result<Wiring, SandboxError> {
        let addresses = spec(answer).addresses;
        let wiring =
            Wiring::parse(&self.netns, &self.wishes.interface, &addresses, &answer.gateways, &answer.gateway_mac)?;
        wiring.serving(&answer.service_addresses)
    }
}

fn spec(answer: &AttachResponse) -> EndpointSpec {
    answer.endpoint.as_ref().and_then(|endpoint| endpoint.spec.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs() {
        assert_eq!(label("app=web=1"), Ok(("app".to_owned(), "web=1".to_owned())));
        assert!(label("app").is_err());
    }
}
