//! What every foreign document carries around its spec.
//!
//! In: `apiVersion`, `kind`, `metadata`, `status`. Out: metadata of ours. What servers fill in is dropped: it says when and by
//! whom a document was written elsewhere, and means nothing here.

use std::collections::BTreeMap;

use poplin_proto::v1;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::written::Text;
use crate::field::{Findings, Invalid, labels, object_name};

/// Says, for people, what a document was made from.
pub const ORIGIN: &str = "poplin.dev/origin";

/// Annotations in which servers and clients keep books of their own.
const BOOKS: [&str; 2] = ["kubectl.kubernetes.io/last-applied-configuration", "projectcalico.org/metadata"];

/// One foreign document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Envelope<S> {
    #[serde(rename = "apiVersion")]
    _api_version: Option<IgnoredAny>,
    #[serde(rename = "kind")]
    _kind: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    pub(super) spec: Option<S>,
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Metadata {
    name: Option<Text>,
    namespace: Option<Text>,
    labels: Option<BTreeMap<String, Text>>,
    annotations: Option<BTreeMap<String, Text>>,
    #[serde(rename = "uid")]
    _uid: Option<IgnoredAny>,
    #[serde(rename = "resourceVersion")]
    _resource_version: Option<IgnoredAny>,
    #[serde(rename = "generation")]
    _generation: Option<IgnoredAny>,
    #[serde(rename = "creationTimestamp")]
    _creation_timestamp: Option<IgnoredAny>,
    #[serde(rename = "deletionTimestamp")]
    _deletion_timestamp: Option<IgnoredAny>,
    #[serde(rename = "deletionGracePeriodSeconds")]
    _deletion_grace_period_seconds: Option<IgnoredAny>,
    #[serde(rename = "finalizers")]
    _finalizers: Option<IgnoredAny>,
    #[serde(rename = "managedFields")]
    _managed_fields: Option<IgnoredAny>,
    #[serde(rename = "ownerReferences")]
    _owner_references: Option<IgnoredAny>,
    #[serde(rename = "selfLink")]
    _self_link: Option<IgnoredAny>,
}

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// In the namespace they name, else in `default`.
    Namespace,
    /// In none.
    Fabric,
}

impl Metadata {
    /// What its author calls it: `shop/api`, or `api` where its kind lives in no namespace.
    pub(super) fn qualified_name(&self, home: Home) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        match home {
            Home::Namespace => format!("{}/{name}", self.namespace()),
            Home::Fabric => name.to_owned(),
        }
    }

    /// The namespace of a kind that lives in one.
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The metadata of what it becomes, under another name. `source` is version, kind and name of this document.
    pub(super) fn renamed(&self, findings: &mut Findings, home: Home, name: String, source: String) -> v1::Metadata {
        findings.take(object_name("metadata.name", self.name()).and_then(|()| object_name("metadata.name", &name)));
        match (home, &self.namespace) {
            (Home::Namespace, Some(namespace)) => drop(findings.take(object_name("metadata.namespace", namespace))),
            (Home::Fabric, Some(namespace)) => {
                let message = format!("{namespace} is named, but this kind lives in no namespace");
                let advice = "leave metadata.namespace out";
                findings.add(Invalid::new("metadata.namespace", "NOT_NAMESPACED", message).advice(advice));
            }
            (_, None) => {}
        }
        let own = written(self.labels.as_ref());
        findings.take(labels("metadata.labels", &own));
        let mut annotations = written(self.annotations.as_ref());
        annotations.retain(|key, _| !BOOKS.contains(&key.as_str()));
        annotations.insert(ORIGIN.to_owned(), source);
        let namespace = if home == Home::Namespace { self.namespace().to_owned() } else { String::new() };
        v1::Metadata { name, namespace, labels: own, annotations, ..v1::Metadata::default() }
    }
}

fn written(pairs: Option<&BTreeMap<String, Text>>) -> BTreeMap<String, String> {
    pairs.into_iter().flatten().map(|(key, value)| (key.clone(), value.to_string())).collect()
}
