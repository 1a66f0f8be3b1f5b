//! `poplin attach`: gives a network namespace an interface, an address and its policy.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use poplin_proto::v1::workload_service_client::WorkloadServiceClient;
use poplin_proto::v1::{AttachRequest, AttachResponse, DetachRequest, EndpointSpec};
use poplin_sandbox::{SandboxError, Wiring};
use tonic::transport::Channel;

use crate::agent;
use crate::kind::title;
use crate::output::print;
use crate::problem::Problem;

/// Attach a network namespace of this host.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  ip netns add web && poplin attach --netns web --name web --label app=web
  poplin attach --netns web --name web -p 8080:80 -p 192.0.2.1:53:53/udp
  poplin attach --netns /proc/4711/ns/net --name db --ip 10.77.0.9")]
pub(crate) struct Attach {
    /// Path of the namespace, or its name under /run/netns.
    #[arg(long, value_name = "PATH")]
    netns: PathBuf,
    /// Name of the endpoint.
    #[arg(long)]
    name: String,
    /// Label of the endpoint; may be given again.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Namespace the endpoint lives in, as policies see it.
    #[arg(long)]
    namespace: Option<String>,
    /// Network it joins; it then lives in the namespace of that name.
    #[arg(long, conflicts_with = "namespace")]
    network: Option<String>,
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

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Attach {
    /// Policy and routes stand before the inside rises. If it cannot be furnished, the attachment is taken back.
    pub(crate) async fn run(self, socket: &Path) -> Result<ExitCode, Problem> {
        let netns = netns_path(&self.netns)?;
        poplin_sandbox::netns::validate(&netns)?;
        let mut client = agent::workloads(socket).await?;
        let answer = client.attach(self.wish(&netns)).await?.into_inner();
        if let Err(error) = self.furnish(&netns, &answer) {
            let problem = Problem::from(error);
            return Err(match self.take_back(&mut client).await {
                Ok(()) => problem,
                Err(other) => problem.and(other),
            });
        }
        print(&self.report(&answer))?;
        Ok(ExitCode::SUCCESS)
    }

    fn wish(&self, netns: &Path) -> AttachRequest {
        AttachRequest {
            container: self.name.clone(),
            container_interface: self.interface.clone(),
            netns: netns.display().to_string(),
            name: self.name.clone(),
            labels: self.labels.iter().cloned().collect(),
            namespace: self.namespace.clone().unwrap_or_default(),
            ports: self.ports.clone(),
            published: self.published.clone(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            network: self.network.clone().unwrap_or_default(),
            pools: self.pools.clone(),
            sticky: self.sticky,
            mac: self.mac.clone().unwrap_or_default(),
            aliases: self.aliases.clone(),
        }
    }

    fn furnish(&self, netns: &Path, answer: &AttachResponse) -> Result<(), SandboxError> {
        let addresses = spec(answer).addresses;
        let wiring = Wiring::parse(netns, &self.interface, &addresses, &answer.gateways, &answer.gateway_mac)?;
        poplin_sandbox::wire(&wiring.serving(&answer.service_addresses)?)
    }

    async fn take_back(&self, client: &mut WorkloadServiceClient<Channel>) -> Result<(), Problem> {
        let request = DetachRequest {
            container: self.name.clone(),
            container_interface: self.interface.clone(),
            name: String::new(),
        };
        client.detach(request).await?;
        Ok(())
    }

    fn report(&self, answer: &AttachResponse) -> String {
        let addresses = spec(answer).addresses.join(" ");
        let attached = format!("{} attached: {} {addresses}\n", title("endpoint", &self.name), self.interface);
        match &answer.nameservers[..] {
            [] => attached,
            servers => {
                format!("{attached}nameserver {}, search {}\n", servers.join(" "), answer.search_domains.join(" "))
            }
        }
    }
}

fn spec(answer: &AttachResponse) -> EndpointSpec {
    answer.endpoint.as_ref().and_then(|endpoint| endpoint.spec.clone()).unwrap_or_default()
}

/// A bare name is one of `ip netns`; other paths are made absolute, for the agent runs elsewhere.
fn netns_path(given: &Path) -> Result<PathBuf, Problem> {
    if given.components().count() == 1 && given.is_relative() {
        return Ok(Path::new("/run/netns").join(given));
    }
    std::path::absolute(given).map_err(|error| Problem::usage(format!("--netns {}: {error}", given.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_one_of_ip_netns() {
        assert_eq!(netns_path(Path::new("web")).unwrap(), Path::new("/run/netns/web"));
        assert_eq!(netns_path(Path::new("/proc/1/ns/net")).unwrap(), Path::new("/proc/1/ns/net"));
        assert!(netns_path(Path::new("ns/web")).unwrap().is_absolute());
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(label("app=web=1"), Ok(("app".to_owned(), "web=1".to_owned())));
        assert!(label("app").is_err());
    }
}
