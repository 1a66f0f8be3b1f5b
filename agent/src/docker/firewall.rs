//! Docker's own firewall beside ours. A dockerd that switches forwarding on by itself lets nothing be forwarded that it does not know, and a packet
//! that one table drops no other can pass. It leaves one chain to others, `DOCKER-USER`, and there our links are let through, but for
//! what goes to Docker's own bridges or comes from there: what passes is still judged by our own table.
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

/// How Docker's own bridges are called: the usual one, and those of networks that people make.
const BRIDGES: [&str; 2] = ["docker0", "br-+"];

/// Lets our links through where dockerd has a firewall.
pub(super) async fn let_through() {
    for program in PROGRAMS {
        if run(program, &["--list-rules", CHAIN]).await.is_err() {
            continue; // this dockerd has no firewall of that family
        }
        for rule in rules() {
            let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
            if let Err(reason) = ensure(program, &rule).await {
                let rule = rule.join(" ");
                tracing::warn!("Docker's firewall is not as it should be: {reason}; try: {program} --insert {rule}");
            }
        }
    }
}

/// The rules, the last to be asked first, as each is inserted before the others. Between us and Docker's bridges Docker has its say: a port that
/// it does not publish stays closed to our containers, too.
fn rules() -> Vec<Vec<String>> {
    let ours = format!("{INTERFACE_PREFIX}+");
    let rule = |ends: &[&str], then: &str| {
        let words = [&[CHAIN], ends, &["--jump", then]].concat();
        words.into_iter().map(str::to_owned).collect()
    };
    let through = ["--in-interface", "--out-interface"].map(|direction| rule(&[direction, &ours], "ACCEPT"));
    let asked = BRIDGES.into_iter().flat_map(|bridge| {
        let there = rule(&["--in-interface", &ours, "--out-interface", bridge], "RETURN");
        [there, rule(&["--in-interface", bridge, "--out-interface", &ours], "RETURN")]
    });
    through.into_iter().chain(asked).collect()
}

/// One rule, unless it stands.
async fn ensure(program: &str, rule: &[&str]) -> Result<(), String> {
    if run(program, &[&["--check"], rule].concat()).await.is_ok() {
        return Ok(());
    }
    run(program, &[&["--insert"], rule].concat()).await
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(["--wait", PATIENCE]).args(arguments).output().await;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
