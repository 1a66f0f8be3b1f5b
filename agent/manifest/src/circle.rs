//! Networks, as far as policy looks at them.

use poplin_policy::circle::Circle;
use poplin_proto::v1;

use crate::field::{Findings, Invalid, Invalids, checked_labels, checked_name};

/// Checks who belongs together by a network.
pub fn check_circle(network: &v1::Network) -> Result<Circle, Invalids> {
    let spec = network.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let labels = findings.take(checked_labels(network.metadata.as_ref()));
    let name = checked_name(network.metadata.as_ref());
    let (is_open_within, is_open_outside) = (spec.icc.unwrap_or(true), !spec.internal);
    let is_open_to_others = findings.take(isolation(&spec)).is_some_and(|is_isolated| !is_isolated);
    let index = u16::try_from(spec.index).unwrap_or_default(); // one that is none is told by who checks all of it
    findings.finish(labels.map(|labels| Circle {
        name,
        labels,
        index,
        is_open_within,
        is_open_to_others,
        is_open_outside,
    }))
}

/// Whether it is closed to other endpoints.
fn isolation(spec: &v1::NetworkSpec) -> Result<bool, Invalid> {
    let is_isolated = spec.isolation.unwrap_or(true);
    match spec.internal && !is_isolated {
        true => Err(Invalid::new("spec.isolation", "INTERNAL_AND_OPEN", "an internal network is closed to all others")
            .advice("leave isolation out, or internal; policies can open an internal network to whom they name")),
        false => Ok(is_isolated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(internal: bool, isolation: Option<bool>) -> Result<Circle, Invalids> {
        let spec = v1::NetworkSpec { internal, isolation, ..v1::NetworkSpec::default() };
        check_circle(&v1::Network { spec: Some(spec), ..v1::Network::default() })
    }

    #[test]
    fn a_network_is_open_to_others_only_where_it_says_so_and_is_not_internal() {
        let is_open = |isolation| read(false, isolation).map(|circle| circle.is_open_to_others);

        assert_eq!([None, Some(true), Some(false)].map(|said| is_open(said).unwrap()), [false, false, true]);
        assert!(!read(true, None).unwrap().is_open_to_others);
        let told = read(true, Some(false)).unwrap_err().to_string();
        assert!(told.contains("an internal network is closed to all others"), "{told}");
    }
}
