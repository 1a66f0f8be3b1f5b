//! Reads the network configuration, and makes of it what the agent is asked for: labels and addresses.
//!
//! In: the JSON on stdin and `CNI_ARGS`. Out: labels and wanted addresses. Keys of other plugins and of runtimes are
//! ignored, as the specification wants: runtimes add theirs unasked.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::error::CniError;
use crate::invocation::is_container_id;

/// The network the endpoint was attached to, by the `name` of its configuration. GC looks for it.
pub(crate) const NETWORK_LABEL: &str = "poplin.dev/cni-network";
const POD_NAMESPACE_LABEL: &str = "poplin.dev/pod-namespace";
const POD_NAME_LABEL: &str = "poplin.dev/pod-name";

/// A label value's bound in the wire contract. Pod names may be longer; then the endpoint goes without that label.
const LABEL_VALUE_OCTETS: usize = 63;

/// The network configuration, as far as it concerns us.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Conf {
    pub(crate) cni_version: String,
    pub(crate) name: String,
    /// The agent's socket; absent = its usual place.
    pub(crate) socket: Option<PathBuf>,
    /// Labels of every endpoint of this network.
    labels: Option<BTreeMap<String, String>>,
    /// Pools that addresses of this network are of; absent = any.
    pub(crate) pools: Option<Vec<String>>,
    args: Option<Args>,
    runtime_config: Option<RuntimeConfig>,
    /// What the plugins before in the chain made; at CHECK and DEL, what the whole chain made.
    pub(crate) prev_result: Option<Value>,
    #[serde(rename = "cni.dev/valid-attachments")]
    pub(crate) valid_attachments: Option<Vec<ValidAttachment>>,
}

/// An attachment GC must leave alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct ValidAttachment {
    #[serde(rename = "containerID")]
    pub(crate) container: String,
    #[serde(rename = "ifname")]
    pub(crate) interface: String,
}

/// `args.cni`, whose keys are a convention: CONVENTIONS.md of the CNI project.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Args {
    cni: Option<CniArgs>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CniArgs {
    ips: Option<Vec<String>>,
    labels: Option<Vec<Label>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Label {
    key: String,
    value: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RuntimeConfig {
    ips: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    port_mappings: Option<Vec<PortMapping>>,
    /// By the name of the network, as podman gives them.
    aliases: Option<BTreeMap<String, Vec<String>>>,
}

/// One port, as the capability `portMappings` has it. podman spells the keys so, containerd as Go's fields are called.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PortMapping {
    #[serde(alias = "HostPort")]
    host_port: Option<u32>,
    #[serde(alias = "ContainerPort")]
    container_port: Option<u32>,
    #[serde(alias = "Protocol")]
    protocol: Option<String>,
    #[serde(rename = "hostIP", alias = "HostIP", alias = "hostIp")]
    host_address: Option<String>,
}

impl Conf {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, CniError> {
        let conf: Self = serde_json::from_slice(input).map_err(|error| CniError::decode(&error))?;
        if !is_container_id(&conf.name) {
            return Err(CniError::config(format!(
                "name {:?} is not a letter or digit followed by letters, digits, _ . -",
                conf.name
            )));
        }
        Ok(conf)
    }

    /// Labels of the endpoint. The more particular wins; what says whose pod it is comes last, so that a configuration
    /// cannot pass one pod off as another.
    pub(crate) fn labels(&self, args: &[(String, String)]) -> BTreeMap<String, String> {
        let runtime = self.runtime_config.iter().filter_map(|runtime| runtime.labels.clone()).flatten();
        let convention = self.cni_args().filter_map(|args| args.labels.clone()).flatten();
        let mut labels: BTreeMap<_, _> = self.labels.clone().unwrap_or_default();
        labels.extend(convention.map(|label| (label.key, label.value)));
        labels.extend(runtime);
        labels.extend(self.own_labels(args));
        labels
    }

    /// The namespace the endpoint lives in: its pod's; empty = none.
    pub(crate) fn namespace(&self, args: &[(String, String)]) -> String {
        let given = args.iter().find(|(key, _)| key == "K8S_POD_NAMESPACE");
        given.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    fn own_labels(&self, args: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
        let value_of = |wanted: &str| args.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
        [
            (NETWORK_LABEL, Some(self.name.clone())),
            (POD_NAMESPACE_LABEL, value_of("K8S_POD_NAMESPACE")),
            (POD_NAME_LABEL, value_of("K8S_POD_NAME")),
        ]
        .into_iter()
        .filter_map(|(key, value)| value.map(|value| (key.to_owned(), value)))
        .filter(|(_, value)| (1..=LABEL_VALUE_OCTETS).contains(&value.len()))
    }

    /// Wanted addresses, without prefix lengths, each once. Whether they can be had is the agent's to say.
    pub(crate) fn addresses(&self, args: &[(String, String)]) -> Vec<String> {
        let from_env = args.iter().filter(|(key, _)| key == "IP").flat_map(|(_, value)| value.split(','));
        let runtime = self.runtime_config.iter().filter_map(|runtime| runtime.ips.as_deref()).flatten();
        let convention = self.cni_args().filter_map(|args| args.ips.as_deref()).flatten();
        let mut addresses = Vec::new();
        for wanted in from_env.chain(runtime.map(String::as_str)).chain(convention.map(String::as_str)) {
            let address = wanted.split_once('/').map_or(wanted, |(address, _)| address).trim().to_owned();
            if !address.is_empty() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Ports of the host that shall lead to the container, in the agent's form. A mapping without a port of the host is for others to know.
    pub(crate) fn published(&self) -> Vec<String> {
        let mappings = self.runtime_config.iter().filter_map(|runtime| runtime.port_mappings.as_deref()).flatten();
        mappings.filter_map(PortMapping::published).collect()
    }

    /// Names the container answers to: what its runtime calls it, and its aliases in this network. What is no name of DNS is none.
    pub(crate) fn aliases(&self, args: &[(String, String)]) -> Vec<String> {
        let called = args.iter().find(|(key, _)| key == "K8S_POD_NAME").map(|(_, name)| name);
        let runtime =
            self.runtime_config.iter().filter_map(|runtime| runtime.aliases.as_ref()?.get(&self.name)).flatten();
        let mut aliases: Vec<String> = Vec::new();
        for alias in called.into_iter().chain(runtime).map(|alias| alias.to_ascii_lowercase()) {
            if is_dns_name(&alias) && !aliases.contains(&alias) {
                aliases.push(alias);
            }
        }
        aliases
    }

    fn cni_args(&self) -> impl Iterator<Item = &CniArgs> {
        self.args.iter().filter_map(|args| args.cni.as_ref())
    }
}

/// Whether the agent takes it for an alias.
fn is_dns_name(name: &str) -> bool {
    let is_plain = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_plain);
    name.len() <= 253 && name.split('.').all(is_label)
}

impl PortMapping {
    fn published(&self) -> Option<String> {
        let host_port = self.host_port.filter(|port| *port > 0)?;
        let address = match self.host_address.as_deref().unwrap_or_default() {
            "" => String::new(),
            v6 if v6.contains(':') => format!("[{v6}]:"),
            v4 => format!("{v4}:"),
        };
        let protocol = self.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("tcp");
        let container_port = self.container_port.unwrap_or_default();
        Some(format!("{address}{host_port}:{container_port}/{}", protocol.to_ascii_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(text: &str) -> Conf {
        Conf::parse(text.as_bytes()).unwrap()
    }

    fn args(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn labels_come_from_four_places_and_the_pods_own_win() {
        let conf = conf(
            r#"{"name":"n","labels":{"a":"conf","b":"conf"},"args":{"cni":{"labels":[{"key":"b","value":"args"},
                {"key":"c","value":"args"}]}},"runtimeConfig":{"labels":{"c":"runtime","poplin.dev/pod-name":"fake"}}}"#,
        );

        let labels = conf.labels(&args(&[("K8S_POD_NAMESPACE", "shop"), ("K8S_POD_NAME", "web-0")]));

        let labels: Vec<_> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let expected = [
            ("a", "conf"),
            ("b", "args"),
            ("c", "runtime"),
            ("poplin.dev/cni-network", "n"),
            ("poplin.dev/pod-name", "web-0"),
            ("poplin.dev/pod-namespace", "shop"),
        ];
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_pod_name_too_long_for_a_label_is_left_out() {
        let labels = conf(r#"{"name":"n"}"#).labels(&args(&[("K8S_POD_NAME", &"x".repeat(64))]));

        assert_eq!(labels.len(), 1);
    }

    #[test]
    fn wanted_addresses_come_from_three_places() {
        let conf = conf(
            r#"{"name":"n","runtimeConfig":{"ips":["10.0.0.9/24","fd00::9"]},"args":{"cni":{"ips":["10.0.0.9"]}}}"#,
        );

        assert_eq!(conf.addresses(&args(&[("IP", "10.0.0.9")])), ["10.0.0.9", "fd00::9"]);
    }

    #[test]
    fn ports_are_published_as_podman_and_as_containerd_say_it() {
        let published = |mappings: &str| {
            conf(&format!(r#"{{"name":"n","runtimeConfig":{{"portMappings":{mappings}}}}}"#)).published()
        };

        let podman = r#"[{"hostPort":8080,"containerPort":80,"protocol":"tcp"},{"hostPort":53,"containerPort":5353,"protocol":"udp","hostIP":"192.0.2.1"}]"#;
        assert_eq!(published(podman), ["8080:80/tcp", "192.0.2.1:53:5353/udp"]);
        let containerd = r#"[{"HostPort":8080,"ContainerPort":80,"Protocol":"TCP","HostIP":""},{"HostPort":0,"ContainerPort":81,"Protocol":"tcp","HostIP":""},
            {"ContainerPort":82},{"HostPort":443,"ContainerPort":443,"HostIP":"2001:db8::1"}]"#;
        assert_eq!(published(containerd), ["8080:80/tcp", "[2001:db8::1]:443:443/tcp"]);
        assert!(published("null").is_empty());
    }

    #[test]
    fn a_container_is_called_what_its_runtime_calls_it_and_by_its_aliases_in_this_network() {
        let conf =
            conf(r#"{"name":"n","runtimeConfig":{"aliases":{"n":["DB","my_db.local","two words"],"other":["x"]}}}"#);

        assert_eq!(conf.aliases(&args(&[("K8S_POD_NAME", "web-0")])), ["web-0", "db", "my_db.local"]);
        assert_eq!(conf.aliases(&args(&[("K8S_POD_NAME", "db")])), ["db", "my_db.local"]);
    }

    #[test]
    fn nulls_and_foreign_keys_are_nothing() {
        let conf = conf(
            r#"{"name":"n","labels":null,"args":null,"runtimeConfig":null,"prevResult":null,"capabilities":{"ips":true}}"#,
        );

        assert!(conf.prev_result.is_none() && conf.addresses(&[]).is_empty());
    }
}
