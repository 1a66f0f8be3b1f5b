//! What the fabric has of networks, and how a Docker network becomes one of them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use poplin_node::name::NetworkName;
use poplin_proto::Failure;
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{ApplyRequest, Network, Pool, Resource};

use super::driver::{Driver, told_failure};
use super::encapsulation;
use super::naming::{documents, fits, has_docker_ports, plain};
use super::wish::Wish;
use crate::resource::{decode_resource, kind_prefix};
use crate::serve::apply;

impl Driver {
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
        binding.wish.docker_ports = Some(self.stands_with_docker_ports(&name).await?);
        binding.network = Some(name.clone());
        docker_name.clone_into(&mut binding.docker_name);
        self.bindings.put(docker_id, &binding).await?;
        tracing::info!("Docker's network {docker_name} is network {name}");
        Ok(NetworkName::new(name))
    }

    /// Whether Docker publishes the ports of containers in a Docker network: as its author said, or as the fabric's network has it.
    pub async fn has_docker_ports(&self, docker_id: &str) -> Result<bool, String> {
        if let Some(said) = self.bindings.get(docker_id).await?.wish.docker_ports {
            return Ok(said);
        }
        let name = self.network_of(docker_id).await?;
        self.stands_with_docker_ports(name.as_str()).await
    }

    /// The same of a network of the fabric.
    pub async fn stands_with_docker_ports(&self, name: &str) -> Result<bool, String> {
        let networks = self.networks().await?;
        let of_it = networks.iter().find(|network| called(network) == name);
        Ok(of_it.and_then(|network| network.metadata.as_ref()).is_some_and(has_docker_ports))
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
        let pools = self.pools().await?;
        let wrapped = |subnets: &[String]| match &wish.encapsulation {
            Some(wished) => encapsulation::fits(subnets, wished, &pools),
            None => Ok(()),
        };
        if let Some(standing) = networks.iter().find(|one| called(one) == name) {
            fits(standing, docker_name, wish)?;
            return wrapped(&standing.spec.clone().unwrap_or_default().subnets);
        }
        wrapped(&wish.spec.subnets)?;
        let mut wish = wish.clone();
        if networks.iter().any(|one| one.spec.as_ref().is_some_and(|spec| spec.index == wish.spec.index)) {
            wish.spec.index = 0; // another network was faster
        }
        self.spare_hosts(&mut wish).await?;
        let ranges = pools.iter().filter_map(|pool| pool.spec.as_ref()?.cidr.parse().ok());
        let resources = documents(name, docker_name, &wish, labels, &ranges.collect::<Vec<_>>());
        let request = ApplyRequest { resources, dry_run, ..ApplyRequest::default() };
        apply(&*self.desk.store, &self.desk.host, &request)
            .await
            .map(|_| ())
            .map_err(|status| Failure::all_from_status(&status).iter().map(told_failure).collect::<Vec<_>>().join("; "))
    }

    /// On a LAN hosts have addresses of their own, which nobody else gets.
    async fn spare_hosts(&self, wish: &mut Wish) -> Result<(), String> {
        if wish.spec.macvlan.is_none() {
            return Ok(());
        }
        let addresses = self.stored("Host").await?.into_iter().filter_map(|resource| match resource.object? {
            Object::Host(host) => Some(host.spec?.addresses),
            _ => None,
        });
        let bare = |text: String| text.split('/').next()?.parse::<IpAddr>().ok();
        let subnets: Vec<IpNet> = wish.spec.subnets.iter().filter_map(|text| text.parse().ok()).collect();
        let on_it =
            addresses.flatten().filter_map(bare).filter(|one| subnets.iter().any(|subnet| subnet.contains(one)));
        wish.spec.reserved.extend(on_it.map(|address| address.to_string()));
        wish.spec.reserved.sort();
        wish.spec.reserved.dedup();
        Ok(())
    }

    /// The networks of the fabric.
    pub async fn networks(&self) -> Result<Vec<Network>, String> {
        let of_kind = |resource: Resource| match resource.object {
            Some(Object::Network(network)) => Some(network),
            _ => None,
        };
        Ok(self.stored("Network").await?.into_iter().filter_map(of_kind).collect())
    }

    async fn pools(&self) -> Result<Vec<Pool>, String> {
        let of_kind = |resource: Resource| match resource.object {
            Some(Object::Pool(pool)) => Some(pool),
            _ => None,
        };
        Ok(self.stored("Pool").await?.into_iter().filter_map(of_kind).collect())
    }

    /// All objects of a kind.
    pub async fn stored(&self, kind: &str) -> Result<Vec<Resource>, String> {
        let prefix = kind_prefix(kind).ok_or_else(|| format!("{kind} is no kind"))?;
        let snapshot = self.desk.store.snapshot(&prefix).await.map_err(|error| error.story())?;
        Ok(snapshot.entries.iter().filter_map(|entry| decode_resource(entry).ok()).collect())
    }
}

/// The name of a network.
pub(super) fn called(network: &Network) -> &str {
    network.metadata.as_ref().map_or("", |metadata| &metadata.name)
}
