//! Out of which range will the addresses of a network be that is about to be made? Nothing is taken yet, and nothing need be given back.
//!
//! Where nobody named a range, the answer is the whole of IPv4: dockerd asks again, without end, for whatever overlaps a route of the host, and all
//! of ours do. The gateway that goes with it bears a number, by which the network is known that is made next.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use poplin_node::name::NetworkName;
use poplin_node::network::{free_index, gateway_v4, gateway_v6};

use crate::docker::driver::{Driver, Outcome, told};
use crate::docker::pool_id::{Of, PoolId};
use crate::docker::wire::{ipam, read};
use crate::docker::wish::NETWORK;

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: ipam::RequestPool = read(body)?;
    let any = if request.v6 { "::/0" } else { "0.0.0.0/0" };
    let named = request.options.as_ref().and_then(|options| options.get(NETWORK));
    let subnet = match request.pool.as_str() {
        "" => None,
        text => Some(prefix(text)?),
    };
    let (of, gateway) = match (named, subnet) {
        (Some(name), _) => (Of::Network(NetworkName::new(name.as_str())), any.to_owned()),
        (None, Some(subnet)) => {
            let range = (!request.sub_pool.is_empty()).then(|| prefix(&request.sub_pool)).transpose()?;
            driver.remember(|memory| match range {
                Some(range) => memory.ranges.insert(subnet, range),
                None => memory.ranges.remove(&subnet),
            });
            (Of::Subnet(subnet), any.to_owned())
        }
        (None, None) => {
            let number = number(driver).await?;
            (Of::Number(number), gateway(number, request.v6))
        }
    };
    let pool_id = PoolId { of, is_v6: request.v6 }.to_string();
    let pool = subnet.map_or_else(|| any.to_owned(), |subnet| subnet.to_string());
    told(&ipam::Pool { pool_id, pool, data: BTreeMap::from([(ipam::GATEWAY, gateway)]) })
}

fn prefix(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>().map(|net| net.trunc()).map_err(|_| format!("{text:?} is not a prefix"))
}

/// A number that no network has, and that was given to none of this Docker.
async fn number(driver: &Driver) -> Result<u16, String> {
    let indexes = driver.networks().await?;
    let indexes = indexes.iter().filter_map(|network| u16::try_from(network.spec.as_ref()?.index).ok());
    let bound = driver.bindings.all().await?;
    let bound = bound.values().flat_map(|binding| binding.wish.numbers.clone());
    let mut taken: BTreeSet<u16> = indexes.chain(bound).collect();
    let host = &driver.desk.host;
    driver.remember(|memory| {
        taken.extend(&memory.numbers);
        let number = free_index(&format!("{host} {}", memory.numbers.len()), &taken).ok_or("every number is taken")?;
        memory.numbers.push(number);
        Ok(number)
    })
}

fn gateway(number: u16, is_v6: bool) -> String {
    match is_v6 {
        false => IpNet::from(gateway_v4(number)).to_string(),
        true => IpNet::from(std::net::IpAddr::V6(gateway_v6(number))).to_string(),
    }
}
