//! Policies as others write them, in our words.
//!
//! ```text
//! YAML ─ typed structs of each home ─> Foreign ─ import ─> documents of ours, or everything that is wrong
//! ```
//! Strict: a field this house does not know, or cannot do, is refused by its path and never left out. What a document became
//! is stored and printed; an annotation says what it was. The meaning is each home's own, defaults included, for there is no
//! API server here to fill them in.

mod calico;
mod cluster;
mod envelope;
mod kubernetes;
mod label_selector;
mod staged;
mod value;
mod written;

use poplin_proto::nearest;
use poplin_proto::v1::Resource;
use serde::Deserialize as _;
use serde::de::{Deserializer, Error as _};

pub use envelope::ORIGIN;
use envelope::{Envelope, Home};

use crate::field::{Invalid, Invalids};

/// A foreign document, its shape checked and its meaning not yet.
#[derive(Debug)]
pub struct Foreign {
    api_version: String,
    kind: String,
    body: Body,
}

#[derive(Debug)]
enum Body {
    NetworkPolicy(Envelope<kubernetes::network_policy::Spec>, bool),
    Namespace(Envelope<kubernetes::namespace::Spec>),
    Admin(Envelope<cluster::admin::Spec>, bool),
    Cluster(Envelope<cluster::cluster_network_policy::Spec>),
    Calico(Envelope<calico::policy::Spec>, Home, bool),
    Tier(Envelope<calico::tier::Spec>),
    Set(Envelope<calico::set::Spec>, Home),
    HostEndpoint(Envelope<calico::host::Spec>),
    Profile(Envelope<calico::profile::Spec>),
}

/// Every version this house reads beside its own, and its kinds.
const KINDS: [(&str, &[&str]); 6] = [
    ("v1", &["Namespace"]),
    ("networking.k8s.io/v1", &["NetworkPolicy"]),
    ("policy.networking.k8s.io/v1alpha1", &["AdminNetworkPolicy", "BaselineAdminNetworkPolicy"]),
    ("policy.networking.k8s.io/v1alpha2", &["ClusterNetworkPolicy"]),
    ("projectcalico.org/v3", &CALICO),
    ("crd.projectcalico.org/v1", &CALICO),
];

const CALICO: [&str; 10] = [
    "NetworkPolicy",
    "GlobalNetworkPolicy",
    "Tier",
    "NetworkSet",
    "GlobalNetworkSet",
    "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy",
    "StagedKubernetesNetworkPolicy",
    calico::host::KIND,
    calico::profile::KIND,
];

/// The foreign versions, for those who ask.
pub fn versions() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(version, _)| *version)
}

/// Whether documents of this version are read here.
pub fn is_known(api_version: &str) -> bool {
    versions().any(|version| version == api_version)
}

/// The kind of the items, if this kind is a list of them: `NetworkPolicyList` holds NetworkPolicy, `List` holds anything.
pub fn listed(api_version: &str, kind: &str) -> Option<String> {
    let item = kind.strip_suffix("List")?;
    let is_known = |(version, kinds): &(&str, &[&str])| *version == api_version && kinds.contains(&item);
    let holds_anything = kind == "List" && api_version == "v1";
    (holds_anything || KINDS.iter().any(is_known)).then(|| item.to_owned())
}

/// Why a kind is not read.
pub fn check_kind(api_version: &str, kind: &str) -> Result<(), Invalid> {
    let kinds = KINDS.iter().find(|(version, _)| *version == api_version).map_or(&[][..], |(_, kinds)| *kinds);
    if kinds.contains(&kind) {
        return Ok(());
    }
    let meant = nearest(kind, kinds.iter().copied()).map_or("; ".to_owned(), |kind| format!(", did you mean {kind}? "));
    let message = format!("kind {kind:?} of {api_version} is not read here{meant}read are {}", kinds.join(", "));
    Err(Invalid::new("kind", "UNKNOWN_KIND", message))
}

impl Foreign {
    /// Reads a document whose kind is already known to be read here.
    pub fn deserialize<'de, D: Deserializer<'de>>(api_version: &str, kind: &str, yaml: D) -> Result<Self, D::Error> {
        let body = match (api_version, kind) {
            ("v1", "Namespace") => Body::Namespace(Envelope::deserialize(yaml)?),
            ("networking.k8s.io/v1", "NetworkPolicy") => Body::NetworkPolicy(Envelope::deserialize(yaml)?, false),
            (_, "StagedKubernetesNetworkPolicy") => Body::NetworkPolicy(Envelope::deserialize(yaml)?, true),
            (_, "AdminNetworkPolicy") => Body::Admin(Envelope::deserialize(yaml)?, false),
            (_, "BaselineAdminNetworkPolicy") => Body::Admin(Envelope::deserialize(yaml)?, true),
            (_, "ClusterNetworkPolicy") => Body::Cluster(Envelope::deserialize(yaml)?),
            (_, "NetworkPolicy") => Body::Calico(Envelope::deserialize(yaml)?, Home::Namespace, false),
            (_, "StagedNetworkPolicy") => Body::Calico(Envelope::deserialize(yaml)?, Home::Namespace, true),
            (_, "GlobalNetworkPolicy") => Body::Calico(Envelope::deserialize(yaml)?, Home::Fabric, false),
            (_, "StagedGlobalNetworkPolicy") => Body::Calico(Envelope::deserialize(yaml)?, Home::Fabric, true),
            (_, "Tier") => Body::Tier(Envelope::deserialize(yaml)?),
            (_, "NetworkSet") => Body::Set(Envelope::deserialize(yaml)?, Home::Namespace),
            (_, "GlobalNetworkSet") => Body::Set(Envelope::deserialize(yaml)?, Home::Fabric),
            (_, calico::host::KIND) => Body::HostEndpoint(Envelope::deserialize(yaml)?),
            (_, calico::profile::KIND) => Body::Profile(Envelope::deserialize(yaml)?),
            _ => return Err(D::Error::custom(format!("kind {kind:?} of {api_version} is not read here"))),
        };
        Ok(Self { api_version: api_version.to_owned(), kind: kind.to_owned(), body })
    }

    /// What people call it: `NetworkPolicy shop/api`.
    pub fn title(&self) -> String {
        let name = match &self.body {
            Body::NetworkPolicy(one, _) => one.metadata.qualified_name(Home::Namespace),
            Body::Namespace(one) => one.metadata.qualified_name(Home::Fabric),
            Body::Admin(one, _) => one.metadata.qualified_name(Home::Fabric),
            Body::Cluster(one) => one.metadata.qualified_name(Home::Fabric),
            Body::Calico(one, home, _) => one.metadata.qualified_name(*home),
            Body::Tier(one) => one.metadata.qualified_name(Home::Fabric),
            Body::Set(one, home) => one.metadata.qualified_name(*home),
            Body::HostEndpoint(one) => one.metadata.qualified_name(Home::Fabric),
            Body::Profile(one) => one.metadata.qualified_name(Home::Fabric),
        };
        format!("{} {name}", self.kind).trim_end().to_owned()
    }

    /// What it says in our words; nothing if that goes without saying.
    pub fn import(&self) -> Result<Vec<Resource>, Invalids> {
        let source = format!("{} {}", self.api_version, self.title());
        let one = |resource| vec![resource];
        match &self.body {
            Body::NetworkPolicy(it, is_staged) => kubernetes::network_policy::import(it, *is_staged, source).map(one),
            Body::Namespace(it) => kubernetes::namespace::import(it, source).map(one),
            Body::Admin(it, is_baseline) => cluster::admin::import(it, *is_baseline, source).map(one),
            Body::Cluster(it) => cluster::cluster_network_policy::import(it, source).map(one),
            Body::Calico(it, home, is_staged) => calico::policy::import(it, *home, *is_staged, source).map(one),
            Body::Tier(it) => calico::tier::import(it, source).map(Vec::from_iter),
            Body::Set(it, home) => calico::set::import(it, *home, source).map(one),
            Body::HostEndpoint(it) => calico::host::import(it, source),
            Body::Profile(it) => calico::profile::import(it, source),
        }
    }
}
