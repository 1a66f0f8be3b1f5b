//! Shows a wiring in the kernel: a real namespace, a real veth pair, read back with `ip`. Needs root.

#![allow(clippy::unwrap_used, reason = "a helper of a test that cannot go on ends the test")]

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use poplin_sandbox::{Finding, Inside, NetnsError, SandboxError, Wiring, inspect, netns};
use serde_json::Value;

const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 1];

#[tokio::test]
async fn a_wired_container_has_its_address_its_gateway_and_its_routes() {
    let Some(pair) = Pair::new() else { return };

    wire(&pair.wiring()).await.unwrap();

    assert_eq!(inspect(&pair.wiring()).await.unwrap(), []);
    assert!(pair.addresses("eth0").contains(&("10.77.0.5".to_owned(), 32)));
    assert!(pair.addresses("eth0").contains(&("fd77::5".to_owned(), 128)));
    assert_eq!(pair.ip("route show 169.254.40.1")[0]["scope"], "link");
    assert_eq!(pair.ip("route show default")[0]["gateway"], "169.254.40.1");
    assert_eq!(pair.ip("-6 route show default")[0]["gateway"], "fe80::1");
    assert_eq!(pair.ip("neigh show 169.254.40.1")[0]["lladdr"], "02:00:00:00:00:01");
    assert_eq!(pair.ip("neigh show 169.254.40.1")[0]["state"][0], "PERMANENT");
    assert!(pair.ip("addr show lo").to_string().contains("127.0.0.1"));
    assert!(!pair.ip("-6 addr show eth0 scope global").to_string().contains("tentative"));
}

#[tokio::test]
async fn wiring_twice_is_wiring_once() {
    let Some(pair) = Pair::new() else { return };
    wire(&pair.wiring()).await.unwrap();
    let once = (pair.ip("route"), pair.ip("-6 route show default"), pair.ip("neigh show nud permanent"));

    wire(&pair.wiring()).await.unwrap();

    let twice = (pair.ip("route"), pair.ip("-6 route show default"), pair.ip("neigh show nud permanent"));
    assert_eq!(once, twice);
}

#[tokio::test]
async fn a_default_route_of_another_interface_stays() {
    let Some(pair) = Pair::new() else { return };
    pair.run("ip link add other type veth peer name beyond");
    pair.run("ip addr add 192.0.2.2/24 dev other");
    pair.run("ip link set other up");
    pair.run("ip route add default via 192.0.2.1");

    wire(&pair.wiring()).await.unwrap();

    let defaults = pair.ip("route show default");
    assert_eq!(defaults.as_array().unwrap().len(), 1);
    assert_eq!(defaults[0]["gateway"], "192.0.2.1");
    assert_eq!(inspect(&pair.wiring()).await.unwrap(), []);
}

#[tokio::test]
async fn beside_another_default_what_is_sent_from_its_own_address_leaves_by_itself() {
    let Some(pair) = Pair::new() else { return };
    pair.run("ip link add other type veth peer name beyond");
    pair.run("ip addr add 192.0.2.2/24 dev other");
    pair.run("ip link set other up");
    pair.run("ip route add default via 192.0.2.1");

    wire(&pair.wiring()).await.unwrap();
    wire(&pair.wiring()).await.unwrap();

    assert_eq!(pair.ip("route get 198.51.100.1 from 10.77.0.5")[0]["gateway"], "169.254.40.1");
    let rules = pair.ip("rule show");
    let own = rules.as_array().unwrap().iter().filter(|rule| rule["src"] == "10.77.0.5");
    assert_eq!(own.count(), 1, "{rules}");
}

#[tokio::test]
async fn inspection_finds_what_someone_took_away() {
    let Some(pair) = Pair::new() else { return };
    wire(&pair.wiring()).await.unwrap();
    pair.run("ip addr del 10.77.0.5/32 dev eth0");
    pair.run("ip neigh del fe80::1 dev eth0");

    let findings = inspect(&pair.wiring()).await.unwrap();

    // With its last IPv4 address an interface loses its IPv4 routes (fib_inetaddr_event in the kernel's fib_frontend.c).
    assert!(findings.contains(&Finding::NoAddress { address: "10.77.0.5".parse().unwrap() }), "{findings:?}");
    assert!(findings.contains(&Finding::NoDefault { gateway: "169.254.40.1".parse().unwrap() }), "{findings:?}");
    assert!(findings.contains(&Finding::NoNeighbour { gateway: "fe80::1".parse().unwrap() }), "{findings:?}");
    pair.run("ip link set eth0 down");
    assert!(inspect(&pair.wiring()).await.unwrap().contains(&Finding::Down { interface: "eth0".to_owned() }));
}

#[tokio::test]
async fn an_end_outside_that_does_not_rise_is_waited_for_in_vain_and_not_for_long() {
    let (Some(pair), Some(outside)) = (Pair::new(), Pair::new()) else { return };
    outside.run("ip link del eth0");
    pair.run(&format!("ip link set outside netns {}", outside.name));

    wire(&pair.wiring()).await.unwrap();

    assert_eq!(inspect(&pair.wiring()).await.unwrap(), []);
}

#[tokio::test]
async fn a_missing_interface_is_named() {
    let Some(pair) = Pair::new() else { return };
    let wiring = Wiring { interface: "net9".to_owned(), ..pair.wiring() };

    let error = wire(&wiring).await.unwrap_err();

    assert!(matches!(error, SandboxError::NoInterface { .. }), "{error}");
    assert_eq!(inspect(&wiring).await.unwrap(), [Finding::NoInterface { interface: "net9".to_owned() }]);
}

#[test]
fn what_is_no_namespace_is_told_apart() {
    let absent = netns::validate("/run/netns/nobody-was-here".as_ref());
    let file = netns::validate("/etc/hostname".as_ref());
    let device = netns::validate("/dev/null".as_ref());

    assert!(matches!(absent, Err(NetnsError::Absent { .. })));
    assert!(matches!(file, Err(NetnsError::NotNetns { .. })));
    assert!(matches!(device, Err(NetnsError::NotNetns { .. })));
}

#[test]
fn a_namespace_of_another_type_and_the_hosts_own_are_refused() {
    if !is_root() {
        return;
    }
    assert!(matches!(netns::validate("/proc/self/ns/uts".as_ref()), Err(NetnsError::NotNetns { .. })));
    assert!(matches!(netns::validate("/proc/self/ns/net".as_ref()), Err(NetnsError::OfHost { .. })));
}

/// A namespace with one end of a veth pair in it, gone when dropped. The other end dies with it.
struct Pair {
    name: String,
}

impl Pair {
    /// None where the test may not make namespaces.
    fn new() -> Option<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            eprintln!("skipped: making a namespace needs root");
            return None;
        }
        let serial = COUNTER.fetch_add(1, Ordering::Relaxed);
        let pair = Self { name: format!("sb{}-{serial}", std::process::id()) };
        sh(&format!("ip netns add {}", pair.name));
        // Both ends are born inside, so that nothing of the test stands in the host's namespace.
        pair.run("ip link add eth0 type veth peer name outside");
        pair.run("ip link set outside up");
        Some(pair)
    }

    fn wiring(&self) -> Wiring {
        Wiring {
            service_addresses: vec!["198.51.100.7".parse().unwrap()],
            netns: PathBuf::from(format!("/run/netns/{}", self.name)),
            interface: "eth0".to_owned(),
            addresses: vec!["10.77.0.5".parse().unwrap(), "fd77::5".parse().unwrap()],
            gateways: vec!["169.254.40.1".parse().unwrap(), "fe80::1".parse().unwrap()],
            gateway_mac: MAC,
        }
    }

    fn run(&self, command: &str) -> Vec<u8> {
        sh(&format!("ip netns exec {} {command}", self.name))
    }

    fn addresses(&self, interface: &str) -> Vec<(String, u64)> {
        let links = self.ip(&format!("addr show {interface}"));
        let addresses = links[0]["addr_info"].as_array().unwrap().iter();
        addresses.map(|a| (a["local"].as_str().unwrap().to_owned(), a["prefixlen"].as_u64().unwrap())).collect()
    }

    fn ip(&self, arguments: &str) -> Value {
        serde_json::from_slice(&self.run(&format!("ip -j {arguments}"))).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

async fn wire(wiring: &Wiring) -> Result<(), SandboxError> {
    Inside::enter(&wiring.netns)?.prepared().await?.wire(wiring).await
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn sh(command: &str) -> Vec<u8> {
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
