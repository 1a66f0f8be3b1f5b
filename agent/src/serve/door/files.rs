//! The files the agent is known by, and knows others by.
//!
//! In: paths of PEM files. Out: what TLS makes of them, or which of them is not what it should be.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{self, RootCertStore};

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

/// Certificate and key of our own.
pub(super) fn own(certificate: &Path, key: &Path, octets: &[Vec<u8>]) -> Result<Arc<SingleCertAndKey>, IdentityError> {
    let [chain, secret] = octets else { return Err(unusable(certificate)(rustls::Error::NoCertificatesPresented)) };
    let chain = certificates(certificate, chain)?;
    let secret = PrivateKeyDer::from_pem_slice(secret).map_err(not_pem(key))?;
    let own = CertifiedKey::from_der(chain, secret, &default_provider()).map_err(unusable(certificate))?;
    Ok(Arc::new(own.into()))
}

/// Who may vouch for others. Where lists of revoked certificates are given, a certificate whose authority is in none is not believed.
pub(super) fn trust(
    ca: &Path,
    revoked: Option<&Path>,
    octets: &[Vec<u8>],
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let roots = Arc::new(roots(ca, octets.first().map(Vec::as_slice).unwrap_or_default())?);
    let mut builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::new(default_provider()));
    if let (Some(path), Some(lists)) = (revoked, octets.get(1)) {
        let lists = CertificateRevocationListDer::pem_slice_iter(lists).collect::<Result<Vec<_>, _>>();
        builder = builder.with_crls(lists.map_err(not_pem(path))?).only_check_end_entity_revocation();
    }
    builder.build().map_err(|source| IdentityError::NoAuthority { path: ca.to_owned(), source })
}

pub(super) fn all<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<Vec<Vec<u8>>, IdentityError> {
    paths.into_iter().map(|path| read(path)).collect()
}

pub(super) fn unusable(path: &Path) -> impl Fn(rustls::Error) -> IdentityError + '_ {
    |source| IdentityError::Unusable { path: path.to_owned(), source }
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
