//! A Docker network goes: dockerd asks nobody, and only tells. One that `docker network create` made goes from the whole fabric with it; but where
//! somebody is in it elsewhere, or where it was declared, it stays, and this Docker gets it back. Swarm removes one from each node whose last task has gone,
//! and nothing follows from that.

use poplin_proto::Failure;
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{DeleteRequest, Network};

use crate::docker::driver::{Driver, Outcome, done, told_failure};
use crate::docker::fabric::called;
use crate::docker::naming::{MADE_FOR, ORIGIN};
use crate::docker::swarm::is_swarms;
use crate::docker::wire::{network, read};
use crate::serve::delete;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Named = read(body)?;
    let bound = driver.bindings.all().await?.remove(&request.network_id).filter(|_| !is_swarms(&request.network_id));
    let name = bound.and_then(|binding| binding.network);
    let networks = driver.networks().await?;
    let standing = networks.iter().find(|network| Some(called(network)) == name.as_deref());
    if let Some(network) = standing.filter(|network| is_dockers(network)) {
        remove(driver, called(network)).await?;
    }
    driver.bindings.remove(&request.network_id).await?;
    done()
}

/// The reason why what others lean on is not deleted.
const IN_USE: &str = "IN_USE";

fn is_dockers(network: &Network) -> bool {
    network.metadata.as_ref().is_some_and(|metadata| metadata.annotations.contains_key(ORIGIN))
}

/// The network, and then the pools that were made for it.
async fn remove(driver: &Driver, name: &str) -> Result<(), String> {
    let request = |kind: &str, name: &str| DeleteRequest {
        kind: kind.to_owned(),
        name: name.to_owned(),
        allow_missing: true,
        ..DeleteRequest::default()
    };
    let told = |failure: Failure| told_failure(&failure);
    match delete(&*driver.desk.store, &request("Network", name)).await {
        Ok(_) => {}
        Err(failure) if failure.reason == IN_USE => {
            tracing::info!("Docker removed network {name}, and gets it back: {}", failure.message);
            return Ok(());
        }
        Err(failure) => return Err(told(failure)),
    }
    for resource in driver.stored("Pool").await? {
        let Some(Object::Pool(pool)) = &resource.object else { continue };
        let made_for = pool.metadata.as_ref().and_then(|metadata| metadata.annotations.get(MADE_FOR));
        if made_for.is_some_and(|network| network == name) {
            delete(&*driver.desk.store, &request("Pool", resource.name())).await.map_err(told)?;
        }
    }
    Ok(())
}
