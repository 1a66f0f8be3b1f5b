//! How the agent shows who it is, and whom it asks who others are.
//!
//! In: paths of PEM files. Out: the settings of the next handshake. The files are read for each, so what is renewed in place counts from the next
//! connection on; while they are not sound, the last that were are used.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

/// Where the files are; all of them PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// Those who may vouch for whoever calls.
    pub ca: PathBuf,
    /// The agent's own certificate, and what leads to its root.
    pub certificate: PathBuf,
    /// Its key, unencrypted.
    pub key: PathBuf,
    /// Which certificates the authorities have taken back, if they say so.
    pub revoked: Option<PathBuf>,
}

/// Why nobody can be let in.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdentityError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not what it should be", path.display())]
    NotPem { path: PathBuf, source: pem::Error },
    #[error("{} holds no certificate that may vouch for others, or what is revoked cannot be read", path.display())]
    NoAuthority { path: PathBuf, source: VerifierBuilderError },
    #[error("{} and its key do not go together, or cannot be used", path.display())]
    Unusable { path: PathBuf, source: rustls::Error },
}

/// The files, and what they held when they were last sound.
pub(super) struct Identity {
    files: ServerFiles,
    last: Mutex<Option<(Contents, Arc<ServerConfig>)>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Contents {
    ca: Vec<u8>,
    certificate: Vec<u8>,
    key: Vec<u8>,
    revoked: Option<Vec<u8>>,
}

impl Identity {
    pub(super) fn new(files: ServerFiles) -> Self {
        Self { files, last: Mutex::new(None) }
    }

    /// What counts for a handshake now.
    pub(super) fn settings(&self) -> Result<Arc<ServerConfig>, IdentityError> {
        let mut last = self.last.lock().expect("whoever holds the files does not panic");
        let outcome = self.fresh(last.as_ref());
        match (outcome, last.as_ref()) {
            (Ok((contents, settings)), _) => {
                *last = Some((contents, settings.clone()));
                Ok(settings)
            }
            (Err(error), Some((_, settings))) => {
                tracing::warn!("{}; the certificate of before is shown", story(&error));
                Ok(settings.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The files as they are; of the same contents nothing is made anew.
    fn fresh(
        &self,
        last: Option<&(Contents, Arc<ServerConfig>)>,
    ) -> Result<(Contents, Arc<ServerConfig>), IdentityError> {
        let contents = Contents {
            ca: read(&self.files.ca)?,
            certificate: read(&self.files.certificate)?,
            key: read(&self.files.key)?,
            revoked: self.files.revoked.as_deref().map(read).transpose()?,
        };
        match last {
            Some((known, settings)) if *known == contents => Ok((contents, settings.clone())),
            Some(_) | None => self.made_of(&contents).map(|settings| (contents, Arc::new(settings))),
        }
    }

    /// TLS 1.3 alone, and no tickets: who comes again shows the certificate again.
    fn made_of(&self, contents: &Contents) -> Result<ServerConfig, IdentityError> {
        let ServerFiles { certificate, key: key_path, .. } = &self.files;
        let chain = certificates(certificate, &contents.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(not_pem(key_path))?;
        let unusable = |source| IdentityError::Unusable { path: certificate.clone(), source };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unusable)?;
        let mut settings = builder
            .with_client_cert_verifier(self.verifier(contents)?)
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        settings.alpn_protocols = vec![b"h2".to_vec()];
        settings.session_storage = Arc::new(NoServerSessionStorage {});
        settings.send_tls13_tickets = 0;
        Ok(settings)
    }

    /// Where lists of revoked certificates are given, a certificate whose authority is in none is not believed.
    fn verifier(&self, contents: &Contents) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
        let roots = Arc::new(roots(&self.files.ca, &contents.ca)?);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider()));
        if let (Some(path), Some(revoked)) = (&self.files.revoked, &contents.revoked) {
            let lists = CertificateRevocationListDer::pem_slice_iter(revoked).collect::<Result<Vec<_>, _>>();
            builder = builder.with_crls(lists.map_err(not_pem(path))?).only_check_end_entity_revocation();
        }
        builder.build().map_err(|source| IdentityError::NoAuthority { path: self.files.ca.clone(), source })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    std::fs::read(path).map_err(|source| IdentityError::Unreadable { path: path.to_owned(), source })
}

fn certificates(path: &Path, contents: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    CertificateDer::pem_slice_iter(contents).collect::<Result<_, _>>().map_err(not_pem(path))
}

/// Certificates that cannot vouch for anybody are left out; if none is left, the verifier says so.
fn roots(path: &Path, contents: &[u8]) -> Result<RootCertStore, IdentityError> {
    let mut roots = RootCertStore::empty();
    let (_, unusable) = roots.add_parsable_certificates(certificates(path, contents)?);
    if unusable > 0 {
        tracing::warn!("{}: {unusable} certificates cannot vouch for anybody", path.display());
    }
    Ok(roots)
}

fn not_pem(path: &Path) -> impl Fn(pem::Error) -> IdentityError + '_ {
    |source| IdentityError::NotPem { path: path.to_owned(), source }
}

/// An error and its cause.
pub(super) fn story(error: &IdentityError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}
