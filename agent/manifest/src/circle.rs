//! Networks, as far as policy looks at them.

use poplin_policy::circle::Circle;
use poplin_proto::v1;

use crate::field::{Findings, Invalids, checked_labels, checked_name};

/// Checks who belongs together by a network.
pub fn check_circle(network: &v1::Network) -> Result<Circle, Invalids> {
    let spec = network.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let labels = findings.take(checked_labels(network.metadata.as_ref()));
    let name = checked_name(network.metadata.as_ref());
    let (is_open_within, is_open_outside) = (spec.icc.unwrap_or(true), !spec.internal);
    let index = u16::try_from(spec.index).unwrap_or_default(); // one that is none is told by who checks all of it
    findings.finish(labels.map(|labels| Circle { name, labels, index, is_open_within, is_open_outside }))
}
