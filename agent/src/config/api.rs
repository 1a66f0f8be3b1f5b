//! Who may ask this process something, and where: the table `[api]` of either kind of file, and the flags that go before it.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::serve::door::{Allowed, Remote, ServerFiles, Who};

/// One layer of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApiSettings {
    /// Address and port to serve the API on by TLS, such as 192.0.2.11:9470 [default: none; only the socket]
    #[arg(id = "api_listen", long = "api-listen", env = "POPLIND_API_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// PEM file of those who may vouch for callers' certificates
    #[arg(id = "api_ca", long = "api-ca", env = "POPLIND_API_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file of the certificate callers are shown
    #[arg(id = "api_cert", long = "api-cert", env = "POPLIND_API_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(id = "api_key", long = "api-key", env = "POPLIND_API_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// PEM file of the certificates that are revoked [default: none is]
    #[arg(id = "api_crl", long = "api-crl", env = "POPLIND_API_CRL", value_name = "FILE")]
    crl: Option<PathBuf>,
    /// Who may look: user:NAME, group:NAME, O=NAME, CN=NAME or URI=NAME; may be repeated [default: O=poplin:read]
    #[arg(id = "api_read", long = "api-read", env = "POPLIND_API_READ", value_name = "WHO")]
    read: Vec<String>,
    /// Who may attach, detach, mend addresses and order BGP sessions, too [default: O=poplin:operate]
    #[arg(id = "api_operate", long = "api-operate", env = "POPLIND_API_OPERATE", value_name = "WHO")]
    operate: Vec<String>,
    /// Who may do everything, as root and the agent's own user always may [default: O=poplin:admin]
    #[arg(id = "api_admin", long = "api-admin", env = "POPLIND_API_ADMIN", value_name = "WHO")]
    admin: Vec<String>,
}

impl ApiSettings {
    /// Takes from `lower` what is not set here.
    pub(super) fn over(self, lower: Self) -> Self {
        let filled = |here: Vec<String>, lower: Vec<String>| if here.is_empty() { lower } else { here };
        Self {
            listen: self.listen.or(lower.listen),
            ca: self.ca.or(lower.ca),
            cert: self.cert.or(lower.cert),
            key: self.key.or(lower.key),
            crl: self.crl.or(lower.crl),
            read: filled(self.read, lower.read),
            operate: filled(self.operate, lower.operate),
            admin: filled(self.admin, lower.admin),
        }
    }

    pub(super) fn check(self) -> anyhow::Result<(Allowed, Option<Remote>)> {
        let allowed = Allowed {
            read: named("read", &self.read)?,
            operate: named("operate", &self.operate)?,
            admin: named("admin", &self.admin)?,
        };
        Ok((allowed, self.remote()?))
    }

    /// All of it, or nothing: there is no way in by TCP without certificates.
    fn remote(self) -> anyhow::Result<Option<Remote>> {
        let files = [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key), ("crl", &self.crl)];
        let Some(address) = self.listen else {
            if let Some((name, _)) = files.iter().find(|(_, file)| file.is_some()) {
                bail!("api.{name} is given without api.listen, such as 192.0.2.11:9470");
            }
            return Ok(None);
        };
        match (self.ca, self.cert, self.key) {
            (Some(ca), Some(certificate), Some(key)) => {
                Ok(Some(Remote { address, files: ServerFiles { ca, certificate, key, revoked: self.crl } }))
            }
            _ => {
                bail!("api.listen asks for api.ca, api.cert and api.key: nobody is let in by TCP without a certificate")
            }
        }
    }
}

fn named(list: &str, texts: &[String]) -> anyhow::Result<Vec<Who>> {
    texts.iter().map(|text| text.parse().with_context(|| format!("api.{list}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> anyhow::Result<(Allowed, Option<Remote>)> {
        toml::from_str::<ApiSettings>(text).unwrap().check()
    }

    #[test]
    fn nobody_comes_by_tcp_unless_all_is_there_that_it_takes() {
        assert_eq!(checked("").unwrap(), (Allowed::default(), None));
        for half in ["listen = '192.0.2.1:9470'", "listen = '192.0.2.1:9470'\nca = 'a'\ncert = 'b'", "ca = 'a'"] {
            assert!(checked(half).is_err(), "{half}");
        }
        let whole = checked("listen = '192.0.2.1:9470'\nca = 'a'\ncert = 'b'\nkey = 'c'").unwrap();
        assert_eq!(whole.1.unwrap().address, "192.0.2.1:9470".parse().unwrap());
    }

    #[test]
    fn an_entry_that_names_nobody_is_refused_with_its_list() {
        let error = format!("{:#}", checked("read = ['monitoring']").unwrap_err());
        assert!(error.starts_with("api.read: \"monitoring\" names nobody"), "{error}");
    }

    #[test]
    fn a_list_on_the_command_line_stands_in_place_of_the_files() {
        let file = toml::from_str::<ApiSettings>("read = ['user:a']\nadmin = ['user:b']").unwrap();
        let flags = ApiSettings { read: vec!["user:c".to_owned()], ..ApiSettings::default() };

        let (allowed, _) = flags.over(file).check().unwrap();

        assert_eq!((allowed.read, allowed.admin), (vec![Who::User("c".to_owned())], vec![Who::User("b".to_owned())]));
    }

    #[test]
    fn an_entry_with_a_comma_is_not_taken_for_two() {
        let error = format!("{:#}", checked("admin = ['CN=deploy,O=ops']").unwrap_err());
        assert!(error.contains("CN=deploy,O=ops") && error.contains("repeating the flag"), "{error}");
    }
}
