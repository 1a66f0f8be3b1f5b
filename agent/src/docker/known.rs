//! Whose endpoint it is: dockerd tells it in no call, and in an event a moment later, before the container's process starts.

use std::collections::{BTreeMap, BTreeSet};

use poplin_manifest::field::dns_name;
use poplin_node::name::{EndpointName, NetworkName};
use poplin_node::request::Renew;
use poplin_policy::label::Labels;
use serde_json::Value;

use super::api::filters;
use super::driver::{Driver, attachment};
use super::naming::{plain, usable};
use crate::serve::Call;

/// What compose calls the service that a container is of; every container of it has that as an alias.
const COMPOSE_SERVICE: &str = "com.docker.compose.service";

/// How many aliases are taken over of one container, of those that an endpoint may have.
const MOST_ALIASES: usize = 24;

/// Makes known whose endpoints of a network those of this container are; of any container, if none is named.
pub(super) async fn introduce(driver: &Driver, network_id: &str, container: Option<&str>) -> Result<(), String> {
    let network = driver.network_of(network_id).await?;
    let told = driver.api.get(&format!("/networks/{network_id}")).await?;
    let mut outcome = Ok(());
    for (id, endpoint) in told["Containers"].as_object().into_iter().flatten() {
        if container.is_none_or(|wanted| wanted == id) {
            let endpoint_id = endpoint["EndpointID"].as_str().unwrap_or_default();
            outcome = introduce_one(driver, &network, id, endpoint_id).await.and(outcome);
        }
    }
    outcome
}

async fn introduce_one(
    driver: &Driver,
    network: &NetworkName,
    container: &str,
    endpoint_id: &str,
) -> Result<(), String> {
    // A list, for a look at one container would wait for the very start that waits for us.
    let path = format!("/containers/json?all=1&filters={}", filters("id", container));
    let listed = driver.api.get(&path).await?;
    let Some(renew) = renewal(&listed[0], network, &driver.desk.host, endpoint_id) else { return Ok(()) };
    let known = Renew { names: Vec::new(), ..renew.clone() };
    driver.ask(|answer| Call::Renew(renew.clone(), answer)).await?;
    tokio::spawn(add_aliases(driver.clone(), known, format!("/containers/{container}/json"), endpoint_id.to_owned()));
    Ok(())
}

/// Makes known what else a container is called in a network. dockerd tells it by a look at that container, once it has started: nobody waits.
async fn add_aliases(driver: Driver, known: Renew, path: String, endpoint_id: String) {
    let Ok(shown) = driver.api.get(&path).await.inspect_err(|reason| tracing::warn!("Docker: {reason}")) else {
        return;
    };
    let networks = shown["NetworkSettings"]["Networks"].as_object();
    let endpoint = networks.and_then(|all| all.values().find(|one| one["EndpointID"] == endpoint_id.as_str()));
    let told = endpoint.and_then(|endpoint| endpoint["Aliases"].as_array()).into_iter().flatten();
    let renew = Renew { aliases: aliases(told.filter_map(Value::as_str)), ..known };
    if !renew.aliases.is_empty() {
        let _ = driver.ask(|answer| Call::Renew(renew.clone(), answer)).await; // it may have left meanwhile
    }
}

/// Those that DNS can have.
fn aliases<'a>(told: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    told.filter_map(|alias| dns_name("alias", alias).ok()).take(MOST_ALIASES).collect()
}

/// What is known of an endpoint by how dockerd lists its container: nothing, if it does not.
fn renewal(listed: &Value, network: &NetworkName, host: &str, endpoint_id: &str) -> Option<Renew> {
    let name = plain(listed["Names"][0].as_str()?.trim_start_matches('/'));
    let names = [format!("{name}.{network}"), format!("{name}.{network}.{host}")].map(EndpointName::new).to_vec();
    let labels: BTreeMap<String, String> = serde_json::from_value(listed["Labels"].clone()).unwrap_or_default();
    let labels = usable(&labels);
    let labels = Labels::try_from_pairs(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    let service = listed["Labels"][COMPOSE_SERVICE].as_str();
    Some(Renew {
        attachment: attachment(endpoint_id),
        names,
        labels: labels.unwrap_or_default(),
        published: None,
        aliases: aliases(service.into_iter()),
        container: listed["Id"].as_str().map(str::to_owned),
        netns: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_name_and_labels() {
        let listed = serde_json::json!({"Id": "c1", "Names": ["/Web_1"], "Labels": {"app": "web", "note": "two words",
                "com.docker.compose.service": "web"}});

        let renew = renewal(&listed, &NetworkName::new("shop"), "h1", "e1").unwrap();

        assert_eq!(renew.names.iter().map(EndpointName::as_str).collect::<Vec<_>>(), ["web-1.shop", "web-1.shop.h1"]);
        assert_eq!(renew.labels.iter().collect::<Vec<_>>(), [("app", "web"), ("com.docker.compose.service", "web")]);
        assert_eq!((renew.aliases, renew.container), (["web".to_owned()].into(), Some("c1".to_owned())));
        assert_eq!(renewal(&Value::Null, &NetworkName::new("shop"), "h1", "e1"), None);
    }
}
