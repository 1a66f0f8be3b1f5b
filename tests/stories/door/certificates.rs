//! Those who come from elsewhere and show a certificate, or none.

use std::time::{Duration, SystemTime};

use poplin_lab::{told, until};
use rcgen::{DnType, SanType, SerialNumber, date_time_ymd};

use super::authority::{Authority, Fleet, Holder, LATE, show};
use super::{POLICY, assert_done, assert_refused};

#[test]
fn a_certificate_opens_the_door_as_far_as_its_organization_says() {
    let fleet = Fleet::start(&[]);
    let (reader, admin) = (fleet.holder("reader", "poplin:read"), fleet.holder("deploy", "poplin:admin"));
    let stranger = fleet.holder("stranger", "accounting");
    let file = fleet.host.file("policy.yaml", POLICY);

    assert_done(&fleet.by(&reader, &["status"]));
    assert_done(&fleet.by(&reader, &["apply", "-f", &file, "--dry-run"]));
    assert_refused(
        &fleet.by(&reader, &["apply", "-f", &file]),
        "CN=reader, O=poplin:read may ask what this would change",
    );
    assert_refused(&fleet.by(&stranger, &["status"]), "CN=stranger, O=accounting may not call StatusService/GetStatus");
    assert_done(&fleet.by(&admin, &["apply", "-f", &file]));
    assert_done(&fleet.by(&admin, &["get", "policy", "db"]));
    let here = fleet.by(&admin, &["attach", "--netns", "/run/netns/x", "--name", "x"]);
    assert_eq!(here.status.code(), Some(2), "{}", told(&here));
}

#[test]
fn an_operator_says_which_names_of_certificates_count() {
    let fleet = Fleet::start(&["--api-read", "CN=grafana", "--api-admin", "URI=spiffe://lab.example/deploy"]);
    let grafana = fleet.holder("grafana", "monitoring");
    let deploy = Holder::write(&fleet.host, &fleet.authority, "deploy", |params| {
        let uri = "spiffe://lab.example/deploy".try_into().expect("a URI is ASCII");
        params.subject_alt_names.push(SanType::URI(uri));
    });
    let usual = fleet.holder("usual", "poplin:admin");
    let file = fleet.host.file("policy.yaml", POLICY);

    assert_done(&fleet.by(&grafana, &["status"]));
    assert_done(&fleet.by(&deploy, &["apply", "-f", &file]));
    assert_refused(&fleet.by(&usual, &["status"]), "may nothing here");
}

#[test]
fn who_shows_no_certificate_a_foreign_one_or_one_that_has_ended_is_not_let_in() {
    let fleet = Fleet::start(&[]);
    let foreign = Authority::new();
    let stranger = Holder::write(&fleet.host, &foreign, "stranger", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "poplin:admin");
    });
    let late = Holder::write(&fleet.host, &fleet.authority, "late", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "poplin:admin");
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });

    let bare = fleet
        .host
        .agent
        .namespace()
        .output("sh", &["-c", "sleep 1 | openssl s_client -connect 127.0.0.1:9470 -alpn h2 -ign_eof 2>&1"]);
    assert!(told(&bare).contains("certificate required"), "{}", told(&bare));
    assert_refused(&fleet.by(&stranger, &["status"]), "UnknownCA");
    assert_refused(&fleet.by(&late, &["status"]), "CertificateExpired");

    let misled =
        Holder { ca: fleet.host.file("foreign.pem", &foreign.0.pem()), ..fleet.holder("misled", "poplin:read") };
    let output = fleet.by(&misled, &["status"]);
    assert_eq!(output.status.code(), Some(5), "{}", told(&output));
    assert!(told(&output).contains("UnknownIssuer"), "{}", told(&output));
}

#[test]
fn a_connection_ends_with_the_certificate_it_was_made_with() {
    let fleet = Fleet::start(&[]);
    let brief = Holder::write(&fleet.host, &fleet.authority, "brief", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "poplin:read");
        params.not_after = (SystemTime::now() + Duration::from_secs(3)).into();
    });

    // Follows for ever, unless it is hung up on.
    let followed = fleet.by(&brief, &["drops", "--follow"]);

    assert_eq!(followed.status.code(), Some(5), "{}", told(&followed));
    let is_known_to_have_ended = || told(&fleet.by(&brief, &["status"])).contains("CertificateExpired");
    until("it does not come in again", is_known_to_have_ended);
}

#[test]
fn a_certificate_its_authority_took_back_is_not_let_in_any_more() {
    let path = std::env::temp_dir().join(format!("poplin-revoked-{}.pem", std::process::id()));
    let authority = Authority::new();
    std::fs::write(&path, authority.revoked(&[])).expect("a file can be written");
    let fleet = Fleet::of(authority, &["--api-crl", &path.display().to_string()], |_| {});
    let [good, bad] = [("good", 7), ("bad", 8)].map(|(name, number)| {
        Holder::write(&fleet.host, &fleet.authority, name, |params| {
            params.distinguished_name.push(DnType::OrganizationName, "poplin:read");
            params.serial_number = Some(SerialNumber::from(number));
        })
    });
    assert_done(&fleet.by(&bad, &["status"]));

    std::fs::write(&path, fleet.authority.revoked(&[8])).expect("a file can be written");

    until("the list counts", || !fleet.by(&bad, &["status"]).status.success());
    assert_refused(&fleet.by(&bad, &["status"]), "CertificateRevoked");
    assert_done(&fleet.by(&good, &["status"]));
    let _ = std::fs::remove_file(&path);
}

#[test]
fn certificates_that_are_renewed_in_place_count_a_second_later() {
    let fleet = Fleet::start(&[]);
    let old = fleet.holder("old", "poplin:read");
    assert_done(&fleet.by(&old, &["status"]));
    let next = Authority::new();

    std::fs::write(&fleet.key, "half a f").expect("the directory is there");
    until("it is told", || fleet.host.agent.said().contains("the certificate of before is shown"));
    assert_done(&fleet.by(&old, &["status"]));

    show(&fleet.host.directory, &next);
    let new = Holder::write(&fleet.host, &next, "new", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "poplin:read");
    });
    until("the new ones count", || fleet.by(&new, &["status"]).status.success());
    assert_refused(&fleet.by(&old, &["status"]), "UnknownCA");
}

#[test]
fn an_agent_starts_without_its_certificates_and_lets_in_when_they_come() {
    let fleet = Fleet::with(&[], |at| std::fs::write(at.join("server.key"), "").expect("the directory is there"));
    let reader = fleet.holder("reader", "poplin:read");
    assert!(!fleet.by(&reader, &["status"]).status.success());
    assert!(fleet.host.agent.said().contains("nobody is let in by TLS"), "{}", fleet.host.agent.said());

    show(&fleet.host.directory, &fleet.authority);

    until("it is let in", || fleet.by(&reader, &["status"]).status.success());
}

#[test]
fn an_agent_whose_address_is_not_there_yet_serves_its_host_and_takes_it_when_it_comes() {
    let fleet = Fleet::at(LATE, Authority::new(), &[], |_| {});
    let reader = fleet.holder("reader", "poplin:read");
    let told = "nobody can come by TLS: cannot listen on 192.0.2.11:9470";
    assert_eq!(fleet.host.agent.said().matches(told).count(), 1, "{}", fleet.host.agent.said());
    fleet.host.agent.poplin(&["status"]);

    fleet.host.agent.ip(&format!("address add {LATE}/32 dev lo"));

    until("it lets in", || fleet.by(&reader, &["status"]).status.success());
}
