//! How often each rule settled or logged a flow on this host.
//!
//! In: what the kernel counted chain by chain, and what the head says each chain counts. Out: both together, in the wire's form.

use std::collections::BTreeMap;

use poplin_policy::compile::Counted;
use poplin_policy::ruleset::Name;
use poplin_proto::Failure;
use poplin_proto::v1::RuleCounter;
use tonic::Code;

use super::{Call, Desk};
use crate::kernel::{Count, counts};
use poplin_manifest::question::decider;

/// The counters of one policy, or of all.
pub(super) async fn list(desk: &Desk, policy: &str) -> Result<Vec<RuleCounter>, Failure> {
    let counted = desk.ask(Call::Counted).await?;
    let read = tokio::task::spawn_blocking(counts).await;
    let counts = read.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
    Ok(joined(counted, &counts).filter(|counter| policy.is_empty() || counter.policy == policy).collect())
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::new(Code::Unavailable, "KERNEL_UNREADABLE", format!("the kernel's counters cannot be read: {error}"))
        .advice("try again in a moment")
}

fn joined(counted: BTreeMap<Name, Counted>, counts: &BTreeMap<Name, Count>) -> impl Iterator<Item = RuleCounter> {
    let mut rows: Vec<(Counted, Count)> = counted
        .into_iter()
        .map(|(chain, counted)| (counted, counts.get(&chain).copied().unwrap_or_default()))
        .collect();
    rows.sort_by(|(left, _), (right, _)| (&left.by, left.direction).cmp(&(&right.by, right.direction)));
    rows.into_iter().map(|(counted, count)| {
        let (tier, policy, rule) = decider(&counted.by);
        RuleCounter {
            direction: counted.direction.to_string(),
            tier,
            policy,
            rule,
            action: counted.effect.to_string(),
            staged: counted.is_staged,
            packets: count.packets,
            bytes: count.bytes,
        }
    })
}
