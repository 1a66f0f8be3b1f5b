//! The other ends of Kubernetes' NetworkPolicy: pods by labels, or blocks of addresses.

use ipnet::IpNet;
use poplin_proto::v1;
use serde::Deserialize;

use super::super::label_selector::{LabelSelector, all_pods};
use super::super::value::net;
use super::super::written::{Text, something};
use crate::field::{Findings, Invalid};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct Peer {
    #[serde(deserialize_with = "something")]
    pod_selector: Option<LabelSelector>,
    #[serde(deserialize_with = "something")]
    namespace_selector: Option<LabelSelector>,
    #[serde(deserialize_with = "something")]
    ip_block: Option<IpBlock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct IpBlock {
    cidr: Text,
    #[serde(default)]
    except: Vec<Text>,
}

impl Peer {
    /// The same in our words. Two selectors of one peer must hold together.
    pub(super) fn peers(&self, findings: &mut Findings, field: &str) -> v1::Peers {
        let at = |name: &str| format!("{field}.{name}");
        match (&self.pod_selector, &self.namespace_selector, &self.ip_block) {
            (None, None, None) => {
                let advice = "name a podSelector, a namespaceSelector or an ipBlock; for everybody, leave the list out";
                findings.add(Invalid::new(field, "EMPTY_PEER", "the peer is empty").advice(advice));
                v1::Peers::default()
            }
            (None, None, Some(block)) => block.peers(findings, &at("ipBlock")),
            (_, _, Some(_)) => {
                let message = "an ipBlock and a selector stand in one peer";
                let advice = "make two peers of them: either is enough then";
                findings.add(Invalid::new(at("ipBlock"), "BAD_PEER", message).advice(advice));
                v1::Peers::default()
            }
            (pods, namespaces, None) => v1::Peers {
                select: match pods {
                    Some(pods) => pods.pods(findings, &at("podSelector")),
                    None => all_pods(),
                },
                namespaces: namespaces
                    .as_ref()
                    .map(|selector| selector.text(findings, &at("namespaceSelector")))
                    .unwrap_or_default(),
                ..v1::Peers::default()
            },
        }
    }
}

impl IpBlock {
    fn peers(&self, findings: &mut Findings, field: &str) -> v1::Peers {
        let block = findings.take(net(&format!("{field}.cidr"), &self.cidr));
        let except = self.except.iter().enumerate().map(|(index, text)| {
            let field = format!("{field}.except[{index}]");
            let hole = net(&field, text)?;
            match block {
                Some(block) if !is_part(block, hole) => {
                    let message = format!("{hole} is not a part of {block}");
                    Err(Invalid::new(field, "BAD_EXCEPT", message).advice("take out less than the block itself"))
                }
                Some(_) | None => Ok(hole),
            }
        });
        let except = findings.take_all(except);
        v1::Peers {
            nets: block.iter().map(IpNet::to_string).collect(),
            not_nets: except.iter().map(IpNet::to_string).collect(),
            ..v1::Peers::default()
        }
    }
}

fn is_part(block: IpNet, hole: IpNet) -> bool {
    block.contains(&hole) && block != hole
}
