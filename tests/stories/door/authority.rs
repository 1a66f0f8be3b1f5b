//! An authority, those it vouches for, and an agent that knows it.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use poplin_lab::programs;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

use super::{Host, open_lab};

/// An address that no interface has when an agent starts.
pub(super) const LATE: &str = "192.0.2.11";

/// Who vouches for servers and their callers.
pub(super) struct Authority(pub(super) CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut params = CertificateParams::new(Vec::new()).expect("it has no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", COUNT.fetch_add(1, Relaxed)));
        let key = KeyPair::generate().expect("there is chance");
        Self(CertifiedIssuer::self_signed(params, key).expect("the parameters are sound"))
    }

    /// The list of those it has taken back, by their numbers.
    pub(super) fn revoked(&self, numbers: &[u64]) -> String {
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
    pub(super) fn vouch(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().expect("there is chance");
        (params.signed_by(&key, &self.0).expect("the parameters are sound").pem(), key.serialize_pem())
    }
}

/// Somebody with a certificate; the paths of its files.
pub(super) struct Holder {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Holder {
    pub(super) fn write(host: &Host, authority: &Authority, name: &str, more: impl Fn(&mut CertificateParams)) -> Self {
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
pub(super) fn show(directory: &Path, authority: &Authority) {
    let params = CertificateParams::new(["127.0.0.1", LATE].map(str::to_owned).to_vec()).expect("addresses are names");
    let (certificate, key) = authority.vouch(&params);
    for (name, text) in [("ca.pem", authority.0.pem()), ("server.pem", certificate), ("server.key", key)] {
        std::fs::write(directory.join(name), text).expect("the directory is there");
    }
}

/// A host that others than itself may ask.
pub(super) struct Fleet {
    pub(super) host: Host,
    pub(super) authority: Authority,
    pub(super) key: PathBuf,
    address: String,
}

impl Fleet {
    pub(super) fn start(arguments: &[&str]) -> Self {
        Self::with(arguments, |_| {})
    }

    pub(super) fn with(arguments: &[&str], before: impl Fn(&Path)) -> Self {
        Self::of(Authority::new(), arguments, before)
    }

    pub(super) fn of(authority: Authority, arguments: &[&str], before: impl Fn(&Path)) -> Self {
        Self::at("127.0.0.1", authority, arguments, before)
    }

    pub(super) fn at(address: &str, authority: Authority, arguments: &[&str], before: impl Fn(&Path)) -> Self {
        let address = format!("{address}:9470");
        let lab = open_lab();
        let path = |name: &str| lab.directory().join(name).display().to_string();
        let (ca, certificate, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
        show(lab.directory(), &authority);
        before(lab.directory());
        let mut all = vec!["--api-listen", &address, "--api-ca", &ca, "--api-cert", &certificate];
        all.extend(["--api-key", &key]);
        all.extend(arguments);
        Self { host: Host::started(lab, &all), authority, key: key.into(), address }
    }

    pub(super) fn holder(&self, name: &str, organization: &str) -> Holder {
        Holder::write(&self.host, &self.authority, name, |params| {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        })
    }

    /// Runs `poplin` by TLS.
    pub(super) fn by(&self, holder: &Holder, arguments: &[&str]) -> Output {
        let mut command = self.host.agent.namespace().command(programs().join("poplin"));
        command.args(["--server", &format!("https://{}", self.address), "--ca", &holder.ca]);
        command.args(["--cert", &holder.certificate, "--key", &holder.key]).args(arguments);
        command.output().expect("poplin runs")
    }
}
