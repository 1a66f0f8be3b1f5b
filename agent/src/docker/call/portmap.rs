//! Ports that Docker wants published: `-p`, `-P`, as they stand in the options of an endpoint.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use poplin_policy::nat::Published;
use serde::Deserialize;
use serde_json::Value;

/// Where they stand in the options of an endpoint.
const OPTION: &str = "com.docker.network.portmap";

/// One binding (libnetwork/types, `PortBinding`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Binding {
    /// IP protocol number.
    proto: u8,
    port: u16,
    #[serde(rename = "HostIP")]
    host_address: String,
    host_port: u16,
    host_port_end: u16,
}

/// A port of the container that is to be published at one of some ports of the host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    /// The one address of the host; absent = all of them.
    pub address: Option<IpAddr>,
    /// Which of them; absent = whatever is free, as `-p 80` and `-P` ask for.
    pub host_ports: Option<RangeInclusive<u16>>,
}

/// What is to be published, or what of it cannot be.
pub(super) fn wanted(options: Option<&BTreeMap<String, Value>>) -> Result<Vec<Wanted>, String> {
    let Some(value) = options.and_then(|options| options.get(OPTION)) else { return Ok(Vec::new()) };
    let bindings: Option<Vec<Binding>> =
        serde_json::from_value(value.clone()).map_err(|error| format!("{OPTION} is not what it should be: {error}"))?;
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut published: Vec<Published> = Vec::new();
    for binding in bindings.into_iter().flatten() {
        let one = binding.wanted()?;
        if wanted.contains(&one) {
            continue; // compose files are joined, and say some things twice
        }
        if let Some(port) = one.only()? {
            if let Some(other) = published.iter().find(|other| other.overlaps(&port)) {
                return Err(format!("{port} cannot be published beside {other} of the same container"));
            }
            published.push(port);
        }
        wanted.push(one);
    }
    Ok(wanted)
}

impl Binding {
    fn wanted(&self) -> Result<Wanted, String> {
        let Self { proto, port, host_address, host_port, host_port_end } = self;
        let protocol = match proto {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            other => {
                return Err(format!("port {port} of IP protocol {other} cannot be published, only tcp, udp and sctp"));
            }
        };
        let address = (!host_address.is_empty()).then(|| host_address.parse()).transpose();
        let address = address.map_err(|error| format!("{host_address:?} is no address of a host: {error}"))?;
        let host_ports = (*host_port != 0).then(|| *host_port..=(*host_port).max(*host_port_end));
        Ok(Wanted { port: *port, protocol, address, host_ports })
    }
}

impl Wanted {
    /// It, published at this port of the host.
    pub fn at(&self, host_port: u16) -> Result<Published, String> {
        let address = match self.address {
            None => String::new(),
            Some(IpAddr::V6(address)) => format!("[{address}]:"),
            Some(IpAddr::V4(address)) => format!("{address}:"),
        };
        let text = format!("{address}{host_port}:{}/{}", self.port, self.protocol);
        text.parse::<Published>().map_err(|error| error.to_string())
    }

    /// Where it is published if there is no choice.
    pub fn only(&self) -> Result<Option<Published>, String> {
        let ports = self.host_ports.as_ref().filter(|ports| ports.start() == ports.end());
        ports.map(|ports| self.at(*ports.start())).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(portmap: Value) -> Result<Vec<String>, String> {
        let options = BTreeMap::from([(OPTION.to_owned(), portmap)]);
        let told = |wanted: &Wanted| match wanted.only() {
            Ok(Some(port)) => port.to_string(),
            other => format!("{}/{} at {:?}, {other:?}", wanted.port, wanted.protocol, wanted.host_ports),
        };
        wanted(Some(&options)).map(|all| all.iter().map(told).collect())
    }

    #[test]
    fn bindings_are_read_as_docker_writes_them() {
        let web = json!({"Proto": 6, "IP": "", "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080});
        let dns = json!({"Proto": 17, "Port": 53, "HostIP": "fd00::1", "HostPort": 53, "HostPortEnd": 53});

        assert_eq!(read(json!([web, dns])).unwrap(), ["8080:80/tcp", "[fd00::1]:53:53/udp"]);
        assert_eq!(read(Value::Null), Ok(Vec::new()));
    }

    #[test]
    fn what_is_said_twice_counts_once_and_what_overlaps_is_refused() {
        let web = json!({"Proto": 6, "Port": 80, "HostIP": "", "HostPort": 8080, "HostPortEnd": 8080});
        let here = json!({"Proto": 6, "Port": 80, "HostIP": "127.0.0.1", "HostPort": 8080, "HostPortEnd": 8080});

        assert_eq!(read(json!([web, web])).unwrap(), ["8080:80/tcp"]);
        assert!(read(json!([web, here])).unwrap_err().contains("cannot be published beside 8080:80/tcp"));
        assert!(
            read(json!([{"Proto": 6, "Port": 80, "HostIP": "here"}])).unwrap_err().contains("\"here\" is no address")
        );
        assert!(read(json!([{"Proto": 1, "Port": 8}])).unwrap_err().contains("only tcp, udp and sctp"));
    }

    #[test]
    fn a_port_may_be_one_of_several_or_any() {
        let any = json!({"Proto": 6, "Port": 80, "HostPort": 0, "HostPortEnd": 0});
        let one_of = json!({"Proto": 6, "Port": 80, "HostPort": 8000, "HostPortEnd": 8010});

        assert_eq!(
            read(json!([any, one_of])).unwrap(),
            ["80/tcp at None, Ok(None)", "80/tcp at Some(8000..=8010), Ok(None)"]
        );
    }
}
