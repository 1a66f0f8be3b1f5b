//! The ports that stay open at host endpoints.

use std::collections::BTreeSet;

use poplin_policy::host::Failsafe;
use poplin_policy::model::{PortMatch, PortProtocol};
use poplin_proto::v1;

use crate::field::{Findings, Invalid, Invalids};

/// Checks those of a fabric; a direction that names none has the usual ones.
pub fn check_failsafe(spec: &v1::FabricConfigSpec) -> Result<Failsafe, Invalids> {
    let usual = Failsafe::default();
    let mut findings = Findings::default();
    let inbound = ports(&mut findings, "spec.failsafeInbound", &spec.failsafe_inbound, usual.inbound);
    let outbound = ports(&mut findings, "spec.failsafeOutbound", &spec.failsafe_outbound, usual.outbound);
    findings.finish(Some(Failsafe { inbound, outbound }))
}

/// Not to name any takes a word of its own.
fn ports(
    findings: &mut Findings,
    field: &str,
    texts: &[String],
    usual: BTreeSet<(PortProtocol, u16)>,
) -> BTreeSet<(PortProtocol, u16)> {
    match texts {
        [] => usual,
        [none] if none == "none" => BTreeSet::new(),
        ports => {
            let check = |(index, text): (usize, &String)| match text.parse() {
                Ok(PortMatch::Ports { protocol, range }) if range.start() == range.end() => {
                    Ok((protocol, *range.start()))
                }
                _ => Err(Invalid::new(format!("{field}[{index}]"), "BAD_PORT", format!("{text:?} is not one port"))
                    .advice("write ports such as tcp/22, or [none] alone")),
            };
            findings.take_all(ports.iter().enumerate().map(check)).into_iter().collect()
        }
    }
}
