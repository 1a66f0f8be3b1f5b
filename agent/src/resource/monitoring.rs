//! Who is told of sessions and routes by BMP, as documents have it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use poplin_bgp::Monitoring;
use poplin_bgp::bmp::View;
use poplin_manifest::field::{Findings, Invalid, Invalids, parse, within, word};
use poplin_proto::v1;

/// What IANA registered for BMP.
const PORT: u32 = 11019;

/// Often enough to draw a curve.
const STATISTICS_SECONDS: u32 = 60;

/// A day: whoever wants less wants none.
const STATISTICS_SECONDS_MAX: u32 = 86_400;

/// Checks all of them; two at one place are one too many.
pub(super) fn stations(
    field: &str,
    written: &[v1::MonitoringStation],
) -> Result<BTreeMap<SocketAddr, Monitoring>, Invalids> {
    let mut findings = Findings::default();
    let mut stations = BTreeMap::new();
    for (index, one) in written.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let Some((address, terms)) = findings.take_part(station(&field, one)) else { continue };
        if stations.insert(address, terms).is_some() {
            let message = format!("{address} is named twice");
            let invalid = Invalid::new(format!("{field}.address"), "NAMED_TWICE", message);
            findings.add(invalid.advice("name it once, with all its views"));
        }
    }
    findings.finish(Some(stations))
}

fn station(field: &str, written: &v1::MonitoringStation) -> Result<(SocketAddr, Monitoring), Invalids> {
    let mut findings = Findings::default();
    let expected = "an address such as 192.0.2.9 or 2001:db8::9";
    let address = parse::<IpAddr>(&format!("{field}.address"), &written.address, "BAD_ADDRESS", expected);
    let address = findings.take(address);
    let port = within(&format!("{field}.port"), written.port.unwrap_or(PORT), 1, u16::MAX.into(), "");
    let port = findings.take(port).and_then(|port| u16::try_from(port).ok());
    let words = [("pre-policy", View::AdjRibInPre), ("post-policy", View::AdjRibInPost), ("loc-rib", View::LocRib)];
    let views = written.views.iter().enumerate();
    let views = views.map(|(index, text)| word(&format!("{field}.views[{index}]"), text, &words));
    let mut views: BTreeSet<_> = findings.take_all(views).into_iter().collect();
    if written.views.is_empty() {
        views.insert(View::AdjRibInPre);
    }
    let seconds = written.statistics_seconds.unwrap_or(STATISTICS_SECONDS);
    let seconds = within(&format!("{field}.statisticsSeconds"), seconds, 0, STATISTICS_SECONDS_MAX, " s");
    let checked = address.zip(port).zip(findings.take(seconds));
    findings.finish(checked.map(|((address, port), seconds)| {
        let statistics = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        (SocketAddr::from((address.to_canonical(), port)), Monitoring { views, statistics })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> v1::MonitoringStation {
        v1::MonitoringStation { address: address.to_owned(), ..v1::MonitoringStation::default() }
    }

    fn wrong(written: &[v1::MonitoringStation]) -> String {
        let invalids = stations("spec.monitoringStations", written).unwrap_err().0;
        invalids.iter().map(|one| format!("{}: {}", one.field, one.message)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn an_address_is_enough() {
        let stations = stations("", &[at("192.0.2.9")]).unwrap();

        let terms = &stations[&"192.0.2.9:11019".parse().unwrap()];
        assert_eq!(terms.views, [View::AdjRibInPre].into());
        assert_eq!(terms.statistics, Some(Duration::from_secs(60)));
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let wrong = wrong(&[
            v1::MonitoringStation {
                port: Some(70_000),
                views: vec!["loc-rib".to_owned(), "out".to_owned()],
                ..at("collector")
            },
            at("192.0.2.9"),
            at("192.0.2.9"),
        ]);

        assert!(wrong.contains("spec.monitoringStations[0].address: \"collector\" is not an address"), "{wrong}");
        assert!(wrong.contains("spec.monitoringStations[0].port: 70000 is above 65535"), "{wrong}");
        assert!(wrong.contains("spec.monitoringStations[0].views[1]: \"out\" is not one of pre-policy,"), "{wrong}");
        assert!(wrong.contains("spec.monitoringStations[2].address: 192.0.2.9:11019 is named twice"), "{wrong}");
    }

    #[test]
    fn zero_seconds_are_no_statistics() {
        let quiet = v1::MonitoringStation { statistics_seconds: Some(0), ..at("2001:db8::9") };

        let stations = stations("", &[quiet]).unwrap();

        assert_eq!(stations.values().next().unwrap().statistics, None);
    }
}
