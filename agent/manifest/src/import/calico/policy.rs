//! NetworkPolicy and GlobalNetworkPolicy, enforced or staged.
//!
//! Left out, `types` means Egress where there are egress rules only, both where there are both, else Ingress. Note that a
//! Kubernetes policy with egress rules only closes what comes in too, and one of Calico does not.

use std::collections::BTreeSet;

use poplin_proto::v1::{self, Resource, RuleList};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::envelope::{Envelope, Home};
use super::super::staged::{Staging, staging};
use super::super::written::{Scalar, Text, something};
use super::host;
use super::rule::Rule;
use super::tier::order;
use crate::field::{Findings, Invalid, Invalids, object_name, selector, word};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    tier: Option<Text>,
    #[serde(deserialize_with = "something")]
    order: Option<Scalar>,
    #[serde(deserialize_with = "something")]
    selector: Option<Text>,
    #[serde(deserialize_with = "something")]
    namespace_selector: Option<Text>,
    service_account_selector: Option<Text>,
    #[serde(deserialize_with = "something")]
    types: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    ingress: Option<Vec<Rule>>,
    #[serde(deserialize_with = "something")]
    egress: Option<Vec<Rule>>,
    do_not_track: Option<Scalar>,
    #[serde(rename = "preDNAT")]
    pre_dnat: Option<Scalar>,
    apply_on_forward: Option<Scalar>,
    staged_action: Option<Text>,
    /// About speed only.
    #[serde(rename = "performanceHints")]
    _performance_hints: Option<IgnoredAny>,
}

pub(in crate::import) fn import(
    document: &Envelope<Spec>,
    home: Home,
    is_staged: bool,
    source: String,
) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    if document.spec.is_none() {
        let advice = "write spec: {} if it shall close to what comes in";
        findings.add(Invalid::new("spec", "NO_SPEC", "the policy has no spec").advice(advice));
    }
    let Staging { prefix, mode } = staging(&mut findings, is_staged, spec.staged_action.as_deref());
    let name = format!("{prefix}{}", document.metadata.name());
    let metadata = document.metadata.renamed(&mut findings, home, name, source);
    let tier = spec.tier.as_deref().filter(|tier| !tier.is_empty() && *tier != poplin_policy::model::DEFAULT_TIER);
    findings.take(tier.map(|tier| object_name("spec.tier", tier)).transpose());
    let order = findings.take(order("spec.order", spec.order.as_ref())).flatten();
    spec.refuse_what_is_not_known(&mut findings);
    let subject = spec.checked(&mut findings, "spec.selector", spec.selector.as_deref());
    let namespaces = spec.namespaces(&mut findings, home);
    let (governs_ingress, governs_egress) = spec.directions(&mut findings);
    let hosts = spec.hosts(&mut findings, home, &namespaces, governs_egress);
    let mut rules = |list: &str, rules: &Option<Vec<Rule>>| {
        let rules = rules.iter().flatten().enumerate();
        RuleList {
            rules: rules.map(|(index, rule)| rule.rule(&mut findings, &format!("spec.{list}[{index}]"))).collect(),
        }
    };
    let (ingress, egress) = (rules("ingress", &spec.ingress), rules("egress", &spec.egress));
    let spec = v1::PolicySpec {
        tier: tier.unwrap_or_default().to_owned(),
        order,
        subject: if subject == "all()" { String::new() } else { subject },
        namespaces,
        hosts,
        ingress: governs_ingress.then_some(ingress),
        egress: governs_egress.then_some(egress),
        mode,
    };
    let policy = v1::Policy { metadata: Some(metadata), spec: Some(spec), ..v1::Policy::default() };
    findings.finish(Some(Resource::from(policy)))
}

impl Spec {
    /// What it says to host endpoints. They live in no namespace, so one that asks for namespaces says nothing to them.
    fn hosts(&self, findings: &mut Findings, home: Home, namespaces: &str, governs_egress: bool) -> String {
        if home == Home::Namespace {
            let switches = [
                ("spec.doNotTrack", &self.do_not_track),
                ("spec.preDNAT", &self.pre_dnat),
                ("spec.applyOnForward", &self.apply_on_forward),
            ];
            for (field, _) in switches.into_iter().filter(|(_, value)| value.is_some()) {
                findings.add(of_global(field));
            }
            return String::new();
        }
        let switches = host::Switches {
            do_not_track: self.do_not_track.as_ref(),
            pre_dnat: self.pre_dnat.as_ref(),
            apply_on_forward: self.apply_on_forward.as_ref(),
        };
        let hosts = switches.hosts(findings, governs_egress);
        let means_some = namespaces.is_empty() || namespaces == "global()";
        if hosts == "local" && !means_some { String::new() } else { hosts.to_owned() }
    }

    fn refuse_what_is_not_known(&self, findings: &mut Findings) {
        if self.service_account_selector.as_deref().is_some_and(|text| !text.trim().is_empty()) {
            let message = "labels of service accounts are not known here";
            let advice = "select by the label projectcalico.org/serviceaccount, which holds the account's name";
            let field = "spec.serviceAccountSelector";
            findings.add(Invalid::new(field, "NOT_SUPPORTED", message).advice(advice));
        }
    }

    fn namespaces(&self, findings: &mut Findings, home: Home) -> String {
        let field = "spec.namespaceSelector";
        if home == Home::Namespace && self.namespace_selector.is_some() {
            findings.add(of_global(field));
        }
        self.checked(findings, field, self.namespace_selector.as_deref())
    }

    fn checked(&self, findings: &mut Findings, field: &str, text: Option<&str>) -> String {
        let text = text.unwrap_or_default().trim();
        findings.take(selector(field, text));
        text.to_owned()
    }

    /// Whether what comes in, and whether what goes out, is governed.
    fn directions(&self, findings: &mut Findings) -> (bool, bool) {
        let types = self.types.as_deref().unwrap_or_default();
        if types.is_empty() {
            let has_rules = |rules: &Option<Vec<Rule>>| rules.as_ref().is_some_and(|rules| !rules.is_empty());
            let (has_ingress, has_egress) = (has_rules(&self.ingress), has_rules(&self.egress));
            return (has_ingress || !has_egress, has_egress);
        }
        let words = [("Ingress", false), ("Egress", true)];
        let mut seen = BTreeSet::new();
        for (index, text) in types.iter().enumerate() {
            let field = format!("spec.types[{index}]");
            let kind = findings.take(word(&field, text, &words));
            if kind.is_some_and(|kind| !seen.insert(kind)) {
                findings.add(Invalid::new(field, "TWICE", format!("{text} is given twice")));
            }
        }
        (seen.contains(&false), seen.contains(&true))
    }
}

/// A field that only a GlobalNetworkPolicy has.
fn of_global(field: &str) -> Invalid {
    let name = field.rsplit('.').next().unwrap_or(field);
    let message = format!("{name} belongs to a GlobalNetworkPolicy");
    Invalid::new(field, "UNKNOWN_FIELD", message).advice("leave it out, or make the policy global")
}
