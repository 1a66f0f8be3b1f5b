//! Who is let in to an agent, by the socket and by TLS, and what each of them may do there.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use poplin_lab::{Agent, Lab, programs, told, until};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

/// Users and groups of no database.
const READER: (u32, u32) = (61_001, 61_100);
const OPERATOR: (u32, u32) = (61_002, 61_002);
const STRANGER: (u32, u32) = (61_003, 61_003);

const POLICY: &str =
    "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: db}, spec: {subject: app == 'db', ingress: []}}";

#[test]
fn users_may_do_what_the_operator_says_and_hear_who_could_change_that() {
    let host = Host::start(&["--api-read", "group:61100", "--api-operate", "user:61002"]);
    let file = host.file("policy.yaml", POLICY);
    let apply = ["apply", "-f", &file];

    assert_done(&host.by(READER, &["status"]));
    assert_done(&host.by(READER, &["apply", "-f", &file, "--dry-run"]));
    let refused = host.by(READER, &apply);
    assert_refused(&refused, "user 61001 may ask what this would change, but not change it");
    assert!(told(&refused).contains("api.admin"), "{}", told(&refused));
    let refused = host.by(READER, &["detach", "nobody"]);
    assert_refused(&refused, "may not call WorkloadService/Detach: it asks for operate, and they may read");

    assert_done(&host.by(OPERATOR, &["detach", "nobody"]));
    assert_refused(&host.by(OPERATOR, &apply), "user 61002 may ask what this would change, but not change it");
    assert_refused(&host.by(STRANGER, &["status"]), "user 61003 may not call StatusService/GetStatus");

    host.agent.apply(POLICY);
    assert!(host.agent.said().contains("refused: user 61001 may"), "{}", host.agent.said());
}

#[test]
fn nobody_but_root_and_the_agents_own_user_reaches_a_socket_that_nothing_is_said_of() {
    let host = Host::start(&[]);

    assert_refused(&host.by(STRANGER, &["status"]), "permission denied");
    // Its group lets it reach the socket, and says nothing of what it may do there.
    assert_refused(&host.by((STRANGER.0, 0), &["status"]), "user 61003 may not call StatusService/GetStatus");
    host.agent.poplin(&["status"]);
}

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

    assert_refused(&fleet.by(&bad, &["status"]), "CertificateRevoked");
    assert_done(&fleet.by(&good, &["status"]));
    let _ = std::fs::remove_file(&path);
}

#[test]
fn certificates_that_are_renewed_in_place_count_from_the_next_connection_on() {
    let fleet = Fleet::start(&[]);
    let old = fleet.holder("old", "poplin:read");
    assert_done(&fleet.by(&old, &["status"]));
    let next = Authority::new();

    std::fs::write(&fleet.key, "half a f").expect("the directory is there");
    assert_done(&fleet.by(&old, &["status"]));
    assert!(fleet.host.agent.said().contains("the certificate of before is shown"), "{}", fleet.host.agent.said());

    show(&fleet.host.directory, &next);
    let new = Holder::write(&fleet.host, &next, "new", |params| {
        params.distinguished_name.push(DnType::OrganizationName, "poplin:read");
    });
    assert_done(&fleet.by(&new, &["status"]));
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
fn strangers_cannot_keep_the_operator_out_by_coming_often() {
    const COME: &str = "use IO::Socket::UNIX; $| = 1;
        push @s, IO::Socket::UNIX->new(Peer => $ARGV[0]) for 1..400; print qq(all came\n); sleep 600";
    let host = Host::start(&["--api-read", "user:61001"]);
    let socket = host.agent.socket().display().to_string();
    let user = STRANGER.0.to_string();
    let crowd = ["--reuid", &user, "--regid", &user, "--clear-groups", "perl", "-e", COME, &socket];

    let crowd = host.agent.namespace().spawn(host.directory.join("crowd.log"), "setpriv", &crowd);
    until("all came", || crowd.said().contains("all came"));

    host.agent.poplin(&["status"]);
    assert_eq!(host.by(READER, &["status"]).status.code(), Some(5), "there is no seat left for others");
    drop(crowd);
    until("the next has a seat", || host.by(READER, &["status"]).status.success());
}

#[test]
fn a_request_that_is_too_long_is_refused_and_the_next_one_is_served() {
    let host = Host::start(&[]);
    let long = host.file("long.yaml", &format!("{POLICY}\n# {}\n", "x".repeat(17 << 20)));

    let refused = host.agent.try_poplin(&["apply", "-f", &long]);

    assert!(told(&refused).contains("16777216"), "{}", told(&refused));
    host.agent.apply(POLICY);
}

/// A lab whose files every user may read, with a `poplin` that every user may run.
fn open_lab() -> Lab {
    let lab = Lab::new();
    std::fs::set_permissions(lab.directory(), Permissions::from_mode(0o755)).expect("it is ours");
    std::fs::copy(programs().join("poplin"), lab.directory().join("poplin")).expect("it was built");
    lab
}

/// A host with an agent.
struct Host {
    agent: Agent,
    directory: PathBuf,
    _lab: Lab,
}

impl Host {
    fn start(arguments: &[&str]) -> Self {
        Self::started(open_lab(), arguments)
    }

    fn started(lab: Lab, arguments: &[&str]) -> Self {
        let directory = lab.directory().to_owned();
        let mut agent = Agent::new(&lab, lab.namespace("h1"), "h1").with(arguments);
        agent.start();
        Self { agent, directory, _lab: lab }
    }

    /// Runs `poplin` as a user of one group.
    fn by(&self, (user, group): (u32, u32), arguments: &[&str]) -> Output {
        let mut command = self.agent.namespace().command("setpriv");
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
        command.arg(self.directory.join("poplin")).arg("--socket").arg(self.agent.socket()).args(arguments);
        command.output().expect("setpriv is there")
    }

    /// A file that everybody may read.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, text).expect("the directory is there");
        path.display().to_string()
    }
}

/// Who vouches for servers and their callers.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("it has no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", COUNT.fetch_add(1, Relaxed)));
        let key = KeyPair::generate().expect("there is chance");
        Self(CertifiedIssuer::self_signed(params, key).expect("the parameters are sound"))
    }

    /// The list of those it has taken back, by their numbers.
    fn revoked(&self, numbers: &[u64]) -> String {
        let (now, later) = (SystemTime::now(), SystemTime::now() + Duration::from_secs(3600));
        let revoked = numbers.iter().map(|number| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: later.into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).expect("the parameters are sound").pem().expect("a list can be written")
    }

    /// Certificate and key, both PEM.
    fn vouch(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("there is chance");
        (params.signed_by(&key, &self.0).expect("the parameters are sound").pem(), key.serialize_pem())
    }
}

/// Somebody with a certificate; the paths of its files.
struct Holder {
    ca: String,
    certificate: String,
    key: String,
}

impl Holder {
    fn write(host: &Host, authority: &Authority, name: &str, more: impl Fn(&mut CertificateParams)) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("it has no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        more(&mut params);
        let (certificate, key) = authority.vouch(&params);
        Self {
            ca: host.directory.join("ca.pem").display().to_string(),
            certificate: host.file(&format!("{name}.pem"), &certificate),
            key: host.file(&format!("{name}.key"), &key),
        }
    }
}

/// Writes what the agent shows, and whom it asks about others.
fn show(directory: &Path, authority: &Authority) {
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("an address is a name");
    let (certificate, key) = authority.vouch(&params);
    for (name, text) in [("ca.pem", authority.0.pem()), ("server.pem", certificate), ("server.key", key)] {
        std::fs::write(directory.join(name), text).expect("the directory is there");
    }
}

/// A host that others than itself may ask.
struct Fleet {
    host: Host,
    authority: Authority,
    key: PathBuf,
}

impl Fleet {
    fn start(arguments: &[&str]) -> Self {
        Self::with(arguments, |_| {})
    }

    fn with(arguments: &[&str], before: impl Fn(&Path)) -> Self {
        Self::of(Authority::new(), arguments, before)
    }

    fn of(authority: Authority, arguments: &[&str], before: impl Fn(&Path)) -> Self {
        let lab = open_lab();
        let path = |name: &str| lab.directory().join(name).display().to_string();
        let (ca, certificate, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
        show(lab.directory(), &authority);
        before(lab.directory());
        let mut all = vec!["--api-listen", "127.0.0.1:9470", "--api-ca", &ca, "--api-cert", &certificate];
        all.extend(["--api-key", &key]);
        all.extend(arguments);
        Self { host: Host::started(lab, &all), authority, key: key.into() }
    }

    fn holder(&self, name: &str, organization: &str) -> Holder {
        Holder::write(&self.host, &self.authority, name, |params| {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        })
    }

    /// Runs `poplin` by TLS.
    fn by(&self, holder: &Holder, arguments: &[&str]) -> Output {
        let mut command = self.host.agent.namespace().command(programs().join("poplin"));
        command.args(["--server", "https://127.0.0.1:9470", "--ca", &holder.ca]);
        command.args(["--cert", &holder.certificate, "--key", &holder.key]).args(arguments);
        command.output().expect("poplin runs")
    }
}

#[track_caller]
fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

#[track_caller]
fn assert_refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(6), "{}", told(output));
    assert!(told(output).contains(words), "{}", told(output));
}
