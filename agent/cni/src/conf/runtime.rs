//! Reads the capabilities of a runtime: CONVENTIONS.md of the CNI project, "Dynamic Plugin specific fields".
//!
//! podman spells keys as the convention does; containerd as Go's fields are called.

use std::collections::BTreeMap;

use poplin_sandbox::{Rate, Shape};
use serde::Deserialize;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RuntimeConfig {
    pub(super) ips: Option<Vec<String>>,
    pub(super) mac: Option<String>,
    pub(super) labels: Option<BTreeMap<String, String>>,
    pub(super) port_mappings: Option<Vec<PortMapping>>,
    pub(super) bandwidth: Option<Bandwidth>,
    pub(super) dns: Option<Dns>,
    /// By the name of the network, as podman gives them.
    pub(super) aliases: Option<BTreeMap<String, Vec<String>>>,
    /// A pod's, all of them; of containerd since 1.5, and of CRI-O.
    #[serde(rename = "io.kubernetes.cri.pod-annotations")]
    pub(super) annotations: Option<BTreeMap<String, String>>,
}

/// One port, or several in a row.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PortMapping {
    #[serde(alias = "HostPort")]
    host_port: Option<u32>,
    #[serde(alias = "ContainerPort")]
    container_port: Option<u32>,
    #[serde(alias = "Protocol")]
    protocol: Option<String>,
    #[serde(rename = "hostIP", alias = "HostIP", alias = "hostIp")]
    host_address: Option<String>,
    /// How many ports in a row; absent = one. Only netavark says it.
    range: Option<u32>,
}

/// How fast the container may go, in bits a second and bits; absent and 0 = as fast as it can.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Bandwidth {
    #[serde(alias = "IngressRate")]
    ingress_rate: Option<u64>,
    #[serde(alias = "IngressBurst")]
    ingress_burst: Option<u64>,
    #[serde(alias = "EgressRate")]
    egress_rate: Option<u64>,
    #[serde(alias = "EgressBurst")]
    egress_burst: Option<u64>,
}

/// What the container's resolv.conf shall say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Dns {
    #[serde(alias = "Servers")]
    pub(crate) servers: Option<Vec<String>>,
    #[serde(alias = "Searches")]
    pub(crate) searches: Option<Vec<String>>,
    #[serde(alias = "Options")]
    pub(crate) options: Option<Vec<String>>,
}

impl PortMapping {
    pub(super) fn published(&self) -> Option<String> {
        let host_port = self.host_port.filter(|port| *port > 0)?;
        let address = match self.host_address.as_deref().unwrap_or_default() {
            "" => String::new(),
            v6 if v6.contains(':') => format!("[{v6}]:"),
            v4 => format!("{v4}:"),
        };
        let protocol = self.protocol.as_deref().filter(|protocol| !protocol.is_empty()).unwrap_or("tcp");
        let ports = |first: u32| match self.range {
            Some(count @ 2..) => format!("{first}-{}", first.saturating_add(count - 1)),
            _ => first.to_string(),
        };
        let (host, container) = (ports(host_port), ports(self.container_port.unwrap_or_default()));
        Some(format!("{address}{host}:{container}/{}", protocol.to_ascii_lowercase()))
    }
}

impl Bandwidth {
    pub(super) fn shape(&self) -> Result<Shape, String> {
        Ok(Shape {
            ingress: rate("ingress", self.ingress_rate, self.ingress_burst)?,
            egress: rate("egress", self.egress_rate, self.egress_burst)?,
        })
    }
}

/// What the kubelet says where nobody named a burst: it stands for none, and taken at its word would let half a gigabyte pass unbounded.
const NO_BURST: u64 = u32::MAX as u64;
/// Less than an octet each millisecond lets nothing pass that a program would wait for.
const SLOWEST: u64 = 8_000;

fn rate(direction: &str, bits: Option<u64>, burst: Option<u64>) -> Result<Option<Rate>, String> {
    let burst = burst.filter(|burst| *burst != NO_BURST).unwrap_or_default();
    match bits.unwrap_or_default() {
        0 if burst > 0 => Err(format!("bandwidth: {direction}Burst is {burst} bits, and there is no {direction}Rate")),
        0 => Ok(None),
        bits if bits < SLOWEST => {
            Err(format!("bandwidth: {direction}Rate is {bits} bits a second, at least {SLOWEST} are needed"))
        }
        bits => {
            let burst_octets = u32::try_from(burst / 8).map_err(|_| {
                format!("bandwidth: {direction}Burst is {burst} bits, at most {} are possible", u64::from(u32::MAX) * 8)
            })?;
            Ok(Some(Rate { octets_per_second: bits / 8, burst_octets }))
        }
    }
}

impl Dns {
    pub(super) fn is_empty(&self) -> bool {
        [&self.servers, &self.searches, &self.options].into_iter().flatten().all(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> RuntimeConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn bandwidth_is_read_as_podman_and_as_containerd_say_it() {
        let shape = |text: &str| read(text).bandwidth.unwrap().shape();

        let camel = shape(r#"{"bandwidth":{"ingressRate":8000000,"ingressBurst":800000}}"#).unwrap();
        let go =
            shape(r#"{"bandwidth":{"IngressRate":8000000,"IngressBurst":4294967295,"EgressRate":16000000}}"#).unwrap();

        assert_eq!(camel.ingress, Some(Rate { octets_per_second: 1_000_000, burst_octets: 100_000 }));
        assert_eq!((camel.egress, go.ingress.map(|rate| rate.burst_octets)), (None, Some(0)));
        assert_eq!(go.egress.map(|rate| rate.octets_per_second), Some(2_000_000));
    }

    #[test]
    fn a_burst_without_a_rate_and_a_rate_of_nothing_are_refused_by_name() {
        let refused = |text: &str| read(text).bandwidth.unwrap().shape().unwrap_err();

        assert!(refused(r#"{"bandwidth":{"egressBurst":8}}"#).contains("there is no egressRate"));
        assert!(refused(r#"{"bandwidth":{"ingressRate":7}}"#).contains("at least 8000"));
    }

    #[test]
    fn dns_is_read_in_both_spellings_and_empty_is_nothing() {
        let dns = |text: &str| read(text).dns.unwrap();

        assert_eq!(dns(r#"{"dns":{"servers":["192.0.2.1"]}}"#), dns(r#"{"dns":{"Servers":["192.0.2.1"]}}"#));
        assert!(dns(r#"{"dns":{"Servers":null,"Searches":[],"Options":null}}"#).is_empty());
    }
}
