//! Services, and how the health of their endpoints is seen.

use std::time::Duration;

use ipnet::IpNet;
use poplin_manifest::check_service_addresses;
use poplin_manifest::field::{Findings, Invalid, Invalids, checked_name, selector, within};
use poplin_node::name::ServiceName;
use poplin_node::object::{HealthCheck, Service};
use poplin_proto::v1;

/// Between two probes, and the most one may take: a dead endpoint is found in three seconds, and a probe is three packets each way.
const PROBE_MILLISECONDS: u32 = 1000;

/// So many failures in a row are no blip.
const FAILURES: u32 = 3;

/// The longest time that can be given.
const LONGEST_MILLISECONDS: u32 = 3_600_000;

/// The highest count that can be given.
const MOST_IN_A_ROW: u32 = 100;

pub(super) fn check(service: &v1::Service) -> Result<Service, Invalids> {
    let spec = service.spec.clone().unwrap_or_default();
    let mut findings = Findings::default();
    let addresses = findings.take_part(check_service_addresses(service));
    let namespace = service.metadata.as_ref().map(|metadata| metadata.namespace.as_str()).unwrap_or_default();
    if !namespace.is_empty() {
        let invalid = Invalid::new("metadata.namespace", "NO_NAMESPACE", "services live in no namespace");
        findings.add(invalid.advice("leave it out, and select endpoints by projectcalico.org/namespace"));
    }
    if spec.endpoints.is_empty() {
        let invalid = Invalid::new("spec.endpoints", "EMPTY", "it does not say who serves it");
        findings.add(invalid.advice("give a selector such as app == 'dns', or all()"));
    }
    let endpoints = findings.take(selector("spec.endpoints", &spec.endpoints));
    let health = spec.health.as_ref().map(|health| findings.take_part(check_health("spec.health", health)));
    let health = match health {
        None => Some(None),
        Some(checked) => checked.map(Some),
    };
    let checked = addresses.zip(endpoints).zip(health);
    findings.finish(checked.map(|((set, endpoints), health)| Service {
        name: ServiceName::new(checked_name(service.metadata.as_ref())),
        labels: set.labels,
        addresses: set.nets.iter().map(IpNet::addr).collect(),
        endpoints,
        health,
    }))
}

fn check_health(field: &str, health: &v1::HealthCheck) -> Result<HealthCheck, Invalids> {
    let mut findings = Findings::default();
    let mut number = |name: &str, value: Option<u32>, usual, low, high, unit| {
        findings.take(within(&format!("{field}.{name}"), value.unwrap_or(usual), low, high, unit))
    };
    let port = number("port", Some(health.port), 0, 1, u16::MAX.into(), "");
    let interval = number(
        "intervalMilliseconds",
        health.interval_milliseconds,
        PROBE_MILLISECONDS,
        100,
        LONGEST_MILLISECONDS,
        " ms",
    );
    let timeout =
        number("timeoutMilliseconds", health.timeout_milliseconds, PROBE_MILLISECONDS, 10, LONGEST_MILLISECONDS, " ms");
    let failures = number("failures", health.failures, FAILURES, 1, MOST_IN_A_ROW, " in a row");
    let successes = number("successes", health.successes, 1, 1, MOST_IN_A_ROW, " in a row");
    let path = Some(health.http_path.clone()).filter(|path| !path.is_empty());
    let http_path = findings.take(path.map(|path| http_path(&format!("{field}.httpPath"), path)).transpose());
    let millis = |number: u32| Duration::from_millis(number.into());
    let checked = port.zip(interval).zip(timeout).zip(failures).zip(successes).zip(http_path);
    findings.finish(checked.map(|(((((port, interval), timeout), failures), successes), http_path)| HealthCheck {
        port: u16::try_from(port).expect("a port was checked to be one"),
        http_path,
        interval: millis(interval),
        timeout: millis(timeout),
        failures,
        successes,
    }))
}

/// What can stand in the first line of a request as it is (RFC 9112 §3.2.1), by the judgement of the library that sends it.
fn http_path(field: &str, path: String) -> Result<String, Invalid> {
    let is_fine =
        path.starts_with('/') && !path.contains('#') && path.parse::<hyper::http::uri::PathAndQuery>().is_ok();
    let refused = || Invalid::new(field, "BAD_PATH", format!("{path:?} is not the path of a page"));
    if is_fine {
        Ok(path)
    } else {
        Err(refused().advice("write one such as /health, percent-encoded where it must be"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use poplin_proto::v1::resource::Object;

    fn checked(spec: &str) -> Result<Service, String> {
        let document = format!(r#"{{"metadata":{{"name":"dns"}},"spec":{spec}}}"#);
        match v1::Resource::from_json("Service", &document).unwrap().object {
            Some(Object::Service(service)) => check(&service).map_err(|invalids| invalids.to_string()),
            _ => unreachable!("it was read as a service"),
        }
    }

    #[test]
    fn a_check_asks_each_second_and_forgives_two_failures() {
        let service = checked(r#"{"addresses":["198.51.100.7"],"endpoints":"app == 'dns'","health":{"port":53}}"#);

        let second = Duration::from_secs(1);
        let usual =
            HealthCheck { port: 53, http_path: None, interval: second, timeout: second, failures: 3, successes: 1 };
        assert_eq!(service.unwrap().health, Some(usual));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let told = |spec: &str| checked(spec).unwrap_err();

        assert!(told(r#"{"endpoints":"all()"}"#).contains("spec.addresses: a service needs an address"));
        assert!(told(r#"{"addresses":["198.51.100.0/24"],"endpoints":"all()"}"#).contains("is a prefix"));
        assert!(told(r#"{"addresses":["127.0.0.1"],"endpoints":"all()"}"#).contains("cannot be routed"));
        assert!(told(r#"{"addresses":["198.51.100.7"]}"#).contains("it does not say who serves it"));
        let health =
            |health: &str| told(&format!(r#"{{"addresses":["198.51.100.7"],"endpoints":"all()","health":{health}}}"#));
        assert!(health("{}").contains("spec.health.port: 0 is below 1"));
        assert!(health(r#"{"port":80,"httpPath":"health"}"#).contains(r#""health" is not the path of a page"#));
        for path in ["/a<b", "/a`", "/a b", "/a#b"] {
            let told = health(&format!(r#"{{"port":80,"httpPath":"{path}"}}"#));
            assert!(told.contains("is not the path of a page"), "{told}");
        }
        assert!(health(r#"{"port":80,"failures":0}"#).contains("spec.health.failures: 0 in a row is below 1"));
    }
}
