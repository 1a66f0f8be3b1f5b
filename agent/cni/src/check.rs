//! CHECK: whether the attachment still is what ADD said it is: at the agent, in the container, and in the result.

use poplin_proto::v1::CheckRequest;
use poplin_sandbox::{Finding, SandboxError, Shape};

use crate::add::wiring;
use crate::agent::{Attached, failure, request, workloads};
use crate::conf::Conf;
use crate::error::CniError;
use crate::invocation::Sandbox;
use crate::result;

pub(crate) async fn check(sandbox: &Sandbox, conf: &Conf) -> Result<(), CniError> {
    let previous = conf.former_result()?.ok_or_else(|| CniError::config("CHECK needs prevResult"))?;
    poplin_sandbox::netns::validate(&sandbox.netns).map_err(|error| CniError::netns(&error))?;
    let message = CheckRequest {
        container: sandbox.attachment.container.clone(),
        container_interface: sandbox.attachment.interface.clone(),
    };
    let answer = workloads(conf).await?.check(request(message)).await.map_err(failure)?.into_inner();
    let mut findings = answer.findings.clone();
    let attached = Attached::of_check(answer);
    findings.extend(inspect(sandbox, &attached, &conf.shape()?).await.map_err(|error| CniError::sandbox(&error))?);
    findings.extend(result::differences(previous, sandbox, &attached));
    if findings.is_empty() { Ok(()) } else { Err(CniError::differs(&findings)) }
}

async fn inspect(sandbox: &Sandbox, attached: &Attached, shape: &Shape) -> Result<Vec<String>, SandboxError> {
    let wiring = wiring(sandbox, attached)?;
    let mut findings = poplin_sandbox::inspect(&wiring).await?;
    // What is not there has no queue either.
    if !findings.iter().any(|finding| matches!(finding, Finding::NoInterface { .. })) {
        findings.extend(poplin_sandbox::inspect_shape(&wiring, &attached.spec.interface, shape).await?);
    }
    Ok(findings.iter().map(ToString::to_string).collect())
}
