//! Whom a cluster's policy governs: all pods of some namespaces, or some pods of some namespaces.

use serde::Deserialize;

use super::super::label_selector::LabelSelector;
use super::super::written::something;
use crate::field::{Findings, Invalid};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Subject {
    #[serde(deserialize_with = "something")]
    namespaces: Option<LabelSelector>,
    #[serde(deserialize_with = "something")]
    pods: Option<NamespacedPod>,
}

/// Pods that have such labels, in namespaces that have such labels.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NamespacedPod {
    #[serde(default)]
    pub(super) namespace_selector: LabelSelector,
    pub(super) pod_selector: LabelSelector,
}

impl Subject {
    /// Selectors of the pods and of their namespaces.
    pub(super) fn texts(&self, findings: &mut Findings, field: &str) -> (String, String) {
        match (&self.namespaces, &self.pods) {
            (Some(namespaces), None) => (String::new(), namespaces.text(findings, &format!("{field}.namespaces"))),
            (None, Some(pods)) => {
                let subject = pods.pod_selector.text(findings, &format!("{field}.pods.podSelector"));
                let namespaces = pods.namespace_selector.text(findings, &format!("{field}.pods.namespaceSelector"));
                (if subject == "all()" { String::new() } else { subject }, namespaces)
            }
            (Some(_), Some(_)) => {
                let message = "the subject has two fields, namespaces and pods";
                let advice = "keep one; pods has a namespaceSelector of its own";
                findings.add(Invalid::new(field, "BAD_SUBJECT", message).advice(advice));
                Default::default()
            }
            (None, None) => {
                let advice = "name namespaces or pods; namespaces: {} means every pod";
                findings.add(Invalid::new(field, "BAD_SUBJECT", "the subject is empty").advice(advice));
                Default::default()
            }
        }
    }
}
