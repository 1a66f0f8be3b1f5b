//! Ports that Docker wants published: `-p`, as it stands in the options of an endpoint.
//!
//! A free port of the host, which `-p 80`, `-P` and a range of the
//! host's for one port ask for, would be known to nobody: dockerd shows no ports of a remote driver. So those are refused.

use std::collections::BTreeMap;

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

/// What is to be published, or what of it cannot be.
pub(super) fn published(options: Option<&BTreeMap<String, Value>>) -> Result<Vec<Published>, String> {
    let Some(value) = options.and_then(|options| options.get(OPTION)) else { return Ok(Vec::new()) };
    let bindings: Option<Vec<Binding>> =
        serde_json::from_value(value.clone()).map_err(|error| format!("{OPTION} is not what it should be: {error}"))?;
    let mut published: Vec<Published> = Vec::new();
    for port in bindings.into_iter().flatten().map(|binding| binding.publish()) {
        let port = port?;
        match published.iter().find(|other| other.overlaps(&port)) {
            Some(other) if *other == port => {} // compose files are joined, and say some things twice
            Some(other) => return Err(format!("{port} cannot be published beside {other} of the same container")),
            None => published.push(port),
        }
    }
    Ok(published)
}

impl Binding {
    fn publish(&self) -> Result<Published, String> {
        let Self { proto, port, host_address, host_port, host_port_end } = self;
        let protocol = match proto {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            other => {
                return Err(format!("port {port} of IP protocol {other} cannot be published, only tcp, udp and sctp"));
            }
        };
        if *host_port == 0 || (*host_port_end != 0 && host_port_end != host_port) {
            return Err(format!(
                "port {port}/{protocol} is to be published at whatever port is free, which nobody could look up; \
                 say at which: -p {}:{port}",
                if *host_port == 0 { 8080 } else { *host_port }
            ));
        }
        let address = match host_address.as_str() {
            "" => String::new(),
            v6 if v6.contains(':') => format!("[{v6}]:"),
            v4 => format!("{v4}:"),
        };
        format!("{address}{host_port}:{port}/{protocol}").parse::<Published>().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(portmap: Value) -> Result<Vec<String>, String> {
        let options = BTreeMap::from([(OPTION.to_owned(), portmap)]);
        published(Some(&options)).map(|ports| ports.iter().map(ToString::to_string).collect())
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
    }

    #[test]
    fn a_port_nobody_could_find_is_refused() {
        let any = json!([{"Proto": 6, "Port": 80, "HostPort": 0, "HostPortEnd": 0}]);
        let one_of = json!([{"Proto": 6, "Port": 80, "HostPort": 8000, "HostPortEnd": 8010}]);

        assert!(read(any).unwrap_err().contains("say at which: -p 8080:80"));
        assert!(read(one_of).unwrap_err().contains("say at which: -p 8000:80"));
    }
}
