//! One end of Calico's rules: selectors, namespaces, service accounts, prefixes.

use ipnet::IpNet;
use poplin_proto::v1;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::value::net_or_address;
use super::super::written::{Scalar, Text, something};
use crate::field::{Findings, Invalid, selector};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Entity {
    #[serde(deserialize_with = "something")]
    nets: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    not_nets: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    selector: Option<Text>,
    #[serde(deserialize_with = "something")]
    not_selector: Option<Text>,
    #[serde(deserialize_with = "something")]
    namespace_selector: Option<Text>,
    #[serde(deserialize_with = "something")]
    service_accounts: Option<ServiceAccounts>,
    services: Option<IgnoredAny>,
    #[serde(deserialize_with = "something")]
    pub(super) ports: Option<Vec<Scalar>>,
    #[serde(deserialize_with = "something")]
    pub(super) not_ports: Option<Vec<Scalar>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServiceAccounts {
    #[serde(deserialize_with = "something")]
    names: Option<Vec<Text>>,
    #[serde(deserialize_with = "something")]
    selector: Option<Text>,
}

/// The label under which Calico's users know the service account of an endpoint.
const SERVICE_ACCOUNT_LABEL: &str = "projectcalico.org/serviceaccount";

impl Entity {
    /// The same in our words; nothing where everybody fits.
    pub(super) fn peers(&self, findings: &mut Findings, field: &str) -> Option<v1::Peers> {
        let at = |name: &str| format!("{field}.{name}");
        if self.services.is_some() {
            let advice = "select the endpoints behind it by their labels";
            let message = "services are Kubernetes', and not known here";
            findings.add(Invalid::new(at("services"), "NOT_SUPPORTED", message).advice(advice));
        }
        let namespaces = self.namespace_selector.as_deref().unwrap_or_default().trim();
        if namespaces != "global()" {
            findings.take(selector(&at("namespaceSelector"), namespaces));
        }
        let nets = self.nets(findings, &at("nets"), self.nets.as_deref());
        let not_nets = self.nets(findings, &at("notNets"), self.not_nets.as_deref());
        if let Some(index) = not_nets.iter().position(|net| net.prefix_len() == 0) {
            let message = format!("without {} nobody is left", not_nets[index]);
            findings.add(Invalid::new(format!("{}[{index}]", at("notNets")), "BAD_PREFIX", message));
        }
        let texts = |nets: &[IpNet]| nets.iter().map(IpNet::to_string).collect();
        let peers = v1::Peers {
            select: self.select(findings, field),
            not_select: self.checked(findings, &at("notSelector"), self.not_selector.as_deref()),
            namespaces: namespaces.to_owned(),
            nets: texts(&nets),
            not_nets: texts(&not_nets),
            ..v1::Peers::default()
        };
        (peers != v1::Peers::default()).then_some(peers)
    }

    /// Prefixes it names, of either sense.
    pub(super) fn all_nets(&self) -> impl Iterator<Item = (&'static str, usize, IpNet)> {
        let lists = [("nets", &self.nets), ("notNets", &self.not_nets)];
        lists.into_iter().flat_map(|(name, list)| {
            let nets = list.iter().flatten().enumerate();
            nets.filter_map(move |(index, text)| Some((name, index, net_or_address("", text).ok()?)))
        })
    }

    fn nets(&self, findings: &mut Findings, field: &str, texts: Option<&[Text]>) -> Vec<IpNet> {
        let texts = texts.unwrap_or_default().iter().enumerate();
        findings.take_all(texts.map(|(index, text)| net_or_address(&format!("{field}[{index}]"), text)))
    }

    /// What labels are asked for, those of the service account among them.
    fn select(&self, findings: &mut Findings, field: &str) -> String {
        let labels = self.checked(findings, &format!("{field}.selector"), self.selector.as_deref());
        let Some(accounts) = &self.service_accounts else { return labels };
        if accounts.selector.as_deref().is_some_and(|text| !text.trim().is_empty()) {
            let message = "labels of service accounts are not known here";
            let advice = "list the accounts under names";
            let field = format!("{field}.serviceAccounts.selector");
            findings.add(Invalid::new(field, "NOT_SUPPORTED", message).advice(advice));
        }
        let mut names = Vec::new();
        for (index, name) in accounts.names.iter().flatten().enumerate() {
            let field = format!("{field}.serviceAccounts.names[{index}]");
            findings.take(crate::field::object_name(&field, name));
            names.push(format!("'{name}'"));
        }
        if names.is_empty() && accounts.selector.is_none() {
            let message = "no account is named, which Calico takes for everybody";
            let field = format!("{field}.serviceAccounts");
            findings.add(Invalid::new(field, "EMPTY_LIST", message).advice("list names, or leave serviceAccounts out"));
        }
        let names = format!("{SERVICE_ACCOUNT_LABEL} in {{{}}}", names.join(", "));
        if labels.is_empty() { names } else { format!("({labels}) && {names}") }
    }

    fn checked(&self, findings: &mut Findings, field: &str, text: Option<&str>) -> String {
        let text = text.unwrap_or_default().trim();
        findings.take(selector(field, text));
        text.to_owned()
    }
}
