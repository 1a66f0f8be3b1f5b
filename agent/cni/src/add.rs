//! ADD: a container gets its interface, its address and its policy.

use poplin_proto::v1::AttachRequest;
use poplin_sandbox::{Inside, Prepared, SandboxError, Shape, Wiring};
use serde_json::Value;

use crate::agent::{self, Attached, detach, failure, request};
use crate::conf::Conf;
use crate::error::CniError;
use crate::invocation::Sandbox;
use crate::result;

pub(crate) async fn add(sandbox: &Sandbox, conf: &Conf) -> Result<Value, CniError> {
    let former = conf.former_result()?;
    let inside = Inside::enter(&sandbox.netns).map_err(|error| match error {
        SandboxError::Netns(error) => CniError::netns(&error),
        other => CniError::sandbox(&other),
    })?;
    let conf = &conf.heeding_the_pod()?;
    let Made { attached, dns } = attach(inside, sandbox, conf).await?;
    let result = result::compose(&conf.cni_version, former, sandbox, &attached);
    Ok(match conf.dns() {
        Some(wanted) => result::with_wanted_dns(result, wanted),
        None => result::with_dns(result, dns),
    })
}

/// An attachment, and where it may ask for names: nameservers, and the domains to search.
pub(crate) struct Made {
    pub(crate) attached: Attached,
    pub(crate) dns: (Vec<String>, Vec<String>),
}

/// Policy and routes stand before the container's side rises. If it cannot be furnished, the attachment is taken back.
pub(crate) async fn attach(inside: Inside, sandbox: &Sandbox, conf: &Conf) -> Result<Made, CniError> {
    let shape = conf.shape()?;
    let mut client = agent::workloads(conf).await?;
    let (answer, prepared) = tokio::join!(client.attach(request(wish(sandbox, conf))), inside.prepared());
    let answer = answer.map_err(failure)?.into_inner();
    let (services, dns) = (answer.service_addresses, (answer.nameservers, answer.search_domains));
    let attached = Attached::new(answer.endpoint, answer.gateways, answer.gateway_mac);
    let furnished =
        async { furnish(&prepared?, &wiring(sandbox, &attached)?.serving(&services)?, &attached, &shape).await };
    if let Err(error) = furnished.await {
        let error = CniError::sandbox(&error);
        return Err(match detach(&mut client, &sandbox.attachment).await {
            Ok(()) => error,
            Err(_) => error.details("and the agent could not take the attachment back; removing the container will"),
        });
    }
    Ok(Made { attached, dns })
}

fn wish(sandbox: &Sandbox, conf: &Conf) -> AttachRequest {
    AttachRequest {
        container: sandbox.attachment.container.clone(),
        container_interface: sandbox.attachment.interface.clone(),
        netns: sandbox.netns.display().to_string(),
        name: String::new(),
        labels: conf.labels(&sandbox.args),
        addresses: conf.addresses(&sandbox.args),
        namespace: conf.namespace(&sandbox.args),
        published: conf.published(),
        pools: conf.pools.clone().unwrap_or_default(),
        profiles: conf.profiles.clone().unwrap_or_default(),
        floating: conf.floating(),
        aliases: conf.aliases(&sandbox.args),
        preferred_names: conf.preferred_names(&sandbox.args, &sandbox.attachment.interface),
        mac: conf.mac(&sandbox.args),
        network: conf.network.clone().unwrap_or_default(),
        ..AttachRequest::default()
    }
}

async fn furnish(prepared: &Prepared, wiring: &Wiring, attached: &Attached, shape: &Shape) -> Result<(), SandboxError> {
    prepared.wire(wiring).await?;
    poplin_sandbox::shape(wiring, &attached.spec.interface, shape).await
}

pub(crate) fn wiring(sandbox: &Sandbox, attached: &Attached) -> Result<Wiring, SandboxError> {
    Wiring::parse(
        &sandbox.netns,
        &sandbox.attachment.interface,
        &attached.spec.addresses,
        &attached.gateways,
        &attached.gateway_mac,
    )
}
