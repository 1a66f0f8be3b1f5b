//! What the operator of one host decides; everything else is an object in the store.
//!
//! In: flags, environment, and a TOML file. Out: a [`Config`]. The nearer wins: flag, environment, file, default. A speaker alone has a
//! file of another kind: see [`speaker`].

mod api;
pub mod speaker;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use poplin_bgp::Asn;
use poplin_manifest::field::{labels, object_name};
use poplin_node::name::HostName;
use poplin_node::{BGP_PORT, Identity};
use serde::Deserialize;

use crate::schema::SCHEMA;
use crate::serve::door::{Allowed, Remote};
use crate::store::{Credentials, IdentityFiles, Location, User, Values};

use api::ApiSettings;
use speaker::SpeakerFile;

/// Where the file is looked for when nobody names one. It need not exist.
const DEFAULT_FILE: &str = "/etc/poplin/poplin.toml";

/// Where dockerd looks for a driver called `poplin`.
const DEFAULT_PLUGIN: &str = "/run/docker/plugins/poplin.sock";

/// Where the embedded store lives.
const DEFAULT_DATA: &str = "/var/lib/poplin";

/// Routed networking and policy for containers: the agent of one host.
///
/// Without any configuration it keeps its own store, makes a default pool, and serves on /run/poplin/api.sock.
#[derive(Debug, Default, clap::Parser)]
#[command(name = "poplind", version)]
pub struct Flags {
    /// Configuration file in TOML; of a host with the same names as the flags, of a reflector with names of its own
    #[arg(long, env = "POPLIND_CONFIG")]
    config: Option<PathBuf>,
    /// What this process is
    #[arg(long, env = "POPLIND_ROLE", value_enum, default_value_t)]
    role: RoleName,
    #[command(flatten)]
    settings: Settings,
}

/// What a process is, as people name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum RoleName {
    /// The agent of one host: containers, policy, routes, BGP
    #[default]
    Host,
    /// A BGP speaker and nothing else: no store, no containers, no rules, and no routes unless asked for
    Reflector,
}

/// One layer of settings.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Settings {
    /// Name of this host in the fabric [default: the system's host name]
    #[arg(long, env = "POPLIND_HOST")]
    host: Option<String>,
    /// Endpoints of etcd, such as http://10.0.0.1:2379; without any, an embedded store is used
    #[arg(long, env = "POPLIND_ETCD", value_delimiter = ',')]
    etcd: Vec<String>,
    /// PEM file of those who may vouch for etcd's certificate [default: the system's roots]
    #[arg(long, env = "POPLIND_ETCD_CA")]
    etcd_ca: Option<PathBuf>,
    /// PEM file of our certificate, shown to etcd
    #[arg(long, env = "POPLIND_ETCD_CERT")]
    etcd_cert: Option<PathBuf>,
    /// PEM file of its key
    #[arg(long, env = "POPLIND_ETCD_KEY")]
    etcd_key: Option<PathBuf>,
    /// Our name in etcd's user database; one known by the certificate needs none
    #[arg(long, env = "POPLIND_ETCD_USER")]
    etcd_user: Option<String>,
    /// File with the password to it
    #[arg(long, env = "POPLIND_ETCD_PASSWORD_FILE")]
    etcd_password_file: Option<PathBuf>,
    /// Directory of the embedded store, or of what this host knows of etcd [default: /var/lib/poplin]
    #[arg(long, env = "POPLIND_DATA")]
    data: Option<PathBuf>,
    /// Unix socket to serve on [default: /run/poplin/api.sock]
    #[arg(long, env = "POPLIND_SOCKET")]
    socket: Option<PathBuf>,
    /// Address others reach this host by; one a family [default: the one beside the default gateway]
    #[arg(long, env = "POPLIND_ADDRESS", value_delimiter = ',')]
    address: Vec<IpAddr>,
    /// This host's own AS number [default: that of the fabric]
    #[arg(long, env = "POPLIND_ASN")]
    asn: Option<u32>,
    /// BGP identifier [default: the host's IPv4 address]
    #[arg(long, env = "POPLIND_ROUTER_ID")]
    router_id: Option<Ipv4Addr>,
    /// Address and port to accept BGP connections on [default: [::]:179]
    #[arg(long, env = "POPLIND_BGP_LISTEN")]
    bgp_listen: Option<SocketAddr>,
    /// Address and port to serve metrics on by HTTP, such as 127.0.0.1:9469 [default: none]
    #[arg(long, env = "POPLIND_METRICS_LISTEN")]
    metrics_listen: Option<SocketAddr>,
    /// Socket of dockerd, such as /run/docker.sock, whose containers may join [default: none, and no plugin of Docker]
    #[arg(long, env = "POPLIND_DOCKER_SOCKET")]
    docker_socket: Option<PathBuf>,
    /// Where dockerd finds us; its file name is the name of the driver [default: /run/docker/plugins/poplin.sock]
    #[arg(long, env = "POPLIND_DOCKER_PLUGIN", requires = "docker_socket")]
    docker_plugin: Option<PathBuf>,
    /// Whether containers may ask this host for names [default: true, unless FabricConfig says otherwise]
    #[arg(long, env = "POPLIND_DNS", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    dns: Option<bool>,
    /// Whom to ask for names outside of the fabric, such as 192.0.2.53 or [2001:db8::53]:5353 [default: the host's own resolvers]
    #[arg(long, env = "POPLIND_DNS_UPSTREAM", value_delimiter = ',', value_name = "ADDRESS")]
    dns_upstream: Vec<String>,
    /// Whether the kernel keeps others from changing our nftables table, where it can (Linux 6.9) [default: true]; without, it is put back
    #[arg(long, env = "POPLIND_NFT_OWNER", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    nft_owner: Option<bool>,
    /// Act as an agent that knows the store's values up to this schema, for a rehearsal of going back [default: the last this program knows]
    #[arg(long, env = "POPLIND_SCHEMA", value_name = "N")]
    schema: Option<u32>,
    #[command(flatten)]
    api: ApiSettings,
    /// Label of this host, key=value, used when it is first written down
    #[arg(long, env = "POPLIND_LABEL", value_delimiter = ',')]
    label: Vec<String>,
}

/// What one agent runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who this host is.
    pub identity: Identity,
    /// What it is, and where its truth stands.
    pub role: Role,
    /// Where what outlasts the agent is kept; absent = nowhere.
    pub data: Option<PathBuf>,
    /// Where what is known of the store is kept for a life that begins while it is away; absent = nowhere.
    pub memory: Option<PathBuf>,
    /// Where to serve.
    pub socket: PathBuf,
    /// Who may ask, beside root and our own user.
    pub allowed: Allowed,
    /// Where others than this host may ask, if anywhere.
    pub remote: Option<Remote>,
    /// Whether others are kept from our nftables table, where the kernel can.
    pub owns_rules: bool,
    /// Where to accept BGP connections.
    pub bgp_listen: Vec<SocketAddr>,
    /// Where to serve metrics, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The Docker whose containers may join, if any.
    pub docker: Option<Docker>,
    /// Up to which schema this agent knows the store's values.
    pub schema: u32,
    /// Whom to ask for names outside of the fabric, empty = the host's own resolvers; absent = this host serves no names.
    pub names: Option<Vec<SocketAddr>>,
}

/// Where we and a dockerd meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Docker {
    /// Its API.
    pub socket: PathBuf,
    /// Where it calls us.
    pub plugin: PathBuf,
}

/// What a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The agent of a host; its fabric's truth is in this store.
    Host(Location),
    /// A speaker alone; its file stands in the store's place.
    Speaker {
        /// The file.
        path: PathBuf,
        /// What it said when it was read.
        values: Values,
        /// Whether learned routes go to the kernel.
        installs: bool,
    },
}

impl Config {
    /// Puts the layers together and checks the outcome.
    pub fn load(flags: Flags) -> anyhow::Result<Self> {
        match flags.role {
            RoleName::Host => Self::of_host(flags),
            RoleName::Reflector => Self::of_speaker(flags),
        }
    }

    fn of_host(flags: Flags) -> anyhow::Result<Self> {
        let file = match &flags.config {
            Some(path) => read(path)?,
            None if Path::new(DEFAULT_FILE).exists() => read(Path::new(DEFAULT_FILE))?,
            None => Settings::default(),
        };
        flags.settings.over(file).check()
    }

    fn of_speaker(flags: Flags) -> anyhow::Result<Self> {
        let Some(path) = flags.config else { bail!("a reflector needs --config FILE; see examples/reflector") };
        if let Some(flag) = flags.settings.foreign_to_speaker() {
            bail!("--{flag} has no meaning for a reflector: what it speaks stands in {}", path.display());
        }
        let file = SpeakerFile::read(&path)?;
        let lasting = file.lasting.clone();
        let host = checked_host(flags.settings.host.or(lasting.host).map_or_else(system_name, Ok)?)?;
        let values = file.values(&host).with_context(|| format!("{} is not sound", path.display()))?;
        let (allowed, remote) = flags.settings.api.over(lasting.api).check()?;
        let identity = Identity {
            host: HostName::new(host),
            labels: poplin_policy::label::Labels::default(),
            addresses: lasting.addresses,
            asn: None,
            router_id: None,
            machine: None,
            release: None,
        };
        Ok(Config {
            identity,
            role: Role::Speaker { path, values, installs: lasting.installs },
            data: None,
            memory: None,
            socket: flags.settings.socket.or(lasting.socket).unwrap_or_else(|| poplin_proto::DEFAULT_SOCKET.into()),
            allowed,
            remote,
            owns_rules: false,
            bgp_listen: if lasting.listen.is_empty() { vec![everywhere()] } else { lasting.listen },
            metrics_listen: flags.settings.metrics_listen.or(lasting.metrics_listen),
            docker: None,
            schema: SCHEMA,
            names: None,
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not a configuration", path.display()))
}

impl Settings {
    /// Takes from `lower` what is not set here.
    fn over(self, lower: Self) -> Self {
        fn filled<T>(here: Vec<T>, lower: Vec<T>) -> Vec<T> {
            if here.is_empty() { lower } else { here }
        }
        Self {
            host: self.host.or(lower.host),
            etcd: filled(self.etcd, lower.etcd),
            etcd_ca: self.etcd_ca.or(lower.etcd_ca),
            etcd_cert: self.etcd_cert.or(lower.etcd_cert),
            etcd_key: self.etcd_key.or(lower.etcd_key),
            etcd_user: self.etcd_user.or(lower.etcd_user),
            etcd_password_file: self.etcd_password_file.or(lower.etcd_password_file),
            data: self.data.or(lower.data),
            socket: self.socket.or(lower.socket),
            address: filled(self.address, lower.address),
            asn: self.asn.or(lower.asn),
            router_id: self.router_id.or(lower.router_id),
            bgp_listen: self.bgp_listen.or(lower.bgp_listen),
            metrics_listen: self.metrics_listen.or(lower.metrics_listen),
            docker_socket: self.docker_socket.or(lower.docker_socket),
            docker_plugin: self.docker_plugin.or(lower.docker_plugin),
            dns: self.dns.or(lower.dns),
            dns_upstream: filled(self.dns_upstream, lower.dns_upstream),
            nft_owner: self.nft_owner.or(lower.nft_owner),
            schema: self.schema.or(lower.schema),
            api: self.api.over(lower.api),
            label: filled(self.label, lower.label),
        }
    }

    /// The first flag that only a host has.
    fn foreign_to_speaker(&self) -> Option<&'static str> {
        let given = [
            ("etcd", !self.etcd.is_empty()),
            ("etcd-ca", self.etcd_ca.is_some()),
            ("etcd-cert", self.etcd_cert.is_some()),
            ("etcd-key", self.etcd_key.is_some()),
            ("etcd-user", self.etcd_user.is_some()),
            ("etcd-password-file", self.etcd_password_file.is_some()),
            ("data", self.data.is_some()),
            ("address", !self.address.is_empty()),
            ("asn", self.asn.is_some()),
            ("router-id", self.router_id.is_some()),
            ("bgp-listen", self.bgp_listen.is_some()),
            ("label", !self.label.is_empty()),
            ("docker-socket", self.docker_socket.is_some()),
            ("dns", self.dns.is_some()),
            ("nft-owner", self.nft_owner.is_some()),
            ("schema", self.schema.is_some()),
            ("dns-upstream", !self.dns_upstream.is_empty()),
        ];
        given.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }

    /// How we know etcd, and how it knows us.
    fn credentials(&self) -> anyhow::Result<Credentials> {
        let identity = match (self.etcd_cert.clone(), self.etcd_key.clone()) {
            (Some(certificate), Some(key)) => Some(IdentityFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) => {
                bail!("etcd-cert is given without etcd-key: a certificate is shown by whoever holds its key")
            }
            (None, Some(_)) => bail!("etcd-key is given without etcd-cert"),
        };
        let user = match (self.etcd_user.clone(), self.etcd_password_file.clone()) {
            (Some(name), Some(password)) => Some(User { name, password }),
            (None, None) => None,
            (Some(_), None) => bail!("etcd-user is given without etcd-password-file"),
            (None, Some(_)) => bail!("etcd-password-file is given without etcd-user"),
        };
        Ok(Credentials { ca: self.etcd_ca.clone(), identity, user })
    }

    fn check(self) -> anyhow::Result<Config> {
        let credentials = self.credentials()?;
        let data = self.data.unwrap_or_else(|| DEFAULT_DATA.into());
        let is_afar = !self.etcd.is_empty();
        let store = match self.etcd.is_empty() {
            true if credentials != Credentials::default() => {
                bail!("credentials for etcd are given and no etcd; name one with --etcd, such as https://10.0.0.1:2379")
            }
            true => Location::Embedded(data.join("store.redb")),
            false => Location::Etcd { endpoints: self.etcd, credentials },
        };
        let addresses: BTreeSet<IpAddr> = self.address.iter().copied().collect();
        if addresses.iter().filter(|address| address.is_ipv4()).count() > 1 || addresses.len() > 2 {
            bail!("address: there may be one of each family, and {} were given", addresses.len());
        }
        if self.asn == Some(0) {
            bail!("asn: 0 is reserved (RFC 7607); take one between 64512 and 65534, or leave it out");
        }
        let schema = self.schema.unwrap_or(SCHEMA);
        if !(1..=SCHEMA).contains(&schema) {
            bail!("schema: {schema} is none that this poplind knows; take one from 1 to {SCHEMA}, or leave it out");
        }
        let identity = Identity {
            host: HostName::new(checked_host(self.host.map_or_else(system_name, Ok)?)?),
            labels: checked_labels(&self.label)?,
            addresses,
            asn: self.asn.map(Asn),
            router_id: self.router_id,
            machine: None,
            release: None,
        };
        let upstreams = self.dns_upstream.iter().map(|text| upstream(text)).collect::<anyhow::Result<_>>()?;
        let (allowed, remote) = self.api.check()?;
        let names = self.dns.unwrap_or(true);
        let plugin = self.docker_plugin.unwrap_or_else(|| DEFAULT_PLUGIN.into());
        Ok(Config {
            schema,
            names: names.then_some(upstreams),
            docker: self.docker_socket.map(|socket| Docker { socket, plugin }),
            memory: is_afar.then(|| data.join(format!("known-{}.redb", identity.host))),
            data: Some(data),
            identity,
            role: Role::Host(store),
            socket: self.socket.unwrap_or_else(|| poplin_proto::DEFAULT_SOCKET.into()),
            allowed,
            remote,
            owns_rules: self.nft_owner.unwrap_or(true),
            bgp_listen: vec![self.bgp_listen.unwrap_or_else(everywhere)],
            metrics_listen: self.metrics_listen,
        })
    }
}

/// Every address of both families.
fn everywhere() -> SocketAddr {
    SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, BGP_PORT))
}

/// A resolver, by its address and perhaps its port.
fn upstream(text: &str) -> anyhow::Result<SocketAddr> {
    let bare = text.parse().map(|address: IpAddr| SocketAddr::new(address, NAMES_PORT));
    bare.or_else(|_| text.parse()).map_err(|_| {
        anyhow::anyhow!("dns-upstream: {text:?} is no address; name a resolver such as 192.0.2.53 or 192.0.2.53:5353")
    })
}

/// Where names are asked for (RFC 1035 §4.2).
const NAMES_PORT: u16 = 53;

fn checked_host(name: String) -> anyhow::Result<String> {
    match object_name("host", &name) {
        Ok(()) => Ok(name),
        Err(invalid) => bail!("host: {}; give it one with --host, such as rack1-h7", invalid.message),
    }
}

fn system_name() -> anyhow::Result<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").context("cannot read the host's name")?;
    let plain: String = name.trim().to_ascii_lowercase().chars().map(|c| if c == '_' { '-' } else { c }).collect();
    match plain.as_str() {
        "" | "(none)" => bail!("this host has no name: give one with --host"),
        _ => Ok(plain),
    }
}

fn checked_labels(pairs: &[String]) -> anyhow::Result<poplin_policy::label::Labels> {
    let split = |pair: &String| match pair.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => bail!("label {pair:?} is not key=value"),
    };
    let pairs: BTreeMap<String, String> = pairs.iter().map(split).collect::<anyhow::Result<_>>()?;
    labels("label", &pairs).map_err(|invalid| anyhow::anyhow!("label: {}", invalid.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let file = settings("host = 'h1'\netcd = ['http://192.0.2.1:2379']");
        let flags = Settings { host: Some("h2".to_owned()), ..Settings::default() };

        let config = flags.over(file).check().unwrap();

        assert_eq!(config.identity.host, HostName::new("h2"));
        let store = Location::etcd(vec!["http://192.0.2.1:2379".to_owned()]);
        assert_eq!(config.role, Role::Host(store));
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let error = toml::from_str::<Settings>("hots = 'h1'").unwrap_err();
        assert!(error.to_string().contains("hots"));
    }

    #[test]
    fn a_host_name_no_object_may_have_is_refused() {
        let error = settings("host = 'Rack_1'").check().unwrap_err();
        assert!(error.to_string().contains("\"Rack_1\" is not a name"), "{error}");
    }

    #[test]
    fn half_a_credential_is_refused_by_name() {
        for (text, missing) in [
            ("etcd-cert = 'c'", "without etcd-key"),
            ("etcd-key = 'k'", "without etcd-cert"),
            ("etcd-user = 'u'", "without etcd-password-file"),
            ("etcd-password-file = 'p'", "without etcd-user"),
            ("etcd-ca = 'ca'", "no etcd"),
        ] {
            let error = settings(text).check().unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
        }
    }

    #[test]
    fn resolvers_are_named_with_or_without_their_port() {
        let named = |text: &str| settings(text).check().map(|config| config.names);
        let all = ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.53:5353"].map(|text| text.parse().unwrap());

        let config = named("dns-upstream = ['192.0.2.53', '2001:db8::53', '192.0.2.53:5353']");

        assert_eq!(config.unwrap(), Some(all.to_vec()));
        assert_eq!((named("").unwrap(), named("dns = false").unwrap()), (Some(Vec::new()), None));
        assert!(named("dns-upstream = ['dns']").unwrap_err().to_string().contains("\"dns\" is no address"));
    }

    #[test]
    fn two_addresses_of_one_family_are_refused() {
        let error = settings("address = ['192.0.2.1', '192.0.2.2']").check().unwrap_err();
        assert!(error.to_string().contains("one of each family"));
    }
}
