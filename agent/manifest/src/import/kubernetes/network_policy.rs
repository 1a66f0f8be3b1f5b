//! NetworkPolicy: allowing rules for the pods of one namespace.
//!
//! Left out, `policyTypes` means Ingress, and Egress too where a rule of that direction stands: what API servers fill in
//! (`SetDefaults_NetworkPolicy`), and nobody else does here. Each peer with all ports becomes a rule of ours, named after its
//! place: `2-1` is the first peer of the second rule. Blocks without holes share a rule.

use poplin_proto::v1::{self, Resource, RuleList};
use serde::Deserialize;

use super::super::envelope::{Envelope, Home};
use super::super::label_selector::LabelSelector;
use super::super::staged::{Staging, staging};
use super::super::written::{Text, something};
use super::peer::Peer;
use super::port::Port;
use crate::field::{Findings, Invalid, Invalids, word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    #[serde(deserialize_with = "something")]
    pod_selector: Option<LabelSelector>,
    #[serde(deserialize_with = "something")]
    policy_types: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    ingress: Option<Vec<IngressRule>>,
    #[serde(deserialize_with = "something")]
    egress: Option<Vec<EgressRule>>,
    /// Of Calico's StagedKubernetesNetworkPolicy only.
    staged_action: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct IngressRule {
    #[serde(deserialize_with = "something")]
    from: Option<Vec<Peer>>,
    #[serde(deserialize_with = "something")]
    ports: Option<Vec<Port>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EgressRule {
    #[serde(deserialize_with = "something")]
    to: Option<Vec<Peer>>,
    #[serde(deserialize_with = "something")]
    ports: Option<Vec<Port>>,
}

/// What Calico puts before the names of policies that were Kubernetes'.
const PREFIX: &str = "knp.default.";

/// Where they stand among the policies of the tier `default`, as in Calico.
const ORDER: f64 = 1000.0;

pub(in crate::import) fn import(
    document: &Envelope<Spec>,
    is_staged: bool,
    source: String,
) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    if document.spec.is_none() {
        let advice = "write spec: {} if it shall close the whole namespace to what comes in";
        findings.add(Invalid::new("spec", "NO_SPEC", "the policy has no spec").advice(advice));
    }
    let Staging { prefix, mode } = staging(&mut findings, is_staged, spec.staged_action.as_deref());
    let name = format!("{prefix}{PREFIX}{}", document.metadata.name());
    let metadata = document.metadata.renamed(&mut findings, Home::Namespace, name, source);
    let subject = spec.pod_selector.as_ref().map(|selector| selector.text(&mut findings, "spec.podSelector"));
    let (governs_ingress, governs_egress) = spec.directions(&mut findings);
    let ingress = spec.ingress.iter().flatten().enumerate().flat_map(|(index, rule)| {
        let side = Side { list: "ingress", peers: "from", index };
        side.rules(&mut findings, rule.from.as_deref(), rule.ports.as_deref())
    });
    let ingress = RuleList { rules: ingress.collect() };
    let egress = spec.egress.iter().flatten().enumerate().flat_map(|(index, rule)| {
        let side = Side { list: "egress", peers: "to", index };
        side.rules(&mut findings, rule.to.as_deref(), rule.ports.as_deref())
    });
    let egress = RuleList { rules: egress.collect() };
    let spec = v1::PolicySpec {
        order: Some(ORDER),
        subject: subject.filter(|text| text != "all()").unwrap_or_default(),
        ingress: governs_ingress.then_some(ingress),
        egress: governs_egress.then_some(egress),
        mode,
        hosts: String::new(),
        ..v1::PolicySpec::default()
    };
    let policy = v1::Policy { metadata: Some(metadata), spec: Some(spec), ..v1::Policy::default() };
    findings.finish(Some(Resource::from(policy)))
}

impl Spec {
    /// Whether what comes in, and whether what goes out, is governed.
    fn directions(&self, findings: &mut Findings) -> (bool, bool) {
        let types = self.policy_types.as_deref().unwrap_or_default();
        if types.is_empty() {
            return (true, self.egress.as_ref().is_some_and(|rules| !rules.is_empty()));
        }
        let words = [("Ingress", false), ("Egress", true)];
        let checked =
            types.iter().enumerate().map(|(index, text)| word(&format!("spec.policyTypes[{index}]"), text, &words));
        let types = findings.take_all(checked);
        (types.contains(&false), types.contains(&true))
    }
}

/// One rule of one direction.
struct Side {
    list: &'static str,
    peers: &'static str,
    index: usize,
}

impl Side {
    fn rules(&self, findings: &mut Findings, peers: Option<&[Peer]>, ports: Option<&[Port]>) -> Vec<v1::Rule> {
        let field = format!("spec.{}[{}]", self.list, self.index);
        let ports = ports.unwrap_or_default().iter().enumerate();
        let ports = findings.take_all(ports.map(|(index, port)| port.text(&format!("{field}.ports[{index}]"))));
        let groups = self.groups(findings, &field, peers.unwrap_or_default());
        let is_only = groups.len() <= 1;
        let rule = |name: String, peers: Option<v1::Peers>| {
            let (from, to) = if self.peers == "from" { (peers, None) } else { (None, peers) };
            v1::Rule { name, action: "allow".to_owned(), from, to, ports: ports.clone(), ..v1::Rule::default() }
        };
        let number = self.index + 1;
        if groups.is_empty() {
            return vec![rule(number.to_string(), None)];
        }
        let name = |place: usize| if is_only { number.to_string() } else { format!("{number}-{}", place + 1) };
        groups.into_iter().map(|(place, peers)| rule(name(place), Some(peers))).collect()
    }

    /// What the peers come down to, each with the place of its first.
    fn groups(&self, findings: &mut Findings, field: &str, peers: &[Peer]) -> Vec<(usize, v1::Peers)> {
        let mut groups: Vec<(usize, v1::Peers)> = Vec::new();
        for (place, peer) in peers.iter().enumerate() {
            let one = peer.peers(findings, &format!("{field}.{}[{place}]", self.peers));
            let is_block = |peers: &v1::Peers| !peers.nets.is_empty() && peers.not_nets.is_empty();
            match groups.iter_mut().find(|(_, other)| is_block(other)).filter(|_| is_block(&one)) {
                Some((_, blocks)) => blocks.nets.extend(one.nets),
                None => groups.push((place, one)),
            }
        }
        groups
    }
}
