//! HostEndpoint: a host's own interface, or all of them; and what a policy says to it.
//!
//! Calico's policies speak for host endpoints whenever their selector admits them. Ours do so only where they say it, so a global
//! policy of Calico says it.

use poplin_policy::model::PortProtocol;
use poplin_proto::v1::{self, Resource, RuleList};
use serde::Deserialize;

use super::super::envelope::{Envelope, Home};
use super::super::written::{Scalar, Text, something};
use super::profile::allowing;
use crate::field::{Findings, Invalid, Invalids};

/// The kind that declares a host's own interface.
pub(in crate::import) const KIND: &str = "HostEndpoint";

/// The profile every Calico has undeclared, so that a host endpoint that names it is open where no policy decides (libcalico-go/lib/resources,
/// DefaultAllowProfile).
const DEFAULT_ALLOW: &str = "projectcalico-default-allow";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    #[serde(deserialize_with = "something")]
    node: Option<Text>,
    #[serde(deserialize_with = "something")]
    interface_name: Option<Text>,
    #[serde(rename = "expectedIPs", deserialize_with = "something")]
    expected_ips: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    profiles: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    ports: Option<Vec<Port>>,
}

/// What rules call a port at the addresses of a host endpoint.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Port {
    #[serde(deserialize_with = "something")]
    name: Option<Text>,
    #[serde(deserialize_with = "something")]
    protocol: Option<Scalar>,
    #[serde(deserialize_with = "something")]
    port: Option<Scalar>,
}

impl Port {
    /// The same as ours has it.
    fn named(&self, findings: &mut Findings, field: &str) -> Option<String> {
        let protocol = match &self.protocol {
            Some(Scalar::Text(name)) => Some(name.to_lowercase()),
            Some(Scalar::Whole(number)) => {
                let known = u8::try_from(*number).ok().and_then(PortProtocol::from_number);
                Some(known.map_or(number.to_string(), |known| known.to_string()))
            }
            _ => None,
        };
        let (Some(name), Some(protocol), Some(Scalar::Whole(port))) = (&self.name, protocol, &self.port) else {
            let message = "a port has a name, a protocol and a number";
            findings
                .add(Invalid::new(field, "BAD_NAMED_PORT", message).advice("{name: http, protocol: TCP, port: 8080}"));
            return None;
        };
        Some(format!("{name}={protocol}/{port}"))
    }
}

/// The host endpoint; and what the profile allows that nobody declares, if it names that.
pub(in crate::import) fn import(document: &Envelope<Spec>, source: String) -> Result<Vec<Resource>, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let name = document.metadata.name().to_owned();
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name.clone(), source.clone());
    let text = |text: &Option<Text>| text.as_deref().unwrap_or_default().to_owned();
    let interface = text(&spec.interface_name);
    if interface.is_empty() {
        let message = "no interface is named; by its addresses alone none is found here";
        findings.add(Invalid::new("spec.interfaceName", "NO_INTERFACE", message).advice("name it, or * for all"));
    }
    if spec.node.as_deref().unwrap_or_default().is_empty() {
        findings.add(Invalid::new("spec.node", "NO_HOST", "no host is named").advice("name the host"));
    }
    let ports = spec.ports.iter().flatten().enumerate();
    let ports: Vec<_> =
        ports.filter_map(|(index, port)| port.named(&mut findings, &format!("spec.ports[{index}]"))).collect();
    let addresses = spec.expected_ips.iter().flatten().map(|text| text.to_string()).collect();
    let profiles: Vec<String> = spec.profiles.iter().flatten().map(|text| text.to_string()).collect();
    let names_default = profiles.iter().any(|profile| profile == DEFAULT_ALLOW);
    let spec = v1::HostEndpointSpec { host: text(&spec.node), interface, addresses, profiles, ports };
    let endpoint = v1::HostEndpoint { metadata: Some(metadata), spec: Some(spec), ..v1::HostEndpoint::default() };
    // Addresses and names have the same form there, so they are checked as ours.
    if findings.is_empty() {
        for invalid in crate::check_host_endpoint(&endpoint).err().into_iter().flat_map(|invalids| invalids.0) {
            let field = invalid.field.replace("spec.addresses", "spec.expectedIPs");
            let field = field.replace("spec.interface", "spec.interfaceName").replace("spec.host", "spec.node");
            findings.add(Invalid { field, ..invalid });
        }
    }
    let default_allow = (names_default && findings.is_empty()).then(|| {
        // Of each host endpoint its own: two of one name cannot stand in one file.
        let metadata = document.metadata.renamed(&mut findings, Home::Fabric, format!("default-allow.{name}"), source);
        let everything = || RuleList { rules: vec![v1::Rule { action: "allow".to_owned(), ..v1::Rule::default() }] };
        Resource::from(allowing(metadata, DEFAULT_ALLOW, [everything(), everything()]))
    });
    findings.finish(Some([Resource::from(endpoint)].into_iter().chain(default_allow).collect()))
}

/// The switches of a policy that say which packets of host endpoints it governs.
pub(super) struct Switches<'a> {
    pub(super) do_not_track: Option<&'a Scalar>,
    pub(super) pre_dnat: Option<&'a Scalar>,
    pub(super) apply_on_forward: Option<&'a Scalar>,
}

impl Switches<'_> {
    /// What ours says in `hosts`.
    pub(super) fn hosts(&self, findings: &mut Findings, governs_egress: bool) -> &'static str {
        let untracked = switch(findings, "spec.doNotTrack", self.do_not_track);
        let pre_dnat = switch(findings, "spec.preDNAT", self.pre_dnat);
        let forward = switch(findings, "spec.applyOnForward", self.apply_on_forward);
        for (field, is_on) in [("spec.doNotTrack", untracked), ("spec.preDNAT", pre_dnat)] {
            if is_on && !forward {
                let message = "it governs what is forwarded too, and applyOnForward does not say so";
                findings.add(Invalid::new(field, "CONTRADICTION", message).advice("write applyOnForward: true"));
            }
        }
        if untracked && pre_dnat {
            let message = "a policy is asked either before tracking or before destination translation";
            findings.add(Invalid::new("spec.preDNAT", "CONTRADICTION", message).advice("write two policies"));
        }
        if pre_dnat && governs_egress {
            let message = "before destination translation there is only what comes in";
            findings
                .add(Invalid::new("spec.preDNAT", "CONTRADICTION", message).advice("leave out egress and its type"));
        }
        match (untracked, pre_dnat, forward) {
            (true, ..) => "untracked",
            (false, true, _) => "preDNAT",
            (false, false, true) => "forward",
            (false, false, false) => "local",
        }
    }
}

/// Whether a switch is on. Off, it says nothing.
fn switch(findings: &mut Findings, field: &str, value: Option<&Scalar>) -> bool {
    match value {
        None | Some(Scalar::Bool(false)) => false,
        Some(Scalar::Bool(true)) => true,
        Some(other) => {
            findings.add(Invalid::new(field, "NOT_A_SWITCH", format!("{other} is not true or false")));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use poplin_proto::Failure;
    use poplin_proto::v1::{HostEndpointSpec, Manifest, resource::Object};

    use crate::read;

    fn imported(text: &str) -> Result<Object, Vec<Failure>> {
        let text = format!("apiVersion: projectcalico.org/v3\n{text}");
        let mut documents = read(&Manifest { name: "calico.yaml".to_owned(), text })?;
        Ok(documents.remove(0).resource.object.unwrap())
    }

    fn hosts(kind: &str, spec: &str) -> String {
        let text = format!("kind: {kind}\nmetadata: {{name: p, namespace: {{}}}}\nspec: {spec}\n");
        let namespace = if kind == "NetworkPolicy" { "shop" } else { "" };
        let text = match namespace {
            "" => text.replace(", namespace: {}", ""),
            namespace => text.replace("namespace: {}", &format!("namespace: {namespace}")),
        };
        match imported(&text).unwrap() {
            Object::Policy(policy) => policy.spec.unwrap().hosts,
            other => panic!("{other:?} is no policy"),
        }
    }

    fn refused_field(spec: &str) -> Option<String> {
        let text = format!("kind: GlobalNetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n");
        imported(&text).unwrap_err().remove(0).field
    }

    #[test]
    fn a_host_endpoint_keeps_its_host_interface_addresses_profiles_and_ports() {
        let spec = "{node: h1, interfaceName: eth0, expectedIPs: [192.0.2.1, 'fd00::1'], profiles: [allow], ports: [{name: http, protocol: TCP, port: 8080}, {name: dns, protocol: 17, port: 53}]}";

        let object = imported(&format!("kind: HostEndpoint\nmetadata: {{name: h1-eth0}}\nspec: {spec}\n")).unwrap();

        let Object::HostEndpoint(endpoint) = object else { panic!("{object:?} is no host endpoint") };
        let addresses = ["192.0.2.1", "fd00::1"].map(str::to_owned).to_vec();
        let (host, interface) = ("h1".to_owned(), "eth0".to_owned());
        let expected = HostEndpointSpec {
            host,
            interface,
            addresses,
            profiles: vec!["allow".to_owned()],
            ports: ["http=tcp/8080", "dns=udp/53"].map(str::to_owned).to_vec(),
        };
        assert_eq!(endpoint.spec.unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_with_a_host_endpoint_is_told_in_calicos_words() {
        for (spec, field) in [
            ("{node: h1, expectedIPs: [192.0.2.1]}", "spec.interfaceName"),
            ("{interfaceName: eth0}", "spec.node"),
            ("{node: h1, interfaceName: lo}", "spec.interfaceName"),
            ("{node: h1, interfaceName: eth0, expectedIPs: [x]}", "spec.expectedIPs[0]"),
            ("{node: h1, interfaceName: eth0, profiles: [Allow]}", "spec.profiles[0]"),
            ("{node: h1, interfaceName: eth0, ports: [{name: http, port: 80}]}", "spec.ports[0]"),
            ("{node: h1, interfaceName: eth0, ports: [{name: http, port: 80, protocol: ICMP}]}", "spec.ports[0]"),
            ("{node: h1, interfaceName: eth0, ports: [{name: http, port: 80000, protocol: UDP}]}", "spec.ports[0]"),
        ] {
            let text = format!("kind: HostEndpoint\nmetadata: {{name: h1-eth0}}\nspec: {spec}\n");
            assert_eq!(imported(&text).unwrap_err()[0].field.as_deref(), Some(field), "{spec}");
        }
    }

    #[test]
    fn a_global_policy_speaks_for_host_endpoints_and_a_namespaced_one_does_not() {
        assert_eq!(hosts("NetworkPolicy", "{types: [Ingress]}"), "");
        assert_eq!(hosts("GlobalNetworkPolicy", "{types: [Ingress]}"), "local");
        assert_eq!(hosts("GlobalNetworkPolicy", "{types: [Ingress], namespaceSelector: all()}"), "");
        assert_eq!(hosts("GlobalNetworkPolicy", "{types: [Egress], applyOnForward: true}"), "forward");
        assert_eq!(hosts("GlobalNetworkPolicy", "{types: [Ingress], applyOnForward: true, preDNAT: true}"), "preDNAT");
        assert_eq!(
            hosts("GlobalNetworkPolicy", "{types: [Egress], applyOnForward: true, doNotTrack: true}"),
            "untracked"
        );
    }

    #[test]
    fn switches_that_contradict_each_other_are_refused() {
        let field = |spec| refused_field(spec).unwrap();
        assert_eq!(field("{types: [Ingress], preDNAT: true}"), "spec.preDNAT");
        assert_eq!(field("{types: [Ingress], doNotTrack: true}"), "spec.doNotTrack");
        assert_eq!(field("{types: [Egress], applyOnForward: true, preDNAT: true}"), "spec.preDNAT");
        assert_eq!(field("{applyOnForward: true, preDNAT: true, doNotTrack: true}"), "spec.preDNAT");
        assert_eq!(field("{applyOnForward: sometimes}"), "spec.applyOnForward");
    }
}
