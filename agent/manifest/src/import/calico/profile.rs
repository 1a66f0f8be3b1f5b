//! Profile: labels for endpoints that name it, and what may reach them where no policy decides.
//!
//! Calico asks an endpoint's profiles after all tiers, one after the other, and denies what none of them allows. So their rules become
//! a policy of a tier that is asked last and denies, for those who name the profile. Policies of a tier are asked
//! by their names and profiles as the endpoint names them, which is the same as long as none of their rules denies. Of a host endpoint they are
//! asked about what the host itself receives and sends, and not about what it forwards (felix/rules/endpoints.go, HostEndpointToFilterChains
//! and HostEndpointToForwardChains).

use std::collections::BTreeMap;

use poplin_policy::model::{PROFILE_LABEL, PROFILE_TIER};
use poplin_proto::v1::{self, Resource, RuleList};
use serde::Deserialize;

use super::super::envelope::{Envelope, Home};
use super::super::written::{Text, something};
use super::rule::Rule;
use crate::field::{Findings, Invalid, Invalids};

/// The kind that holds labels and rules for others.
pub(in crate::import) const KIND: &str = "Profile";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(in crate::import) struct Spec {
    #[serde(deserialize_with = "something")]
    labels_to_apply: Option<BTreeMap<String, Text>>,
    #[serde(deserialize_with = "something")]
    ingress: Option<Vec<Rule>>,
    #[serde(deserialize_with = "something")]
    egress: Option<Vec<Rule>>,
}

/// The profile, and the policy that says what it allows.
pub(in crate::import) fn import(document: &Envelope<Spec>, source: String) -> Result<Vec<Resource>, Invalids> {
    let mut findings = Findings::default();
    let nothing = Spec::default();
    let spec = document.spec.as_ref().unwrap_or(&nothing);
    let name = document.metadata.name();
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name.to_owned(), source.clone());
    let profile = v1::Profile { metadata: Some(metadata), spec: Some(spec.labels()), ..v1::Profile::default() };
    // Labels and names have the same form there, so they are checked as ours.
    if findings.is_empty() {
        for invalid in crate::check_profile(&profile).err().into_iter().flat_map(|invalids| invalids.0) {
            let field = invalid.field.replace("spec.endpointLabels", "spec.labelsToApply");
            findings.add(Invalid { field, ..invalid });
        }
    }
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, format!("profile.{name}"), source);
    let lists = [("spec.ingress", &spec.ingress), ("spec.egress", &spec.egress)];
    let lists = lists.map(|(field, list)| rules(&mut findings, field, list.as_deref()));
    let policy = allowing(metadata, name, lists);
    findings.finish(Some(vec![Resource::from(profile), Resource::from(policy)]))
}

impl Spec {
    fn labels(&self) -> v1::ProfileSpec {
        let labels = self.labels_to_apply.iter().flatten().map(|(key, value)| (key.clone(), value.to_string()));
        v1::ProfileSpec { endpoint_labels: labels.collect() }
    }
}

/// What a profile allows, ingress first, to whoever names it.
pub(super) fn allowing(metadata: v1::Metadata, profile: &str, [ingress, egress]: [RuleList; 2]) -> v1::Policy {
    let spec = v1::PolicySpec {
        tier: PROFILE_TIER.to_owned(),
        subject: format!("has({PROFILE_LABEL}{profile})"),
        hosts: "local".to_owned(),
        ingress: Some(ingress),
        egress: Some(egress),
        ..v1::PolicySpec::default()
    };
    v1::Policy { metadata: Some(metadata), spec: Some(spec), ..v1::Policy::default() }
}

fn rules(findings: &mut Findings, field: &str, rules: Option<&[Rule]>) -> RuleList {
    let ours = |(index, rule): (usize, &Rule)| {
        let field = format!("{field}[{index}]");
        let rule = rule.rule(findings, &field);
        if matches!(rule.action.as_str(), "deny" | "pass") {
            let message = "a profile only allows here; what none of an endpoint's profiles allows is denied";
            let advice = "leave the rule out, and narrow what is allowed after it; or write a policy that denies";
            findings.add(Invalid::new(format!("{field}.action"), "NOT_SUPPORTED", message).advice(advice));
        }
        rule
    };
    RuleList { rules: rules.unwrap_or_default().iter().enumerate().map(ours).collect() }
}
