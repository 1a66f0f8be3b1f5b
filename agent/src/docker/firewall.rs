//! Docker's own firewall beside ours. A dockerd that switches forwarding on by itself lets nothing be forwarded that it does not know, and a packet
//! that one table drops no other can pass. It leaves one chain to others, `DOCKER-USER`, and there our links are let through: what passes there is
//! still judged by our own table.
//!
//! By `iptables`, the very program dockerd uses, for there are two kinds of it and we could not know which.

use poplin_node::kernel::INTERFACE_PREFIX;
use tokio::process::Command;

/// The programs, one for each family.
const PROGRAMS: [&str; 2] = ["iptables", "ip6tables"];

/// What dockerd leaves to others.
const CHAIN: &str = "DOCKER-USER";

/// Seconds to wait for others who change the same rules.
const PATIENCE: &str = "5";

/// Lets our links through where dockerd has a firewall.
pub(super) async fn let_through() {
    for program in PROGRAMS {
        for direction in ["--in-interface", "--out-interface"] {
            if let Err(reason) = ensure(program, direction).await {
                tracing::warn!(
                    "what Docker's firewall drops stays dropped: {reason}; try: {program} --insert {CHAIN} {direction} {INTERFACE_PREFIX}+ --jump ACCEPT"
                );
            }
        }
    }
}

/// One rule, unless it stands, or there is no such chain: this dockerd then has no firewall of that family.
async fn ensure(program: &str, direction: &str) -> Result<(), String> {
    let has_chain = run(program, &["--list-rules", CHAIN]).await.is_ok();
    let rule = [CHAIN, direction, &format!("{INTERFACE_PREFIX}+"), "--jump", "ACCEPT"];
    if !has_chain || run(program, &[&["--check"], &rule[..]].concat()).await.is_ok() {
        return Ok(());
    }
    run(program, &[&["--insert"], &rule[..]].concat()).await
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(["--wait", PATIENCE]).args(arguments).output().await;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
