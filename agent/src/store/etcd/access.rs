//! How we know an etcd, and how it knows us: certificates and passwords.
//!
//! In: paths of files. Out: what they held, and options of a connection made with that. Files are read again when a connection
//! has failed, so a certificate that is renewed in place needs no restart.

use std::io;
use std::path::{Path, PathBuf};

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

/// Where our credentials stand. The default is none: then only `http://` endpoints make sense, or a server the system's roots vouch for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// PEM: who may vouch for the server; absent = the system's roots.
    pub ca: Option<PathBuf>,
    /// Our certificate, if the server asks for one.
    pub identity: Option<IdentityFiles>,
    /// Who we are to etcd's own user database.
    pub user: Option<User>,
}

/// A certificate and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, and what leads to its root.
    pub certificate: PathBuf,
    /// The key, unencrypted.
    pub key: PathBuf,
}

/// A name in etcd's user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// A file that holds the password; white space around it is not part of it.
    pub password: PathBuf,
}

impl Credentials {
    /// Whether they have a meaning only over TLS.
    pub(super) fn need_tls(&self) -> bool {
        self.ca.is_some() || self.identity.is_some()
    }

    /// Reads the files.
    pub(super) fn read(&self) -> io::Result<Held> {
        let identity =
            self.identity.as_ref().map(|files| Ok::<_, io::Error>((read(&files.certificate)?, read(&files.key)?)));
        let user = self.user.as_ref().map(|user| Ok::<_, io::Error>((user.name.clone(), password(&user.password)?)));
        Ok(Held {
            ca: self.ca.as_deref().map(read).transpose()?,
            identity: identity.transpose()?,
            user: user.transpose()?,
        })
    }
}

/// What the files held when they were read.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Held {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    user: Option<(String, String)>,
}

impl Held {
    /// The same, without a name to be asked for when a connection is prepared.
    pub(super) fn anonymous(self) -> Self {
        Self { user: None, ..self }
    }

    /// Adds to the options of a connection to this endpoint.
    pub(super) fn options(&self, endpoint: &str, options: ConnectOptions) -> ConnectOptions {
        let options = if endpoint.starts_with("https://") { options.with_tls(self.tls()) } else { options };
        match &self.user {
            Some((name, password)) => options.with_user(name, password).with_auto_token_refresh(true),
            None => options,
        }
    }

    fn tls(&self) -> TlsOptions {
        let tls = match &self.ca {
            Some(ca) => TlsOptions::new().ca_certificate(Certificate::from_pem(ca)),
            None => TlsOptions::new().with_native_roots(),
        };
        match &self.identity {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))
}

fn password(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read(path)?);
    let text = text.map_err(|_| io::Error::other(format!("{} is no text", path.display())))?;
    Ok(text.trim().to_owned())
}
