//! The endpoint through which a container speaks to the world: of several networks dockerd chooses one, and there its ports are published. With each
//! endpoint it tells of ports, with that of every network again; what counts is what it tells here.

use std::collections::BTreeSet;

use poplin_node::name::AttachmentId;
use poplin_node::request::{Answer, Refusal, Renew};
use poplin_policy::label::Labels;
use poplin_policy::nat::Published;

use super::free_port::Choice;
use super::portmap;
use crate::docker::driver::{Driver, Outcome, attachment, done, told_failure};
use crate::docker::wire::{network, read};
use crate::serve::{Call, refused};

pub(in crate::docker) async fn program(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::CreateEndpoint = read(body)?;
    let wanted = portmap::wanted(request.options.as_ref())?;
    let endpoint = &request.endpoint_id;
    if !wanted.is_empty() && is_on_a_lan(driver, endpoint).await? {
        tracing::info!("Docker's endpoint {endpoint} is on a LAN with all its ports: none is published");
        return done();
    }
    let mut choices = Choice::all(&wanted, &held(driver, attachment(endpoint)).await?, endpoint)?;
    loop {
        let published: Vec<Published> = choices.iter().map(|choice| choice.now().clone()).collect();
        match publish(driver, endpoint, published.clone()).await? {
            Answer::Refused(Refusal::PortTaken { wanted, .. } | Refusal::PortOfTunnels { wanted, .. })
                if may_move(&choices, &wanted) =>
            {
                let passed = choices.iter_mut().find(|choice| *choice.now() == wanted);
                passed.map_or(Ok(()), |choice| choice.pass_over(&published))?;
            }
            Answer::Refused(refusal) => return Err(told_failure(&refused(&refusal))),
            _ => return done(),
        }
    }
}

pub(in crate::docker) async fn revoke(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::Named = read(body)?;
    match publish(driver, &request.endpoint_id, Vec::new()).await? {
        Answer::Refused(refusal) => Err(told_failure(&refused(&refusal))),
        _ => done(),
    }
}

fn may_move(choices: &[Choice<'_>], port: &Published) -> bool {
    choices.iter().any(|choice| choice.now() == port && choice.is_free_to_move())
}

/// Whether the endpoint has an interface of its own on a LAN: as with Docker's own driver for that, nothing is published for it.
async fn is_on_a_lan(driver: &Driver, endpoint_id: &str) -> Result<bool, String> {
    let found = driver.desk.ask(|answer| Call::Check(attachment(endpoint_id), answer)).await;
    let found = found.map_err(|failure| told_failure(&failure))?;
    Ok(found.is_some_and(|(attached, _)| attached.endpoint.parent.is_some()))
}

/// What the endpoint publishes already.
async fn held(driver: &Driver, attachment: AttachmentId) -> Result<Vec<Published>, String> {
    let found = driver.desk.ask(|answer| Call::Check(attachment, answer)).await;
    Ok(found
        .map_err(|failure| told_failure(&failure))?
        .map(|(attached, _)| attached.endpoint.published)
        .unwrap_or_default())
}

async fn publish(driver: &Driver, endpoint_id: &str, published: Vec<Published>) -> Result<Answer, String> {
    let renew = Renew {
        attachment: attachment(endpoint_id),
        names: Vec::new(),
        labels: Labels::default(),
        published: Some(published),
        aliases: BTreeSet::new(),
        container: None,
        netns: None,
    };
    driver.ask_in_turn(|answer| Call::Renew(renew.clone(), answer)).await
}
