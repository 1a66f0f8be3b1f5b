//! Random NetworkPolicies, and what they mean when Kubernetes' own sentences are followed word by word.
//!
//! The importer and our verdict are one way to an answer; this is the other, plain one, which knows neither our documents nor
//! our model: pods, policies, peers and ports as the API names them.

use std::net::IpAddr;

use ipnet::IpNet;
use poplin_manifest::world;
use poplin_policy::packet::{Packet, Transport};
use poplin_policy::verdict::verdict;
use poplin_policy::world::World;
use proptest::prelude::*;
use proptest::sample::select;

use crate::case::{TOPOLOGY, documents};

#[derive(Clone, Debug)]
struct Policy {
    namespace: &'static str,
    pods: Labels,
    types: Option<Vec<&'static str>>,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
}

#[derive(Clone, Debug)]
struct Rule {
    peers: Option<Vec<Peer>>,
    ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug)]
enum Peer {
    Pods(Labels),
    Namespaces(Labels),
    Both(Labels, Labels),
    Block(&'static str, Vec<&'static str>),
}

#[derive(Clone, Debug)]
enum Port {
    Any,
    Protocol(&'static str),
    Number(&'static str, u16),
    Range(u16, u16),
    Named(&'static str, &'static str),
}

/// A label selector: requirements that must all hold.
#[derive(Clone, Debug)]
struct Labels(Vec<Requirement>);

#[derive(Clone, Debug)]
enum Requirement {
    Is(&'static str, &'static str),
    In(&'static str, Vec<&'static str>),
    NotIn(&'static str, Vec<&'static str>),
    Exists(&'static str),
    Absent(&'static str),
}

// ---- random ones ----

fn policy() -> impl Strategy<Value = Policy> {
    let types = prop::option::of(select(vec![vec!["Ingress"], vec!["Egress"], vec!["Ingress", "Egress"], vec![]]));
    let rules = || prop::option::of(prop::collection::vec(rule(), 0..3));
    (select(vec!["shop", "ci", "infra"]), labels(true), types, rules(), rules())
        .prop_map(|(namespace, pods, types, ingress, egress)| Policy { namespace, pods, types, ingress, egress })
}

fn rule() -> impl Strategy<Value = Rule> {
    let peers = prop::option::of(prop::collection::vec(peer(), 0..4));
    let ports = prop::option::of(prop::collection::vec(port(), 0..3));
    (peers, ports).prop_map(|(peers, ports)| Rule { peers, ports })
}

fn peer() -> impl Strategy<Value = Peer> {
    let blocks = vec!["10.77.0.0/16", "0.0.0.0/0", "192.0.2.0/24", "fd77::/16", "::/0"];
    let holes = vec!["10.77.1.0/24", "10.77.2.1/32", "192.0.2.8/29", "fd77:1::/64", "2001:db8::/33"];
    let block = (select(blocks), prop::collection::vec(select(holes), 0..3)).prop_map(|(block, holes)| {
        let whole: IpNet = block.parse().unwrap();
        let is_part = |hole: &&str| hole.parse().is_ok_and(|hole: IpNet| whole.contains(&hole) && whole != hole);
        Peer::Block(block, holes.into_iter().filter(is_part).collect())
    });
    prop_oneof![
        labels(true).prop_map(Peer::Pods),
        labels(false).prop_map(Peer::Namespaces),
        (labels(false), labels(true)).prop_map(|(namespaces, pods)| Peer::Both(namespaces, pods)),
        block,
    ]
}

fn port() -> impl Strategy<Value = Port> {
    let protocol = || select(vec!["TCP", "UDP", "SCTP"]);
    prop_oneof![
        Just(Port::Any),
        protocol().prop_map(Port::Protocol),
        (protocol(), select(vec![53, 80, 443, 5432])).prop_map(|(protocol, number)| Port::Number(protocol, number)),
        select(vec![(1, 80), (80, 443), (444, 9090)]).prop_map(|(low, high)| Port::Range(low, high)),
        (protocol(), select(vec!["http", "metrics", "dns", "pg"]))
            .prop_map(|(protocol, name)| Port::Named(protocol, name)),
    ]
}

fn labels(are_of_pods: bool) -> impl Strategy<Value = Labels> {
    let keys = if are_of_pods { vec!["app", "tier"] } else { vec!["team", "env", "kubernetes.io/metadata.name"] };
    let values = if are_of_pods { vec!["web", "api", "db", "back"] } else { vec!["blue", "red", "prod", "shop", "ci"] };
    let requirement =
        (select(keys), prop::collection::vec(select(values), 1..3), 0..5u8).prop_map(|(key, values, how)| match how {
            0 => Requirement::Is(key, values[0]),
            1 => Requirement::In(key, values),
            2 => Requirement::NotIn(key, values),
            3 => Requirement::Exists(key),
            _ => Requirement::Absent(key),
        });
    prop::collection::vec(requirement, 0..3).prop_map(|mut all| {
        // A mapping has each key once.
        let mut seen = Vec::new();
        all.retain(|one| match one {
            Requirement::Is(key, _) => {
                !seen.contains(key) && {
                    seen.push(*key);
                    true
                }
            }
            _ => true,
        });
        Labels(all)
    })
}

// ---- as they are written ----

impl Policy {
    fn text(&self, name: usize) -> String {
        let mut spec = vec![format!("podSelector: {}", self.pods.text())];
        spec.extend(self.types.as_ref().map(|types| format!("policyTypes: [{}]", types.join(", "))));
        spec.extend(self.ingress.as_ref().map(|rules| format!("ingress: {}", list(rules, |rule| rule.text("from")))));
        spec.extend(self.egress.as_ref().map(|rules| format!("egress: {}", list(rules, |rule| rule.text("to")))));
        let (namespace, spec) = (self.namespace, spec.join(", "));
        let metadata = format!("{{name: p{name}, namespace: {namespace}}}");
        format!("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {metadata}\nspec: {{{spec}}}\n")
    }
}

impl Rule {
    fn text(&self, side: &str) -> String {
        let mut parts = Vec::new();
        parts.extend(self.peers.as_ref().map(|peers| format!("{side}: {}", list(peers, Peer::text))));
        parts.extend(self.ports.as_ref().map(|ports| format!("ports: {}", list(ports, Port::text))));
        format!("{{{}}}", parts.join(", "))
    }
}

impl Peer {
    fn text(&self) -> String {
        match self {
            Peer::Pods(pods) => format!("{{podSelector: {}}}", pods.text()),
            Peer::Namespaces(namespaces) => format!("{{namespaceSelector: {}}}", namespaces.text()),
            Peer::Both(namespaces, pods) => {
                format!("{{namespaceSelector: {}, podSelector: {}}}", namespaces.text(), pods.text())
            }
            Peer::Block(block, holes) => {
                format!("{{ipBlock: {{cidr: \"{block}\", except: {}}}}}", list(holes, |hole| format!("\"{hole}\"")))
            }
        }
    }
}

impl Port {
    fn text(&self) -> String {
        match self {
            Port::Any => "{}".to_owned(),
            Port::Protocol(protocol) => format!("{{protocol: {protocol}}}"),
            Port::Number(protocol, number) => format!("{{protocol: {protocol}, port: {number}}}"),
            Port::Range(low, high) => format!("{{port: {low}, endPort: {high}}}"),
            Port::Named(protocol, name) => format!("{{protocol: {protocol}, port: {name}}}"),
        }
    }
}

impl Labels {
    fn text(&self) -> String {
        let mut pairs = Vec::new();
        let mut others = Vec::new();
        for one in &self.0 {
            match one {
                Requirement::Is(key, value) => pairs.push(format!("{key}: {value}")),
                Requirement::In(key, values) => {
                    others.push(format!("{{key: {key}, operator: In, values: [{}]}}", values.join(", ")))
                }
                Requirement::NotIn(key, values) => {
                    others.push(format!("{{key: {key}, operator: NotIn, values: [{}]}}", values.join(", ")));
                }
                Requirement::Exists(key) => others.push(format!("{{key: {key}, operator: Exists}}")),
                Requirement::Absent(key) => others.push(format!("{{key: {key}, operator: DoesNotExist}}")),
            }
        }
        format!("{{matchLabels: {{{}}}, matchExpressions: [{}]}}", pairs.join(", "), others.join(", "))
    }
}

fn list<T>(items: &[T], text: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(text).collect::<Vec<_>>().join(", "))
}

// ---- what they mean ----

/// One end of a packet: a pod of the topology, or nobody.
struct End<'w> {
    address: IpAddr,
    pod: Option<&'w poplin_policy::model::Endpoint>,
}

/// "By default, a pod is non-isolated [...]. A pod is isolated if there is any NetworkPolicy that both selects the pod and has the
/// direction in its policyTypes; then only what some such policy allows is allowed."
fn allows(world: &World, policies: &[Policy], packet: &Packet) -> bool {
    let end = |address| End { address, pod: world.endpoint_of(address).map(|(_, pod)| pod) };
    let (source, destination) = (end(packet.source), end(packet.destination));
    let one_way = |own: &End<'_>, other: &End<'_>, is_egress: bool| {
        let Some(pod) = own.pod else { return true };
        let selecting: Vec<&Policy> = policies
            .iter()
            .filter(|policy| pod.namespace.as_deref() == Some(policy.namespace) && policy.pods.hold(pod_label(pod)))
            .filter(|policy| policy.governs(is_egress))
            .collect();
        let rules = |policy: &&Policy| if is_egress { policy.egress.clone() } else { policy.ingress.clone() };
        let is_allowed = |policy: &&Policy| {
            let rules = rules(policy).unwrap_or_default();
            rules.iter().any(|rule| rule.allows(world, policy.namespace, other, packet, destination.pod))
        };
        selecting.is_empty() || selecting.iter().any(is_allowed)
    };
    one_way(&source, &destination, true) && one_way(&destination, &source, false)
}

impl Policy {
    /// "If no policyTypes are specified, Ingress will always be set and Egress will be set if the policy has any egress rules."
    fn governs(&self, is_egress: bool) -> bool {
        match self.types.as_deref() {
            None | Some([]) => !is_egress || self.egress.as_ref().is_some_and(|rules| !rules.is_empty()),
            Some(types) => types.contains(&if is_egress { "Egress" } else { "Ingress" }),
        }
    }
}

impl Rule {
    /// "If this field is empty or missing, this rule matches all", for peers and for ports.
    fn allows(
        &self,
        world: &World,
        home: &str,
        other: &End<'_>,
        packet: &Packet,
        destination: Option<&poplin_policy::model::Endpoint>,
    ) -> bool {
        let peers = self.peers.as_deref().unwrap_or_default();
        let ports = self.ports.as_deref().unwrap_or_default();
        (peers.is_empty() || peers.iter().any(|peer| peer.is(world, home, other)))
            && (ports.is_empty() || ports.iter().any(|port| port.is(packet, destination)))
    }
}

impl Peer {
    fn is(&self, world: &World, home: &str, other: &End<'_>) -> bool {
        let lives = |other: &End<'_>| other.pod.and_then(|pod| pod.namespace.clone());
        let pod_holds = |labels: &Labels| other.pod.is_some_and(|pod| labels.hold(pod_label(pod)));
        let namespace_holds = |labels: &Labels| {
            lives(other).is_some_and(|name| {
                let own = world.namespace_labels(&name);
                labels.hold(|key| own.get(key).map(str::to_owned))
            })
        };
        match self {
            Peer::Pods(pods) => lives(other).as_deref() == Some(home) && pod_holds(pods),
            Peer::Namespaces(namespaces) => namespace_holds(namespaces),
            Peer::Both(namespaces, pods) => namespace_holds(namespaces) && pod_holds(pods),
            Peer::Block(block, holes) => {
                let holds = |net: &str| net.parse::<IpNet>().unwrap().contains(&other.address);
                holds(block) && !holes.iter().any(|hole| holds(hole))
            }
        }
    }
}

impl Port {
    fn is(&self, packet: &Packet, destination: Option<&poplin_policy::model::Endpoint>) -> bool {
        let Transport::Ports { protocol, destination: port, .. } = packet.transport else { return false };
        let number = |name: &str| match name {
            "TCP" => 6,
            "UDP" => 17,
            _ => 132,
        };
        match self {
            Port::Any => protocol == 6,
            Port::Protocol(name) => protocol == number(name),
            Port::Number(name, wanted) => protocol == number(name) && port == *wanted,
            Port::Range(low, high) => protocol == 6 && (low..=high).contains(&&port),
            Port::Named(name, wanted) => destination.is_some_and(|pod| {
                let mut named = pod.ports.iter().filter(|one| one.name == *wanted && one.protocol.number() == protocol);
                protocol == number(name) && named.any(|one| one.port == port)
            }),
        }
    }
}

impl Labels {
    fn hold(&self, label: impl Fn(&str) -> Option<String>) -> bool {
        self.0.iter().all(|one| match one {
            Requirement::Is(key, value) => label(key).as_deref() == Some(*value),
            Requirement::In(key, values) => label(key).is_some_and(|value| values.contains(&value.as_str())),
            Requirement::NotIn(key, values) => !label(key).is_some_and(|value| values.contains(&value.as_str())),
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Absent(key) => label(key).is_none(),
        })
    }
}

fn pod_label(pod: &poplin_policy::model::Endpoint) -> impl Fn(&str) -> Option<String> {
    |key| pod.labels.get(key).map(str::to_owned)
}

fn packet() -> impl Strategy<Value = Packet> {
    let v4 = ["10.77.1.1", "10.77.1.2", "10.77.1.3", "10.77.2.1", "10.77.2.2", "10.77.3.1", "10.77.9.1", "192.0.2.10"];
    let v6 =
        ["fd77:1::1", "fd77:1::2", "fd77:1::3", "fd77:2::1", "fd77:2::2", "fd77:3::1", "fd77:9::1", "2001:db8:1::10"];
    let transport = prop_oneof![
        4 => (select(vec![6, 6, 17, 132]), select(vec![53, 80, 443, 444, 5432, 8080, 9090]))
            .prop_map(|(protocol, destination)| Transport::Ports { protocol, source: 49152, destination }),
        1 => Just(Transport::Other(47)),
    ];
    (any::<bool>(), 0..8usize, 0..8usize, transport)
        .prop_filter("two ends", |(_, source, destination, _)| source != destination)
        .prop_map(move |(is_v6, source, destination, transport)| {
            let row = if is_v6 { v6 } else { v4 };
            Packet { source: row[source].parse().unwrap(), destination: row[destination].parse().unwrap(), transport }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn imported_policies_mean_what_kubernetes_says(
        policies in prop::collection::vec(policy(), 1..5),
        packets in prop::collection::vec(packet(), 32),
    ) {
        let text: String = policies.iter().enumerate().map(|(name, policy)| policy.text(name)).collect();
        let world = world(&documents(&format!("{TOPOLOGY}{text}")).unwrap()).unwrap();

        for packet in packets {
            let (ours, theirs) = (verdict(&world, &packet), allows(&world, &policies, &packet));
            prop_assert_eq!(ours.allowed, theirs, "{}\n{}\n{:?}", text, packet, ours);
        }
    }
}
