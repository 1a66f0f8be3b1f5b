//! An address is asked for before it is said what for. One that nobody named is held until its endpoint comes; one that somebody named is judged
//! when it comes, and may be for a gateway, which is none of ours.

use ipnet::IpNet;
use poplin_node::name::NetworkName;
use poplin_node::request::{Answer, Hold};
use serde_json::json;

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
        wanted => wanted.parse().map_err(|_| format!("{wanted:?} is not an address"))?,
    };
    Ok(json!({"Address": IpNet::from(address).to_string()}))
}

/// The network a range belongs to.
async fn network_of(driver: &Driver, pool: &PoolId) -> Result<NetworkName, String> {
    let is_its = |wish: &crate::docker::wish::Wish| match &pool.of {
        Of::Network(_) => false,
        Of::Number(number) => wish.numbers.contains(number),
        Of::Subnet(subnet) => wish.spec.subnets.contains(&subnet.to_string()),
    };
    match &pool.of {
        Of::Network(name) => Ok(name.clone()),
        Of::Number(_) | Of::Subnet(_) => {
            let all = driver.bindings.all().await?;
            let id = all.iter().find(|(_, binding)| is_its(&binding.wish)).map(|(id, _)| id);
            driver.network_of(id.ok_or_else(|| format!("no network has the range {pool}"))?).await
        }
    }
}
