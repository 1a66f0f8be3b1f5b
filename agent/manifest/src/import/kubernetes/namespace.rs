//! Namespaces, for their labels.

use poplin_proto::v1::{self, Resource};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::envelope::{Envelope, Home};
use crate::field::{Findings, Invalids};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::import) struct Spec {
    #[serde(rename = "finalizers")]
    _finalizers: Option<IgnoredAny>,
}

pub(in crate::import) fn import(document: &Envelope<Spec>, source: String) -> Result<Resource, Invalids> {
    let mut findings = Findings::default();
    let name = document.metadata.name().to_owned();
    let metadata = document.metadata.renamed(&mut findings, Home::Fabric, name, source);
    let namespace = v1::Namespace {
        metadata: Some(metadata),
        spec: Some(v1::NamespaceSpec::default()),
        ..v1::Namespace::default()
    };
    findings.finish(Some(Resource::from(namespace)))
}
