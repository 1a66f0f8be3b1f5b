//! Reads the agent's configuration, the files it is known by, and what room there is.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use poplin_proto::v1::CredentialFile;
use serde::Deserialize;
use x509_parser::pem::Pem;

use crate::doctor::finding::Unseen;
use crate::doctor::reading::{Certificate, Held};

/// Where the embedded store lives when nobody says.
const DATA: &str = "/var/lib/poplin";

/// What of the agent's configuration can be looked at from outside. The rest is the agent's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Configured {
    pub(super) etcd: Vec<String>,
    pub(super) address: Vec<IpAddr>,
    pub(super) data: Option<PathBuf>,
    etcd_ca: Option<PathBuf>,
    etcd_cert: Option<PathBuf>,
    etcd_key: Option<PathBuf>,
    etcd_password_file: Option<PathBuf>,
    api: Api,
}

/// What others than this host know the agent by.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Api {
    ca: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl Configured {
    pub(super) fn files(&self) -> Vec<CredentialFile> {
        let all = [
            ("etcd-ca", &self.etcd_ca),
            ("etcd-cert", &self.etcd_cert),
            ("etcd-key", &self.etcd_key),
            ("etcd-password-file", &self.etcd_password_file),
            ("api.ca", &self.api.ca),
            ("api.cert", &self.api.cert),
            ("api.key", &self.api.key),
        ];
        let named = all.into_iter().filter_map(|(setting, path)| Some((setting, path.as_ref()?)));
        let file = |(setting, path): (&str, &PathBuf)| CredentialFile {
            path: path.display().to_string(),
            setting: setting.to_owned(),
            error: String::new(),
        };
        named.map(file).collect()
    }
}

/// One that is not there is the usual one.
pub(super) fn configured(path: &Path, unseen: &mut Vec<Unseen>) -> Configured {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut configured: Configured = toml::from_str(&text).unwrap_or_else(|error| {
        let reason = format!("{}: {}", path.display(), error.message());
        unseen.push(Unseen { what: "the agent's configuration", reason });
        Configured::default()
    });
    if configured.etcd.is_empty() && configured.data.is_none() {
        configured.data = Some(DATA.into()).filter(|path: &PathBuf| path.exists());
    }
    configured
}

/// Certificates are read; of a secret only the mode is looked at.
pub(super) fn certificate(file: &CredentialFile) -> Certificate {
    let content = match file.error.as_str() {
        "" if matches!(file.setting.as_str(), "etcd-ca" | "etcd-cert" | "api.ca" | "api.cert") => {
            certificates(&file.path)
        }
        "" => {
            fs::metadata(&file.path).map(|is| Held::Secret(is.permissions().mode())).map_err(|error| error.to_string())
        }
        error => Err(error.to_owned()),
    };
    Certificate { setting: file.setting.clone(), path: file.path.clone(), content }
}

fn certificates(path: &str) -> Result<Held, String> {
    let octets = fs::read(path).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for pem in Pem::iter_from_buffer(&octets) {
        let pem = pem.map_err(|error| error.to_string())?;
        if pem.label == "CERTIFICATE" {
            let certificate = pem.parse_x509().map_err(|error| error.to_string())?;
            let validity = certificate.validity();
            let (from, to) = (validity.not_before.timestamp(), validity.not_after.timestamp());
            all.push((certificate.subject().to_string(), from, to));
        }
    }
    Ok(Held::Certificates(all))
}

/// Free and all octets where a file is.
pub(super) fn space(path: String) -> Option<(String, u64, u64)> {
    let seen = rustix::fs::statvfs(&path).ok()?;
    Some((path, seen.f_bavail.saturating_mul(seen.f_frsize), seen.f_blocks.saturating_mul(seen.f_frsize)))
}

/// Whether systemd-networkd runs here, and nobody told it to leave foreign routes alone (networkd.conf(5), `ManageForeignRoutes=`).
pub(super) fn networkd_removes_routes() -> bool {
    let directories = ["/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"];
    let drop_ins = directories
        .iter()
        .flat_map(|directory| fs::read_dir(format!("{directory}/networkd.conf.d")).into_iter().flatten().flatten());
    let mains = directories.iter().map(|directory| PathBuf::from(format!("{directory}/networkd.conf")));
    let files = mains.chain(drop_ins.map(|entry| entry.path()));
    let says_no = |text: String| {
        let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix("ManageForeignRoutes="));
        lines.any(|value| matches!(value.trim(), "no" | "false" | "0" | "off"))
    };
    let is_told = || files.filter_map(|path| fs::read_to_string(path).ok()).any(says_no);
    Path::new("/run/systemd/netif/state").exists() && !is_told()
}
