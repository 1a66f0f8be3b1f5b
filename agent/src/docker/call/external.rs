//! The endpoint through which a container speaks to the world: of several networks dockerd chooses one, and there its ports are published. With each
//! endpoint it tells of ports, with that of every network again; what counts is what it tells here.

use std::collections::BTreeSet;

use poplin_node::request::Renew;
use poplin_policy::label::Labels;
use poplin_policy::nat::Published;

use super::portmap;
use crate::docker::driver::{Driver, Outcome, attachment, done};
use crate::docker::wire::{network, read};
use crate::serve::Call;

pub(in crate::docker) async fn program(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::CreateEndpoint = read(body)?;
    let published = portmap::published(request.options.as_ref())?;
    publish(driver, &request.endpoint_id, published).await
}

pub(in crate::docker) async fn revoke(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Named = read(body)?;
    publish(driver, &request.endpoint_id, Vec::new()).await
}

async fn publish(driver: &Driver, endpoint_id: &str, published: Vec<Published>) -> Outcome {
    let (names, labels) = (Vec::new(), Labels::default());
    let renew = Renew {
        attachment: attachment(endpoint_id),
        names,
        labels,
        published: Some(published),
        aliases: BTreeSet::new(),
        container: None,
    };
    driver.ask(|answer| Call::Renew(renew, answer)).await?;
    done()
}
