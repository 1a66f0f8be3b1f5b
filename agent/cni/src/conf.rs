//! Reads the network configuration, and makes of it what the agent is asked for.
//!
//! In: the JSON on stdin and `CNI_ARGS`. Out: labels and wanted addresses. Keys of other plugins and of runtimes are
//! ignored, as the specification wants: runtimes add theirs unasked.

mod annotations;
mod names;
mod runtime;

use std::collections::BTreeMap;
use std::path::PathBuf;

use poplin_sandbox::Shape;
use serde::Deserialize;
use serde_json::Value;

use crate::error::CniError;
use crate::invocation::is_container_id;
use annotations::Annotations;
pub(crate) use runtime::Dns;
use runtime::{Bandwidth, PortMapping, RuntimeConfig};

/// The network the endpoint was attached to, by the `name` of its configuration. GC looks for it.
pub(crate) const NETWORK_LABEL: &str = "poplin.dev/cni-network";
/// Arguments by which runtimes say whose container it is; podman, too, calls its containers pods.
const POD_NAME: &str = "K8S_POD_NAME";
const POD_NAMESPACE: &str = "K8S_POD_NAMESPACE";
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
    /// Profiles whose labels every endpoint of this network inherits; absent = none.
    pub(crate) profiles: Option<Vec<String>>,
    /// Pools that addresses of this network are of; absent = any.
    pub(crate) pools: Option<Vec<String>>,
    /// The network of the fabric that endpoints join; absent = none.
    pub(crate) network: Option<String>,
    /// Bounds for every endpoint of this network, unless the runtime says others.
    bandwidth: Option<Bandwidth>,
    /// Floating addresses that lead to the endpoint of this network, one a family; absent = none.
    floating: Option<Vec<String>>,
    args: Option<Args>,
    runtime_config: Option<RuntimeConfig>,
    /// What the plugins before in the chain made; at CHECK and DEL, what the whole chain made.
    prev_result: Option<Value>,
    #[serde(rename = "cni.dev/valid-attachments")]
    pub(crate) valid_attachments: Option<Vec<ValidAttachment>>,
    /// What the pod asks for itself; nothing until it is [heeded](Self::heeding_the_pod).
    #[serde(skip)]
    asked: Annotations,
    /// By which door it came.
    #[serde(skip)]
    pub(crate) door: Door,
}

/// Who runs the plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Door {
    #[default]
    Cni,
    Netavark,
}

impl Door {
    /// The label that says of which network an endpoint is. GC of one shall find nothing that came by the other.
    fn label(self) -> &'static str {
        match self {
            Self::Cni => NETWORK_LABEL,
            Self::Netavark => "poplin.dev/podman-network",
        }
    }
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
    mac: Option<String>,
    floating: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Label {
    key: String,
    value: String,
}

impl Conf {
    pub(crate) fn parse(input: &[u8]) -> Result<Self, CniError> {
        serde_json::from_slice(input).map_err(|error| CniError::decode(&error)).and_then(Self::checked)
    }

    /// The same of JSON that is no text.
    pub(crate) fn of(value: Value) -> Result<Self, CniError> {
        serde_json::from_value(value).map_err(|error| CniError::decode(&error)).and_then(Self::checked)
    }

    fn checked(conf: Self) -> Result<Self, CniError> {
        if !is_container_id(&conf.name) {
            return Err(CniError::config(format!(
                "name {:?} is not a letter or digit followed by letters, digits, _ . -",
                conf.name
            )));
        }
        Ok(conf)
    }

    /// What the plugins before in the chain made, if it can be gone on with.
    pub(crate) fn former_result(&self) -> Result<Option<&Value>, CniError> {
        let Some(result) = &self.prev_result else { return Ok(None) };
        let is_list = |key: &str| result[key].is_null() || result[key].is_array();
        let is_sound = result.is_object() && (result["dns"].is_null() || result["dns"].is_object());
        match is_sound && ["interfaces", "ips", "routes"].into_iter().all(is_list) {
            true => Ok(Some(result)),
            false => Err(CniError::config(
                "prevResult is no result of a plugin: an object with lists of interfaces, ips and routes, and an object dns",
            )),
        }
    }

    /// The same with what the pod asks for in its annotations. For ADD alone: a pod that asks for what cannot be shall still be cleared away.
    pub(crate) fn heeding_the_pod(&self) -> Result<Self, CniError> {
        let annotations = self.runtime().find_map(|runtime| runtime.annotations.as_ref());
        let asked = annotations.map(Annotations::read).transpose().map_err(CniError::config)?;
        Ok(Self { asked: asked.unwrap_or_default(), ..self.clone() })
    }

    /// Labels of the endpoint. The more particular wins, except that who sets up the host goes before who makes pods; what says whose pod
    /// it is comes last, so that a configuration cannot pass one pod off as another.
    pub(crate) fn labels(&self, args: &[(String, String)]) -> BTreeMap<String, String> {
        let runtime = self.runtime_config.iter().filter_map(|runtime| runtime.labels.clone()).flatten();
        let convention = self.cni_args().filter_map(|args| args.labels.clone()).flatten();
        let mut labels = self.asked.labels.clone();
        labels.extend(self.labels.clone().unwrap_or_default());
        labels.extend(convention.map(|label| (label.key, label.value)));
        labels.extend(runtime);
        labels.extend(self.own_labels(args));
        labels
    }

    /// The namespace the endpoint lives in: its pod's; empty = none. Who joins a network lives in that one's.
    pub(crate) fn namespace(&self, args: &[(String, String)]) -> String {
        match self.network {
            Some(_) => String::new(),
            None => self.home(args),
        }
    }

    fn home(&self, args: &[(String, String)]) -> String {
        let network = self.network.as_deref();
        network.or_else(|| value_of(args, POD_NAMESPACE)).unwrap_or_default().to_owned()
    }

    fn own_labels(&self, args: &[(String, String)]) -> impl Iterator<Item = (String, String)> {
        [
            (self.door.label(), Some(self.name.clone())),
            (POD_NAMESPACE_LABEL, value_of(args, POD_NAMESPACE).map(str::to_owned)),
            (POD_NAME_LABEL, value_of(args, POD_NAME).map(str::to_owned)),
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
        let owned = runtime.chain(convention).chain(&self.asked.ips);
        for wanted in from_env.chain(owned.map(String::as_str)) {
            let address = wanted.split_once('/').map_or(wanted, |(address, _)| address).trim().to_owned();
            if !address.is_empty() && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    /// Ports of the host that shall lead to the container, in the agent's form. A mapping without a port of the host is for others to know.
    pub(crate) fn published(&self) -> Vec<String> {
        let mappings = self.runtime().filter_map(|runtime| runtime.port_mappings.as_deref()).flatten();
        mappings.filter_map(PortMapping::published).collect()
    }

    /// Floating addresses that shall lead to the container: of the convention, else of the configuration.
    pub(crate) fn floating(&self) -> Vec<String> {
        let convention = self.cni_args().find_map(|args| args.floating.clone());
        convention.or_else(|| self.floating.clone()).unwrap_or_default()
    }

    /// Names the container answers to: what its runtime calls it, and its aliases in this network. What is no name of DNS is none.
    pub(crate) fn aliases(&self, args: &[(String, String)]) -> Vec<String> {
        let runtime = self.runtime().filter_map(|runtime| runtime.aliases.as_ref()?.get(&self.name)).flatten();
        names::aliases(value_of(args, POD_NAME), runtime.chain(&self.asked.aliases))
    }

    /// Names the endpoint would like: its pod's, in the namespace of its pod, for each interface but the usual one with the interface's.
    pub(crate) fn preferred_names(&self, args: &[(String, String)], interface: &str) -> Vec<String> {
        names::preferred(value_of(args, POD_NAME), &self.home(args), interface)
    }

    /// Wanted MAC: of `CNI_ARGS` as podman says it, of the capability, of the convention, or the pod's own wish; empty = any.
    pub(crate) fn mac(&self, args: &[(String, String)]) -> String {
        let runtime = || self.runtime().find_map(|runtime| runtime.mac.clone());
        let convention = || self.cni_args().find_map(|args| args.mac.clone());
        let asked = || self.asked.mac.clone();
        value_of(args, "MAC").map(str::to_owned).or_else(runtime).or_else(convention).or_else(asked).unwrap_or_default()
    }

    /// How fast the container may send and receive.
    pub(crate) fn shape(&self) -> Result<Shape, CniError> {
        let capability = self.runtime().find_map(|runtime| runtime.bandwidth.as_ref());
        let shape = capability.or(self.bandwidth.as_ref()).map(Bandwidth::shape).transpose();
        shape.map(Option::unwrap_or_default).map_err(CniError::config)
    }

    /// What the runtime wants in the container's resolv.conf, in place of what we would say.
    pub(crate) fn dns(&self) -> Option<&Dns> {
        self.runtime().find_map(|runtime| runtime.dns.as_ref()).filter(|dns| !dns.is_empty())
    }

    fn runtime(&self) -> impl Iterator<Item = &RuntimeConfig> {
        self.runtime_config.iter()
    }

    fn cni_args(&self) -> impl Iterator<Item = &CniArgs> {
        self.args.iter().filter_map(|args| args.cni.as_ref())
    }
}

fn value_of<'a>(args: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    args.iter().find(|(key, value)| key == wanted && !value.is_empty()).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
