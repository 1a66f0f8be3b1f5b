//! CHECK: whether the attachment still is what ADD said it is: at the agent, in the container, and in the result.

use poplin_proto::v1::CheckRequest;
use poplin_sandbox::Finding;

use crate::add::wiring;
use crate::agent::{Attached, failure, request, workloads};
use crate::conf::Conf;
use crate::error::CniError;
use crate::invocation::Sandbox;
use crate::result;

pub(crate) async fn check(sandbox: &Sandbox, conf: &Conf) -> Result<(), CniError> {
    let previous = conf.prev_result.as_ref().ok_or_else(|| CniError::config("CHECK needs prevResult"))?;
    poplin_sandbox::netns::validate(&sandbox.netns).map_err(|error| CniError::netns(&error))?;
    let message = CheckRequest {
        container: sandbox.attachment.container.clone(),
        container_interface: sandbox.attachment.interface.clone(),
    };
    let answer = workloads(conf).await?.check(request(message)).await.map_err(failure)?.into_inner();
    let mut findings = answer.findings.clone();
    let attached = Attached::of_check(answer);
    let shape = conf.shape()?;
    let inspected = wiring(sandbox, &attached).and_then(|wiring| {
        let findings = poplin_sandbox::inspect(&wiring)?;
        // What is not there has no queue either.
        let is_there = !findings.iter().any(|finding| matches!(finding, Finding::NoInterface { .. }));
        let bounds = is_there.then(|| poplin_sandbox::inspect_shape(&wiring, &attached.spec.interface, &shape));
        Ok([findings, bounds.transpose()?.unwrap_or_default()].concat())
    });
    findings.extend(inspected.map_err(|error| CniError::sandbox(&error))?.iter().map(ToString::to_string));
    findings.extend(result::differences(previous, sandbox, &attached));
    if findings.is_empty() { Ok(()) } else { Err(CniError::differs(&findings)) }
}
