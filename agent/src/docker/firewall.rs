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

/// Docker's own bridge to the outside for containers of drivers that have no way there.
const GATEWAY_BRIDGE: &str = "docker_gwbridge";

/// Lets our links through where dockerd has a firewall.
pub(super) async fn let_through() {
    for program in PROGRAMS {
        if run(program, &["--list-rules", CHAIN]).await.is_err() {
            continue; // this dockerd has no firewall of that family
        }
        lay(program, &rules()).await;
    }
}

/// Keeps Docker's gateway bridge apart from our links. Over it containers of ours reach the outside where Docker publishes their ports; whoever
/// came that way to another network would be a stranger from outside there, and let in.
pub(super) async fn keep_apart() {
    for program in PROGRAMS {
        if run(program, &["--list-rules", CHAIN]).await.is_ok() {
            lay(program, &apart()).await;
        }
    }
}

async fn lay(program: &str, rules: &[Vec<String>]) {
    for rule in rules {
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        if let Err(reason) = ensure(program, &rule).await {
            let rule = rule.join(" ");
            tracing::warn!("Docker's firewall is not as it should be: {reason}; try: {program} --insert {rule}");
        }
    }
}

/// Answers to what ours asked of a port that Docker publishes come back.
fn apart() -> [Vec<String>; 2] {
    let ours = format!("{INTERFACE_PREFIX}+");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let new = ["--match", "conntrack", "--ctstate", "NEW"];
    let from_bridge = [CHAIN, "--in-interface", GATEWAY_BRIDGE, "--out-interface", &ours];
    [
        words(&[CHAIN, "--in-interface", &ours, "--out-interface", GATEWAY_BRIDGE, "--jump", "RETURN"]),
        words(&[&from_bridge[..], &new, &["--jump", "DROP"]].concat()),
    ]
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
