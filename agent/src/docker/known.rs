//! Whose endpoint it is: dockerd tells it in no call, and in an event a moment later, before the container's process starts.

use std::collections::BTreeMap;

use poplin_node::name::{EndpointName, NetworkName};
use poplin_node::request::Renew;
use poplin_policy::label::Labels;
use serde_json::Value;

use super::api::filters;
use super::driver::{Driver, attachment};
use super::naming::{plain, usable};
use crate::serve::Call;

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
    driver.ask(|answer| Call::Renew(renew, answer)).await.map(|_| ())
}

/// What is known of an endpoint by how dockerd lists its container: nothing, if it does not.
fn renewal(listed: &Value, network: &NetworkName, host: &str, endpoint_id: &str) -> Option<Renew> {
    let name = plain(listed["Names"][0].as_str()?.trim_start_matches('/'));
    let names = [format!("{name}.{network}"), format!("{name}.{network}.{host}")].map(EndpointName::new).to_vec();
    let labels: BTreeMap<String, String> = serde_json::from_value(listed["Labels"].clone()).unwrap_or_default();
    let labels = usable(&labels);
    let labels = Labels::try_from_pairs(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
    Some(Renew { attachment: attachment(endpoint_id), names, labels: labels.unwrap_or_default(), published: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_its_name_and_labels() {
        let listed =
            serde_json::json!({"Id": "c1", "Names": ["/Web_1"], "Labels": {"app": "web", "note": "two words"}});

        let renew = renewal(&listed, &NetworkName::new("shop"), "h1", "e1").unwrap();

        assert_eq!(renew.names.iter().map(EndpointName::as_str).collect::<Vec<_>>(), ["web-1.shop", "web-1.shop.h1"]);
        assert_eq!(renew.labels.iter().collect::<Vec<_>>(), [("app", "web")]);
        assert_eq!(renewal(&Value::Null, &NetworkName::new("shop"), "h1", "e1"), None);
    }
}
