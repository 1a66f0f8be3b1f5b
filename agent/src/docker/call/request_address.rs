//! An address is asked for before it is said what for. One that nobody named is held until its endpoint comes; one that somebody named is judged
//! when it comes, and may be for a gateway, which is none of ours.

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_node::name::NetworkName;
use poplin_node::request::{Answer, Hold};
use serde_json::json;

use crate::docker::binding::Binding;
use crate::docker::driver::{Driver, Outcome};
use crate::docker::pool_id::{Of, PoolId};
use crate::docker::wire::{ipam, read};
use crate::serve::Call;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: ipam::RequestAddress = read(body)?;
    let pool = PoolId::parse(&request.pool_id)?;
    let address = match request.address.as_str() {
        "" => {
            let network = network_of(driver, &pool).await?;
            let hold = Hold { is_v6: pool.is_v6, network: Some(network) };
            match driver.ask(|answer| Call::Hold(hold.clone(), answer)).await? {
                Answer::Held(address) => address,
                other => return Err(format!("the head answered another question: {other:?}")),
            }
        }
        wanted => wanted.parse::<IpAddr>().map_err(|_| format!("{wanted:?} is not an address"))?,
    };
    Ok(json!({"Address": with_prefix(driver, &pool, address).await?.to_string()}))
}

/// An address stands by itself where hosts route; on a LAN it is one among those of its subnet. While a network is made its own are asked for, the
/// gateway among them: what they are like matters to nobody.
async fn with_prefix(driver: &Driver, pool: &PoolId, address: IpAddr) -> Result<IpNet, String> {
    let Some(binding) = binding_of(driver, pool).await? else { return Ok(address.into()) };
    let spec = &binding.1.wish.spec;
    let subnets = spec.subnets.iter().filter(|_| spec.macvlan.is_some()).filter_map(|text| text.parse::<IpNet>().ok());
    let subnet = subnets.into_iter().find(|subnet| subnet.contains(&address));
    Ok(subnet.and_then(|subnet| IpNet::new(address, subnet.prefix_len()).ok()).unwrap_or_else(|| address.into()))
}

/// The network a range belongs to.
async fn network_of(driver: &Driver, pool: &PoolId) -> Result<NetworkName, String> {
    if let Of::Network(name) = &pool.of {
        return Ok(name.clone());
    }
    let binding = binding_of(driver, pool).await?;
    driver.network_of(&binding.ok_or_else(|| format!("no network has the range {pool}"))?.0).await
}

/// The network of this Docker that has a range, and its id.
async fn binding_of(driver: &Driver, pool: &PoolId) -> Result<Option<(String, Binding)>, String> {
    let has_it = |binding: &Binding| match &pool.of {
        Of::Network(name) => binding.network.as_deref() == Some(name.as_str()),
        Of::Number(number) => binding.wish.numbers.contains(number),
        Of::Subnet(subnet) => binding.wish.spec.subnets.contains(&subnet.to_string()),
    };
    Ok(driver.bindings.all().await?.into_iter().find(|(_, binding)| has_it(binding)))
}
