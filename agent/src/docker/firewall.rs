//! Docker's own firewall beside ours. A dockerd that switches forwarding on by itself lets nothing be forwarded that it does not know, and a packet
//! that one table drops no other can pass. It leaves one chain to others, `DOCKER-USER`; from there a chain of ours is asked that lets our links
//! through, but for what goes to Docker's own bridges or comes from there: what passes is still judged by our own table.
//!
//! The chain is written whole, so its rules stand in their order whoever asked for which of them first. By `iptables`, the very program dockerd
//! uses, for there are two kinds of it and we could not know which.

use std::process::Stdio;

use poplin_node::kernel::INTERFACE_PREFIX;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Mutex;

/// The programs, one for each family.
const PROGRAMS: [&str; 2] = ["iptables", "ip6tables"];

/// What dockerd leaves to others.
const DOOR: &str = "DOCKER-USER";

/// Ours.
const CHAIN: &str = "POPLIN";

/// Seconds to wait for others who change the same rules.
const PATIENCE: &str = "5";

/// How Docker's own bridges are called: the usual one, and those of networks that people make.
const BRIDGES: [&str; 2] = ["docker0", "br-+"];

/// Docker's own bridge to the outside for containers of drivers that have no way there.
const GATEWAY_BRIDGE: &str = "docker_gwbridge";

/// One writer at a time: what stands is read before it is written.
static TURN: Mutex<()> = Mutex::const_new(());

/// Lets our links through where dockerd has a firewall.
pub(super) async fn let_through() {
    lay(false).await;
}

/// Keeps Docker's gateway bridge apart from our links, from now on. Over it containers of ours reach the outside where Docker publishes their
/// ports; whoever came that way to another network would be a stranger from outside there, and let in.
pub(super) async fn keep_apart() {
    lay(true).await;
}

async fn lay(is_apart: bool) {
    let _turn = TURN.lock().await;
    for program in PROGRAMS {
        let standing = run(program, &["--list-rules"]).await.unwrap_or_default();
        if !standing.lines().any(|line| line == format!("-N {DOOR}")) {
            continue; // this dockerd has no firewall of that family
        }
        let rules = rules(is_apart || standing.contains(&format!("-A {CHAIN} -i {GATEWAY_BRIDGE} ")));
        if let Err(reason) = stand(program, &rules, &standing).await {
            let rules = rules.join("; ");
            tracing::warn!("Docker's firewall is not as it should be, we want in its chain {DOOR}: {rules}: {reason}");
        }
    }
}

/// The chain as it should be, and the way into it.
async fn stand(program: &str, rules: &[String], standing: &str) -> Result<(), String> {
    let is_ours = |line: &&str| line.starts_with(&format!("-A {CHAIN} "));
    if !standing.lines().filter(is_ours).eq(rules) {
        write(program, rules).await?;
    }
    let way = format!("-A {DOOR} -j {CHAIN}");
    if standing.lines().any(|line| line == way) {
        return Ok(());
    }
    run(program, &["--insert", DOOR, "--jump", CHAIN]).await.map(drop)
}

/// The rules in the order in which they are asked, as `iptables -S` prints them. Between us and Docker's bridges Docker has its say: a port that it
/// does not publish stays closed to our containers, too. Answers to what ours asked of a port that Docker publishes come back by the gateway bridge.
fn rules(is_apart: bool) -> Vec<String> {
    let ours = format!("{INTERFACE_PREFIX}+");
    let apart = [
        format!("-i {GATEWAY_BRIDGE} -o {ours} -m conntrack --ctstate NEW -j DROP"),
        format!("-i {ours} -o {GATEWAY_BRIDGE} -j RETURN"),
    ];
    let asked = BRIDGES
        .into_iter()
        .flat_map(|bridge| [format!("-i {bridge} -o {ours} -j RETURN"), format!("-i {ours} -o {bridge} -j RETURN")]);
    let through = ["-i", "-o"].map(|direction| format!("{direction} {ours} -j ACCEPT"));
    let apart = apart.into_iter().filter(|_| is_apart);
    apart.chain(asked).chain(through).map(|rule| format!("-A {CHAIN} {rule}")).collect()
}

/// All of the chain at once: whoever asks it meanwhile meets the old one or the new.
async fn write(program: &str, rules: &[String]) -> Result<(), String> {
    let text = format!("*filter\n:{CHAIN} - [0:0]\n{}\nCOMMIT\n", rules.join("\n"));
    told(&format!("{program}-restore"), &["--noflush", "--wait", PATIENCE], &text).await.map(drop)
}

async fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    told(program, &[&["--wait", PATIENCE], arguments].concat(), "").await
}

/// What the program says to `input`.
async fn told(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let of_program = |error: std::io::Error| format!("{program}: {error}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(of_program)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.map_err(of_program)?;
    }
    let output = child.wait_with_output().await.map_err(of_program)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{program}: {}", text(&output.stderr))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_gateway_bridge_apart_is_asked_before_what_lets_our_links_through() {
        let rules = rules(true);
        let at = |part: &str| rules.iter().position(|rule| rule.contains(part)).expect(part);

        assert!(at("docker_gwbridge -o pop+ -m conntrack --ctstate NEW -j DROP") < at("ACCEPT"), "{rules:?}");
        assert!(at("-i docker0 -o pop+ -j RETURN") < at("ACCEPT"), "{rules:?}");
        assert!(!super::rules(false).iter().any(|rule| rule.contains("docker_gwbridge")));
    }
}
