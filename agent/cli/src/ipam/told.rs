//! What is told of addresses, in words and columns.

use std::fmt::Write as _;

use poplin_proto::v1::{AddressUse, CheckAddressesResponse, HostUse, PoolUse, ShowAddressesResponse};

use crate::moment::rfc3339;
use crate::table::aligned;

/// Pools and hosts, or one address.
pub(super) fn shown(answer: &ShowAddressesResponse) -> String {
    if let Some(address) = &answer.address {
        return one(address);
    }
    let heading = ["POOL", "CIDR", "BLOCKS", "SIZE", "USED", "FREE", "RESERVED", "KEPT", "COOLING", "MODE"];
    let mut pools = vec![heading.map(str::to_owned).to_vec()];
    pools.extend(answer.pools.iter().map(pool));
    let mut hosts = vec![["HOST", "POOL", "BLOCKS", "USED", "BORROWED"].map(str::to_owned).to_vec()];
    hosts.extend(answer.hosts.iter().map(host));
    match answer.hosts.is_empty() {
        true => aligned(&pools),
        false => format!("{}\n{}", aligned(&pools), aligned(&hosts)),
    }
}

fn pool(found: &PoolUse) -> Vec<String> {
    let blocks = format!("{} of {} (/{})", found.blocks, many(found.blocks_total), found.block_size);
    let counts = [found.addresses, found.used, found.free, found.reserved, found.kept, found.cooling].map(many);
    let mode = if found.mode.is_empty() { "-" } else { &found.mode };
    let mut row = vec![found.name.clone(), found.cidr.clone(), blocks];
    row.extend(counts);
    row.push(mode.to_owned());
    row
}

fn host(found: &HostUse) -> Vec<String> {
    let counts = [found.blocks, found.used, found.borrowed].map(|count| count.to_string());
    [found.host.clone(), found.pool.clone()].into_iter().chain(counts).collect()
}

/// Numbers nobody can count to, as those of IPv6 pools, are told by their power of two.
fn many(count: u64) -> String {
    match count {
        u64::MAX => "2^64 or more".to_owned(),
        count if count > u64::from(u32::MAX) && count.is_power_of_two() => format!("2^{}", count.trailing_zeros()),
        count if count > u64::from(u32::MAX) => format!("about 2^{}", count.ilog2()),
        count => count.to_string(),
    }
}

fn one(found: &AddressUse) -> String {
    let mut told = format!("{}: {}\n", found.address, found.state);
    let mut line = |what: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(told, "  {what:<10} {value}");
        }
    };
    line(if found.state == "kept" { "kept for" } else { "endpoint" }, &found.endpoint);
    line("host", &found.host);
    let seconds = i64::try_from(found.since).unwrap_or_default();
    line(
        "since",
        &Some(seconds).filter(|since| *since > 0).map(|since| rfc3339(since * 1_000_000_000)).unwrap_or_default(),
    );
    line("attachment", &found.attachment);
    line("pool", &found.pool);
    let block = Some(&found.block).filter(|block| !block.is_empty());
    line("block", &block.map(|block| format!("{block} of host {}", found.block_host)).unwrap_or_default());
    told
}

/// What was found wrong, and what was done or may be tried.
pub(super) fn checked(answer: &CheckAddressesResponse, fix: bool) -> String {
    let mut told = String::new();
    for finding in &answer.findings {
        let _ = writeln!(told, "{}: {}", finding.reason, finding.message);
        match (finding.mended, finding.mending.as_str()) {
            (true, "") => told += "    gone since\n",
            (true, mending) => drop(writeln!(told, "    mended: {mending}")),
            (false, mending) if !mending.is_empty() && !fix => drop(writeln!(told, "    --fix would do: {mending}")),
            (false, _) => drop(writeln!(told, "    try: {}", finding.advice)),
        }
    }
    let mended = answer.findings.iter().filter(|finding| finding.mended).count();
    let left = answer.findings.len() - mended;
    let looked = format!("{} pools, {} blocks, {} endpoints", answer.pools, answer.blocks, answer.endpoints);
    let also = if fix { format!(", {mended} mended") } else { String::new() };
    let _ = writeln!(told, "{looked}: {left} wrong{also}");
    told
}
