//! A network is made, and its name not told. What it should be like is checked and written down now, so that who makes it hears what is wrong; it
//! becomes a network of the fabric once its name is known.

use std::collections::BTreeMap;

use crate::docker::binding::Binding;
use crate::docker::driver::{Driver, Outcome, done};
use crate::docker::swarm::is_swarms;
use crate::docker::wire::{network, read};
use crate::docker::wish::Wish;

/// What Swarm's networks need.
const UNNAMED: &str = "which network of the fabric this network of Swarm is was not said; make it of a configuration: docker network create \
     --config-only --ipam-driver poplin-swarm:latest --option network=NAME";

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::CreateNetwork = read(body)?;
    let ranges = driver.remember(|memory| memory.ranges.clone());
    let mut wish = Wish::of(&request, &ranges)?;
    let mut binding = Binding::default();
    match &wish.network {
        Some(name) => {
            driver.declare(name, name, &wish, &BTreeMap::new(), false).await?;
            let has_docker_ports = driver.stands_with_docker_ports(name).await?;
            binding.network = Some(name.clone());
            wish.docker_ports = Some(has_docker_ports);
        }
        // Each host has a network of the same name as the fabric's, and Docker none of Swarm beside it.
        None if is_swarms(&request.network_id) => return Err(UNNAMED.to_owned()),
        None => {
            wish.spec.index = free_of(driver, &wish).await?;
            let short: String = request.network_id.chars().take(12).collect();
            driver.declare(&format!("docker-{short}"), "", &wish, &BTreeMap::new(), true).await?;
        }
    }
    binding.wish = wish;
    driver.bindings.put(&request.network_id, &binding).await?;
    done()
}

/// The first number its ranges were given out with becomes the network's own, unless another network was faster; 0 = any.
async fn free_of(driver: &Driver, wish: &Wish) -> Result<u32, String> {
    let networks = driver.networks().await?;
    let is_free = |number: &&u16| {
        !networks.iter().any(|one| one.spec.as_ref().is_some_and(|spec| spec.index == u32::from(**number)))
    };
    Ok(wish.numbers.iter().find(is_free).copied().map_or(0, u32::from))
}
