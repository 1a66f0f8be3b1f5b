//! What netavark says of a container and one of its networks, and the same in the words of CNI.

use serde::Deserialize;
use serde_json::{Value, json};

use super::options::{Of, Options};
use crate::conf::{Conf, Door};
use crate::error::CniError;
use crate::invocation::Attachment;

/// What stands on stdin at setup and teardown (`NetworkPluginExec` of netavark), as far as it concerns us.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    container_id: String,
    container_name: String,
    port_mappings: Option<Vec<PortMapping>>,
    network: Network,
    network_options: NetworkOptions,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    name: String,
    dns_enabled: bool,
    options: Value,
}

/// The container's own in this network.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NetworkOptions {
    aliases: Option<Vec<String>>,
    interface_name: String,
    static_ips: Option<Vec<String>>,
    static_mac: Option<String>,
    options: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PortMapping {
    container_port: u16,
    host_ip: String,
    host_port: u16,
    /// One or several, with commas between.
    protocol: String,
    /// How many ports in a row; 0 stands for 1.
    range: u16,
}

impl Wanted {
    pub(super) fn parse(input: &[u8]) -> Result<Self, CniError> {
        serde_json::from_slice(input)
            .map_err(|error| CniError::config("what netavark said on stdin cannot be read").details(error.to_string()))
    }

    pub(super) fn attachment(&self) -> Result<Attachment, CniError> {
        let (container, interface) = (self.container_id.clone(), self.network_options.interface_name.clone());
        Attachment::checked(container, interface, ["container_id", "interface_name"])
    }

    /// Whether the container asks the fabric for names: `--disable-dns` says no.
    pub(super) fn has_dns(&self) -> bool {
        self.network.dns_enabled
    }

    /// What podman with CNI says of a container's name.
    pub(super) fn args(&self) -> Vec<(String, String)> {
        vec![("K8S_POD_NAME".to_owned(), self.container_name.clone())]
    }

    /// All that setup needs to know.
    pub(super) fn conf(&self) -> Result<Conf, CniError> {
        let of_network = Options::read(&self.network.options, Of::Network)?;
        let of_container = Options::read(&self.network_options.options, Of::Container)?;
        let mut conf = of_network.with(of_container).conf();
        conf["name"] = json!(self.network.name);
        conf["runtimeConfig"] = json!({
            "ips": self.network_options.static_ips,
            "mac": self.network_options.static_mac.as_ref().filter(|mac| !mac.is_empty()),
            "portMappings": self.port_mappings(),
            "aliases": {self.network.name.as_str(): self.network_options.aliases.clone().unwrap_or_default()},
        });
        let mut conf = Conf::of(conf)?;
        conf.door = Door::Netavark;
        Ok(conf)
    }

    /// What teardown needs to know: an option that cannot be shall not keep a container.
    pub(super) fn bare_conf(&self) -> Result<Conf, CniError> {
        Conf::of(json!({"name": self.network.name, "socket": self.network.options["socket"]}))
    }

    fn port_mappings(&self) -> Vec<Value> {
        self.port_mappings.iter().flatten().flat_map(PortMapping::for_each_protocol).collect()
    }
}

impl PortMapping {
    fn for_each_protocol(&self) -> impl Iterator<Item = Value> {
        self.protocol.split(',').map(|protocol| {
            json!({
                "hostPort": self.host_port,
                "containerPort": self.container_port,
                "protocol": protocol.trim(),
                "hostIP": self.host_ip,
                "range": self.range,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As netavark 2.1 writes it.
    fn wanted() -> Value {
        json!({
            "container_id": "752947ff", "container_name": "web",
            "port_mappings": [{"container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp", "range": 1}],
            "network": {
                "dns_enabled": true, "driver": "poplin", "id": "2f25", "internal": false, "ipv6_enabled": false, "name": "shop",
                "network_interface": null, "options": {"network": "bank", "label.app": "web"}, "ipam_options": null, "subnets": null,
                "routes": null, "network_dns_servers": null,
            },
            "network_options": {
                "aliases": ["www", "752947ff91f9"], "interface_name": "eth0", "static_ips": ["10.77.0.9"],
                "static_mac": "02:00:00:00:00:09", "options": {"label.tier": "front"},
            },
        })
    }

    fn read(value: &Value) -> Wanted {
        Wanted::parse(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn everything_netavark_says_reaches_the_configuration() {
        let wanted = read(&wanted());

        let (conf, args) = (wanted.conf().unwrap(), wanted.args());
        let labels = conf.labels(&args);
        let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected =
            [("app", "web"), ("poplin.dev/pod-name", "web"), ("poplin.dev/podman-network", "shop"), ("tier", "front")];
        assert_eq!(labels, expected);
        assert_eq!(
            (conf.addresses(&args), conf.mac(&args)),
            (vec!["10.77.0.9".to_owned()], "02:00:00:00:00:09".to_owned())
        );
        assert_eq!(conf.aliases(&args), ["web", "www", "752947ff91f9"]);
        assert_eq!(conf.preferred_names(&args, "eth0"), ["web.bank"]);
        assert_eq!((conf.published(), conf.network.as_deref()), (vec!["8080:80/tcp".to_owned()], Some("bank")));
        assert_eq!(
            wanted.attachment().unwrap(),
            Attachment { container: "752947ff".to_owned(), interface: "eth0".to_owned() }
        );
    }

    #[test]
    fn ports_come_in_rows_and_in_several_protocols() {
        let mut row = wanted();
        row["port_mappings"] = json!([
            {"container_port": 80, "host_ip": "192.0.2.1", "host_port": 8000, "protocol": "tcp,udp", "range": 11},
            {"container_port": 53, "host_port": 53},
        ]);

        let published = read(&row).conf().unwrap().published();

        assert_eq!(published, ["192.0.2.1:8000-8010:80-90/tcp", "192.0.2.1:8000-8010:80-90/udp", "53:53/tcp"]);
    }

    #[test]
    fn what_is_left_out_is_nothing() {
        let mut bare = wanted();
        bare["port_mappings"] = Value::Null;
        bare["network"]["options"] = Value::Null;
        bare["network_options"] = json!({"interface_name": "eth0", "static_mac": ""});

        let wanted = read(&bare);

        let conf = wanted.conf().unwrap();
        assert_eq!((conf.addresses(&[]), conf.mac(&[]), conf.published()), (vec![], String::new(), vec![]));
        assert_eq!((conf.network, conf.socket), (None, None));
    }

    #[test]
    fn ids_names_and_interfaces_that_lead_elsewhere_are_refused() {
        for (pointer, value, told) in [
            ("/container_id", "../c1", "container_id \"../c1\" is not"),
            ("/container_id", "", "container_id \"\" is not"),
            ("/network_options/interface_name", "a/b", "interface_name \"a/b\" is not an interface name"),
            ("/network/name", "../n", "name \"../n\" is not"),
        ] {
            let mut wrong = wanted();
            *wrong.pointer_mut(pointer).unwrap() = json!(value);
            let wrong = read(&wrong);
            let refused = wrong.attachment().err().or_else(|| wrong.conf().err()).unwrap().told();
            assert!(refused.contains(told), "{refused}");
        }
        assert!(Wanted::parse(b"{").unwrap_err().told().starts_with("what netavark said on stdin cannot be read; "));
    }

    #[test]
    fn an_option_that_cannot_be_stops_setup_and_not_teardown() {
        let mut wrong = wanted();
        wrong["network"]["options"] = json!({"mtu": "1400", "socket": "/run/x.sock"});

        let wanted = read(&wrong);

        assert!(wanted.conf().is_err());
        assert_eq!(wanted.bare_conf().unwrap().socket, Some("/run/x.sock".into()));
    }
}
