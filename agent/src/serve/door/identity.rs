//! How the agent shows who it is, and whom it asks who others are.
//!
//! In: paths of PEM files, read again and again. Out: the settings of the next handshake. The two differ when their files are not sound: the agent's own
//! certificate goes on to be shown, while those who were trusted before are trusted for a minute more, and then nobody is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::SingleCertAndKey;
use tokio_rustls::rustls::version::TLS13;

use super::files::{IdentityError, ServerFiles, all, own, story, trust, unusable};

/// How long those who were trusted before are trusted on while it cannot be read who is: long enough to write files anew.
const GRACE: Duration = Duration::from_secs(60);

/// The files, and what they held when they were last sound.
pub(super) struct Identity {
    files: ServerFiles,
    own: Part<Arc<SingleCertAndKey>>,
    trust: Part<Arc<dyn ClientCertVerifier>>,
    settings: Option<Arc<ServerConfig>>,
    /// What was said of them last.
    told: String,
}

/// Some of the files.
struct Part<T> {
    octets: Vec<Vec<u8>>,
    made: Option<T>,
    sound_at: Option<Instant>,
}

impl<T> Default for Part<T> {
    fn default() -> Self {
        Self { octets: Vec::new(), made: None, sound_at: None }
    }
}

/// What counts for handshakes.
#[derive(Clone, Default)]
pub(super) struct Shown {
    settings: Option<Arc<ServerConfig>>,
    trusted_at: Option<Instant>,
}

impl Shown {
    /// The settings, unless it is too long ago that anybody was known to be trusted.
    pub(super) fn at(&self, now: Instant) -> Option<Arc<ServerConfig>> {
        let is_trusted = self.trusted_at.is_some_and(|at| now.saturating_duration_since(at) < GRACE);
        self.settings.clone().filter(|_| is_trusted)
    }
}

impl<T> Part<T> {
    /// Takes what was read; whether something else counts now. Of the same octets nothing is made anew.
    fn take(
        &mut self,
        read: Result<Vec<Vec<u8>>, IdentityError>,
        now: Instant,
        make: impl FnOnce(&[Vec<u8>]) -> Result<T, IdentityError>,
    ) -> Result<bool, IdentityError> {
        let octets = read?;
        if self.made.is_some() && self.octets == octets {
            self.sound_at = Some(now);
            return Ok(false);
        }
        self.made = Some(make(&octets)?);
        (self.octets, self.sound_at) = (octets, Some(now));
        Ok(true)
    }
}

impl Identity {
    pub(super) fn new(files: ServerFiles) -> Self {
        Self { files, own: Part::default(), trust: Part::default(), settings: None, told: String::new() }
    }

    /// Reads the files, and says in the log what changed about them.
    pub(super) fn renew(&mut self, now: Instant) -> Shown {
        let ServerFiles { ca, certificate, key, revoked } = self.files.clone();
        let own = self.own.take(all([&certificate, &key]), now, |octets| own(&certificate, &key, octets));
        let trusted = all([&ca].into_iter().chain(&revoked));
        let trust = self.trust.take(trusted, now, |octets| trust(&ca, revoked.as_deref(), octets));
        let is_new = matches!(own, Ok(true)) || matches!(trust, Ok(true));
        let made = if is_new { self.made() } else { Ok(None) };
        if let Ok(Some(settings)) = &made {
            self.settings = Some(settings.clone());
        }
        let shown = Shown { settings: self.settings.clone(), trusted_at: self.trust.sound_at };
        self.tell([own.err(), trust.err(), made.err()].into_iter().flatten(), shown.at(now).is_some());
        shown
    }

    /// TLS 1.3 alone, and no tickets: who comes again shows the certificate again.
    fn made(&self) -> Result<Option<Arc<ServerConfig>>, IdentityError> {
        let (Some(own), Some(trust)) = (&self.own.made, &self.trust.made) else { return Ok(None) };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unusable(&self.files.certificate))?;
        let mut settings = builder.with_client_cert_verifier(trust.clone()).with_cert_resolver(own.clone());
        settings.alpn_protocols = vec![b"h2".to_vec()];
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        settings.send_tls13_tickets = 0;
        Ok(Some(Arc::new(settings)))
    }

    /// Says what is wrong, once as long as it is the same.
    fn tell(&mut self, wrong: impl Iterator<Item = IdentityError>, lets_in: bool) {
        let wrong = wrong.map(|error| story(&error)).collect::<Vec<_>>().join("; ");
        let told = match (wrong.is_empty(), lets_in) {
            (true, _) => String::new(),
            (false, true) => {
                format!("{wrong}; the certificate of before is shown, and who was trusted is trusted for {GRACE:?}")
            }
            (false, false) => format!("nobody is let in by TLS: {wrong}; the files are read again each second"),
        };
        if told != self.told {
            match told.is_empty() {
                true => tracing::info!("the certificates of the API are sound again"),
                false => tracing::warn!("{told}"),
            }
            self.told = told;
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    /// An authority that is its own server, in files of a directory of this test's.
    fn files(name: &str) -> ServerFiles {
        let directory = std::env::temp_dir().join(format!("poplin-identity-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let [ca, certificate, key] =
            [("ca", certificate.clone()), ("certificate", certificate), ("key", key.serialize_pem())].map(
                |(name, text)| {
                    std::fs::write(directory.join(name), text).unwrap();
                    directory.join(name)
                },
            );
        ServerFiles { ca, certificate, key, revoked: None }
    }

    #[test]
    fn when_nobody_vouches_any_more_nobody_is_let_in_after_a_minute() {
        for emptied in ["", "-----BEGIN CERTIFICATE-----\nhalf"] {
            let files = files("emptied");
            let (mut identity, start) = (Identity::new(files.clone()), Instant::now());
            assert!(identity.renew(start).at(start).is_some());

            std::fs::write(&files.ca, emptied).unwrap();

            let (soon, late) = (start + GRACE / 2, start + GRACE);
            assert!(identity.renew(soon).at(soon).is_some(), "it may be written just now");
            assert!(identity.renew(late).at(late).is_none());
            std::fs::copy(&files.certificate, &files.ca).unwrap();
            assert!(identity.renew(late).at(late).is_some(), "and is again when somebody does");
            let _ = std::fs::remove_dir_all(files.ca.parent().unwrap());
        }
    }

    #[test]
    fn files_that_nobody_reads_any_more_are_not_believed_for_ever() {
        let files = files("unread");
        let start = Instant::now();
        let shown = Identity::new(files.clone()).renew(start);

        assert!(shown.at(start + GRACE / 2).is_some() && shown.at(start + GRACE).is_none());
        let _ = std::fs::remove_dir_all(files.ca.parent().unwrap());
    }

    #[test]
    fn an_own_certificate_that_is_not_sound_is_shown_as_it_was() {
        let files = files("own");
        let (mut identity, start) = (Identity::new(files.clone()), Instant::now());
        identity.renew(start);

        std::fs::write(&files.key, "half a f").unwrap();

        let late = start + 2 * GRACE;
        assert!(identity.renew(late).at(late).is_some());
        let _ = std::fs::remove_dir_all(files.ca.parent().unwrap());
    }
}
