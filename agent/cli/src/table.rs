//! Lays objects out in columns: what one wants to see of each kind at a glance.

use std::collections::BTreeMap;
use std::fmt::Display;

use poplin_proto::v1::resource::Object;
use poplin_proto::v1::{Bfd, HealthCheck, Nat, Resource, RuleList};

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// A heading and a line an object; empty without objects. Objects are of one kind.
pub(crate) fn rendered(resources: &[Resource], wide: bool) -> String {
    let Some(first) = resources.first() else { return String::new() };
    let mut rows = vec![heading(first, wide)];
    rows.extend(resources.iter().map(|resource| row(resource, wide)));
    aligned(&rows)
}

/// Columns as wide as their widest cell, two spaces between, none at the end of a line.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<_> =
        (0..columns).map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0)).collect();
    rows.iter().map(|row| line(row, &widths)).collect()
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

/// Column titles of the object's kind.
pub(crate) fn heading(resource: &Resource, wide: bool) -> Vec<String> {
    let (usual, more): (&[&str], &[&str]) = match &resource.object {
        Some(Object::Pool(_)) => (
            &["CIDR", "BLOCK", "HOSTS", "NAT", "DISABLED"],
            &["NAMESPACES", "NETWORKS", "MANUAL", "RESERVED", "STRICT", "MOST BLOCKS", "LAN", "ENCAPSULATION"],
        ),
        Some(Object::Host(_)) => (&["ADDRESSES", "AS", "ROUTER ID", "DRAIN"], &["AGENT", "SCHEMA"]),
        Some(Object::Endpoint(_)) => (&["HOST", "ADDRESSES", "ATTACHMENT"], &["INTERFACE", "MAC", "MTU", "NETNS"]),
        Some(Object::Policy(_)) => (&["TIER", "ORDER", "MODE", "SUBJECT", "INGRESS", "EGRESS"], &["HOSTS"]),
        Some(Object::Tier(_)) => (&["ORDER", "DEFAULT"], &[]),
        Some(Object::AddressSet(_)) => (&["NETS"], &["PREFIXES"]),
        Some(Object::Peer(_)) => (
            &["ADDRESS", "AS", "PORT", "HOSTS"],
            &["HOLD TIME", "BFD", "PASSWORD FILE", "HOPS", "IMPORT", "EXPORT", "CLIENT", "TRANSIT", "ADD PATHS"],
        ),
        Some(Object::RouteMap(_)) => (&["RULES", "OTHERWISE"], &[]),
        Some(Object::Network(_)) => {
            (&["SUBNETS", "GATEWAY", "INTERNAL", "ICC", "ISOLATION"], &["MTU", "RANGES", "RESERVED"])
        }
        Some(Object::FabricConfig(_)) => (
            &["AS", "MESH", "MTU", "WORKLOAD TO HOST"],
            &["EXISTING FLOWS", "FAILSAFE IN", "FAILSAFE OUT", "BFD", "REFLECTORS"],
        ),
        Some(Object::Namespace(_) | Object::Profile(_)) => (&["ENDPOINT LABELS"], &[]),
        Some(Object::HostEndpoint(_)) => (&["HOST", "INTERFACE", "ADDRESSES"], &[]),
        Some(Object::StaticRoute(_)) => (&["PREFIXES", "NEXT HOPS", "HOSTS", "BFD"], &[]),
        Some(Object::FloatingAddress(_)) => (&["ADDRESS", "ENDPOINT", "UNTIL DETACHED"], &[]),
        Some(Object::Service(_)) => (&["ADDRESSES", "ENDPOINTS", "HEALTH"], &[]),
        None => (&[], &[]),
    };
    let more = if wide { more } else { &[] };
    let labels = if wide { &["LABELS"][..] } else { &[] };
    ["NAME"].iter().chain(usual).chain(more).chain(labels).map(|title| (*title).to_owned()).collect()
}

/// One object's cells under [`heading`].
pub(crate) fn row(resource: &Resource, wide: bool) -> Vec<String> {
    let (usual, more) = cells(resource);
    let mut row = vec![resource.qualified_name()];
    row.extend(usual);
    if wide {
        row.extend(more);
        row.push(labels(resource));
    }
    row
}

fn cells(resource: &Resource) -> (Vec<String>, Vec<String>) {
    match resource.object.clone() {
        Some(Object::Pool(pool)) => {
            let spec = pool.spec.unwrap_or_default();
            let block = spec.block_size.map(|bits| format!("/{bits}"));
            let nat = nat(spec.nat.as_ref());
            let usual = vec![text(&spec.cidr), or(block, NOTHING), any(&spec.hosts), nat, yes(spec.disabled)];
            let most = or(spec.max_blocks_per_host, NOTHING);
            let whose = [any(&spec.namespaces), any(&spec.networks), yes(spec.manual)];
            let bounds =
                [list(&spec.reserved), yes(spec.strict_affinity), most, yes(spec.lan), text(&spec.encapsulation)];
            (usual, whose.into_iter().chain(bounds).collect())
        }
        Some(Object::Host(host)) => {
            let spec = host.spec.unwrap_or_default();
            let more = vec![text(&spec.agent_version), or((spec.schema > 0).then_some(spec.schema), NOTHING)];
            (vec![list(&spec.addresses), or(spec.asn, NOTHING), text(&spec.router_id), yes(spec.drain)], more)
        }
        Some(Object::Endpoint(endpoint)) => {
            let spec = endpoint.spec.unwrap_or_default();
            let more = vec![text(&spec.interface), text(&spec.mac), spec.mtu_bytes.to_string(), text(&spec.netns)];
            (vec![text(&spec.host), list(&spec.addresses), text(&spec.attachment)], more)
        }
        Some(Object::Policy(policy)) => {
            let spec = policy.spec.unwrap_or_default();
            let tier = if spec.tier.is_empty() { "default".to_owned() } else { spec.tier };
            let (ingress, egress) = (rules(spec.ingress.as_ref()), rules(spec.egress.as_ref()));
            let mode = if spec.mode.is_empty() { "enforce".to_owned() } else { spec.mode };
            (vec![tier, or(spec.order, "last"), mode, any(&spec.subject), ingress, egress], vec![text(&spec.hosts)])
        }
        Some(Object::Tier(tier)) => {
            let spec = tier.spec.unwrap_or_default();
            let action = if spec.default_action.is_empty() { "deny".to_owned() } else { spec.default_action };
            (vec![or(spec.order, "last"), action], Vec::new())
        }
        Some(Object::AddressSet(set)) => {
            let spec = set.spec.unwrap_or_default();
            (vec![spec.nets.len().to_string()], vec![list(&spec.nets)])
        }
        Some(Object::Peer(peer)) => {
            let spec = peer.spec.unwrap_or_default();
            let places = [&spec.address, &spec.address_range, &spec.interface];
            let place = places.into_iter().find(|place| !place.is_empty()).map_or(NOTHING, String::as_str);
            let asn = if spec.remote_as.is_empty() { spec.asn.to_string() } else { spec.remote_as };
            let usual = vec![text(place), asn, or(spec.port, "179"), any(&spec.hosts)];
            let hold_time = or(spec.hold_time_seconds.map(|seconds| format!("{seconds}s")), "90s");
            let protection = [text(&spec.password_file), or(spec.ttl_security_hops, NOTHING)];
            let maps = [text(&spec.import), text(&spec.export)];
            let roles = [yes(spec.reflector_client), yes(spec.transit)];
            let watched = [hold_time, bfd(spec.bfd.as_ref())];
            let paths = [text(&spec.add_paths)];
            (usual, watched.into_iter().chain(protection).chain(maps).chain(roles).chain(paths).collect())
        }
        Some(Object::FabricConfig(config)) => {
            let spec = config.spec.unwrap_or_default();
            let to_host = if spec.workload_to_host.is_empty() { "drop".to_owned() } else { spec.workload_to_host };
            let usual =
                vec![or(spec.asn, "64512"), yes(spec.mesh.unwrap_or(true)), or(spec.mtu_bytes, NOTHING), to_host];
            let flows = if spec.existing_flows.is_empty() { "recheck".to_owned() } else { spec.existing_flows };
            let failsafe = |ports: &[String]| if ports.is_empty() { "usual".to_owned() } else { list(ports) };
            let (inbound, outbound) = (failsafe(&spec.failsafe_inbound), failsafe(&spec.failsafe_outbound));
            let reflectors = spec.reflectors.clone().unwrap_or_else(|| NOTHING.to_owned());
            (usual, vec![flows, inbound, outbound, bfd(Some(&spec.bfd.unwrap_or_default())), reflectors])
        }
        Some(Object::RouteMap(map)) => {
            let spec = map.spec.unwrap_or_default();
            let otherwise = if spec.otherwise.is_empty() { "reject".to_owned() } else { spec.otherwise };
            (vec![spec.rules.len().to_string(), otherwise], Vec::new())
        }
        Some(Object::Network(network)) => {
            let spec = network.spec.unwrap_or_default();
            let gateway = format!("169.254.{}.{}", spec.index >> 8, spec.index & 255);
            let more = vec![or(spec.mtu_bytes, NOTHING), list(&spec.ranges), list(&spec.reserved)];
            let [icc, isolation] = [spec.icc, spec.isolation].map(|said| yes(said.unwrap_or(true)));
            (vec![list(&spec.subnets), gateway, yes(spec.internal), icc, isolation], more)
        }
        Some(Object::Namespace(namespace)) => {
            (vec![pairs(namespace.spec.unwrap_or_default().endpoint_labels)], Vec::new())
        }
        Some(Object::Profile(profile)) => (vec![pairs(profile.spec.unwrap_or_default().endpoint_labels)], Vec::new()),
        Some(Object::HostEndpoint(endpoint)) => {
            let spec = endpoint.spec.unwrap_or_default();
            (vec![text(&spec.host), text(&spec.interface), list(&spec.addresses)], Vec::new())
        }
        Some(Object::StaticRoute(route)) => {
            let spec = route.spec.unwrap_or_default();
            let usual = vec![list(&spec.prefixes), list(&spec.next_hops), any(&spec.hosts), bfd(spec.bfd.as_ref())];
            (usual, Vec::new())
        }
        Some(Object::FloatingAddress(one)) => {
            let spec = one.spec.unwrap_or_default();
            let until = if spec.until_detached { "yes" } else { NOTHING };
            (vec![text(&spec.address), text(&spec.endpoint), until.to_owned()], Vec::new())
        }
        Some(Object::Service(service)) => {
            let spec = service.spec.unwrap_or_default();
            (vec![list(&spec.addresses), text(&spec.endpoints), health(spec.health.as_ref())], Vec::new())
        }
        None => (Vec::new(), Vec::new()),
    }
}

fn text(value: &str) -> String {
    if value.is_empty() { NOTHING.to_owned() } else { value.to_owned() }
}

fn any(selector: &str) -> String {
    if selector.is_empty() { "all".to_owned() } else { selector.to_owned() }
}

fn or(value: Option<impl Display>, absent: &str) -> String {
    value.map_or_else(|| absent.to_owned(), |value| value.to_string())
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn pairs(labels: BTreeMap<String, String>) -> String {
    list(&labels.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>())
}

fn list(values: &[String]) -> String {
    if values.is_empty() { NOTHING.to_owned() } else { values.join(",") }
}

/// How it is asked whether an endpoint is healthy: `tcp/53`, `http/8080/health`.
fn health(health: Option<&HealthCheck>) -> String {
    match health {
        None => NOTHING.to_owned(),
        Some(HealthCheck { port, http_path, .. }) if http_path.is_empty() => format!("tcp/{port}"),
        Some(HealthCheck { port, http_path, .. }) => format!("http/{port}{http_path}"),
    }
}

/// How the way is watched: `300 ms x 3`.
fn bfd(bfd: Option<&Bfd>) -> String {
    match bfd {
        Some(bfd) if bfd.enabled.unwrap_or(true) => {
            format!("{} ms x {}", bfd.interval_milliseconds.unwrap_or(300), bfd.multiplier.unwrap_or(3))
        }
        Some(_) | None => "off".to_owned(),
    }
}

/// `-` for a direction that is not governed, which is something else than none allowed.
fn nat(nat: Option<&Nat>) -> String {
    match nat {
        None => NOTHING.to_owned(),
        Some(nat) if nat.address.is_empty() => "masquerade".to_owned(),
        Some(nat) => nat.address.clone(),
    }
}

fn rules(list: Option<&RuleList>) -> String {
    match list.map(|list| list.rules.len()) {
        None => NOTHING.to_owned(),
        Some(0) => "none allowed".to_owned(),
        Some(1) => "1 rule".to_owned(),
        Some(count) => format!("{count} rules"),
    }
}

fn labels(resource: &Resource) -> String {
    let labels = resource.metadata().map(|metadata| metadata.labels.clone()).unwrap_or_default();
    list(&labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, spec: &str) -> Resource {
        let text = format!(r#"{{"metadata":{{"name":"{name}","labels":{{"team":"shop"}}}},"spec":{spec}}}"#);
        Resource::from_json("Policy", &text).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let policies = [
            policy("db", r#"{"subject":"app == 'db'","ingress":[{"action":"allow"}]}"#),
            policy("lockdown", r#"{"tier":"platform","order":5,"ingress":[],"egress":[{},{}]}"#),
        ];

        let expected = "\
NAME      TIER      ORDER  MODE     SUBJECT      INGRESS       EGRESS
db        default   last   enforce  app == 'db'  1 rule        -
lockdown  platform  5      enforce  all          none allowed  2 rules
";
        assert_eq!(rendered(&policies, false), expected);
    }

    #[test]
    fn wide_tables_end_with_labels() {
        let table = rendered(&[policy("db", "{}")], true);

        assert!(table.lines().next().unwrap().ends_with("LABELS"));
        assert!(table.lines().nth(1).unwrap().ends_with("team=shop"));
    }

    #[test]
    fn a_peer_tells_how_it_is_watched() {
        let cell = |bfd: &str| {
            let peer = format!(r#"{{"metadata":{{"name":"tor"}},"spec":{{{bfd}}}}}"#);
            row(&Resource::from_json("Peer", &peer).unwrap(), true)[6].clone()
        };
        assert_eq!([cell(""), cell(r#""bfd":{}"#)], ["off", "300 ms x 3"]);
        assert_eq!(cell(r#""bfd":{"intervalMilliseconds":100,"multiplier":5}"#), "100 ms x 5");
        assert_eq!(cell(r#""bfd":{"enabled":false}"#), "off");
    }

    #[test]
    fn every_kind_fills_its_columns() {
        for kind in poplin_proto::KINDS {
            let resource = Resource::from_json(kind, r#"{"metadata":{"name":"x"}}"#).unwrap();
            for wide in [false, true] {
                assert_eq!(heading(&resource, wide).len(), row(&resource, wide).len(), "{kind}");
            }
        }
    }

    #[test]
    fn nothing_makes_no_table() {
        assert_eq!(rendered(&[], false), "");
    }
}
