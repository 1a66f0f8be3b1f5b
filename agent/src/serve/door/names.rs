//! What a certificate calls its holder.

use std::time::{Duration, SystemTime};

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::who::Who;

/// The names of one certificate, and until when they are true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) organizations: Vec<String>,
    pub(super) common_names: Vec<String>,
    pub(super) uris: Vec<String>,
    /// The last moment of the certificate.
    pub(super) until: SystemTime,
}

impl Default for Names {
    fn default() -> Self {
        Self { organizations: Vec::new(), common_names: Vec::new(), uris: Vec::new(), until: SystemTime::UNIX_EPOCH }
    }
}

impl Names {
    /// Reads a certificate in DER that was found to be sound; one that cannot be read has no names.
    pub(super) fn of(certificate: &[u8]) -> Self {
        let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Self::default() };
        let subject = certificate.subject();
        let text = |attribute: &x509_parser::x509::AttributeTypeAndValue| attribute.as_str().ok().map(str::to_owned);
        let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
        Self {
            organizations: subject.iter_organization().filter_map(text).collect(),
            common_names: subject.iter_common_name().filter_map(text).collect(),
            uris: uris(&certificate),
            until: SystemTime::UNIX_EPOCH + Duration::from_secs(end),
        }
    }

    /// Whether an entry means the holder.
    pub(super) fn are_of(&self, who: &Who) -> bool {
        match who {
            Who::Organization(name) => self.organizations.contains(name),
            Who::CommonName(name) => self.common_names.contains(name),
            Who::Uri(name) => self.uris.contains(name),
            Who::User(_) | Who::Group(_) => false,
        }
    }

    /// The holder, for people.
    pub(super) fn told(&self) -> String {
        let named = self.common_names.iter().map(|name| format!("CN={name}"));
        let organized = self.organizations.iter().map(|name| format!("O={name}"));
        let located = self.uris.iter().map(|name| format!("URI={name}"));
        let all: Vec<String> = named.chain(organized).chain(located).collect();
        if all.is_empty() { "a certificate without a name".to_owned() } else { all.join(", ") }
    }
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|extension| &extension.value.general_names);
    let uris = names.filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.collect()
}
