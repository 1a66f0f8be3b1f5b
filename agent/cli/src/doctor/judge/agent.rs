//! Whether the agent is there, and what it complains of that belongs to no other check.

use poplin_proto::v1::{GetStatusResponse, PoolUse};

use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, Told};

/// Of a pool's addresses, how many may be left before it is time for another: one in twenty.
const SCARCE: u64 = 20;

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    match &reading.agent {
        None => Vec::new(),
        Some(Err((message, advice))) => {
            let message = format!("the agent does not answer: {message}; what follows is seen from outside");
            vec![Finding::failure("agent", message, advice)]
        }
        Some(Ok(told)) => told_by(told),
    }
}

fn told_by(told: &Told) -> Vec<Finding> {
    let status = &told.status;
    let mut findings = Vec::new();
    if let Some((message, advice)) = status.name_conflict.split_once("; ") {
        findings.push(Finding::failure("name-conflict", format!("this host does nothing: {message}"), advice));
    }
    if !status.kernel_error.is_empty() {
        let advice = "see the agent's log; it tries again by itself";
        findings.push(Finding::failure(
            "kernel-refuses",
            format!("the kernel refuses: {}", status.kernel_error),
            advice,
        ));
    }
    if status.draining {
        let advice = format!("poplin host undrain {}, once the work is done", status.host);
        findings.push(Finding::note("drained", "a person drains this host: services go to others", advice));
    }
    findings.extend(told.pools.iter().filter_map(pool));
    findings.extend(services(status));
    if !told.addresses.is_empty() {
        let first = told.addresses.first().map(|finding| finding.message.clone()).unwrap_or_default();
        let message =
            format!("the records of addresses do not agree in {} places; the first: {first}", told.addresses.len());
        findings.push(Finding::warning("addresses", message, "poplin ipam check, and poplin ipam check --fix"));
    }
    findings
}

fn pool(pool: &PoolUse) -> Option<Finding> {
    let PoolUse { name, cidr, free, addresses, mode, .. } = pool;
    if mode == "disabled" || *addresses == 0 || *free >= addresses.div_ceil(SCARCE) {
        return None;
    }
    let message = format!("pool {name} ({cidr}) has {free} of {addresses} addresses left");
    let advice = "add a pool, or see poplin ipam leaks for addresses whose containers are gone";
    Some(match free {
        0 => Finding::failure("pool", message, advice),
        _ => Finding::warning("pool", message, advice),
    })
}

fn services(status: &GetStatusResponse) -> impl Iterator<Item = Finding> {
    status.services.iter().flat_map(|service| {
        let sick = service.members.iter().filter(|member| !member.healthy && !member.complaint.is_empty());
        sick.map(|member| {
            let message = format!("{} of service {} is unhealthy: {}", member.endpoint, service.name, member.complaint);
            Finding::warning(
                "service",
                message,
                "see the container's own log; its health check is in the service's spec",
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_agent_is_named_with_what_to_try() {
        let agent = Some(Err(("no socket".to_owned(), "start poplind".to_owned())));

        let findings = judge(&Reading { agent, ..Reading::default() });

        assert_eq!(findings[0].message, "the agent does not answer: no socket; what follows is seen from outside");
        assert_eq!(findings[0].advice, "start poplind");
    }

    #[test]
    fn a_pool_warns_before_it_is_empty() {
        let with = |free| PoolUse { name: "p".to_owned(), addresses: 100, free, ..PoolUse::default() };

        assert_eq!(pool(&with(5)), None);
        assert_eq!(pool(&with(4)).map(|finding| finding.weight), Some(crate::doctor::finding::Weight::Warning));
        assert_eq!(pool(&with(0)).map(|finding| finding.weight), Some(crate::doctor::finding::Weight::Failure));
    }
}
