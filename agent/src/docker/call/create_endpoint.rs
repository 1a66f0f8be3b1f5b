//! An endpoint is made: it gets its link, its address, its route and its rules, and the far end waits for dockerd. Whose it is comes later;
//! until then it has the labels of its network, and those that were given with `--driver-opt` or `driver-opt=`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use poplin_manifest::check_profiles;
use poplin_manifest::field::dns_name;
use poplin_node::names::MOST_ALIASES;
use poplin_node::request::{Answer, Attach};
use poplin_policy::label::Labels;
use serde_json::{Value, json};

use super::portmap;
use crate::docker::driver::{Driver, Outcome, attachment};
use crate::docker::naming::usable;
use crate::docker::wire::{network, read};
use crate::kernel;
use crate::serve::Call;

/// How driver options begin that are labels.
const LABEL: &str = "poplin.label.";

/// The driver option that names aliases.
const ALIAS: &str = "poplin.alias";

/// Why nobody joins a network on a LAN here.
const POWERLESS: &str = "containers of mode macvlan have their rules in their own namespaces, which this agent may not enter; \
     run poplind as root, or let its unit have CAP_SYS_ADMIN, CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, and RestrictNamespaces=net";

/// The driver option that names profiles.
const PROFILE: &str = "poplin.profile";

pub(in crate::docker) async fn answer(driver: &Driver, body: &[u8]) -> Outcome {
    let request: network::CreateEndpoint = read(body)?;
    let given = request.interface.unwrap_or_default();
    portmap::wanted(request.options.as_ref())?; // better refused now than when the container starts
    if driver.bindings.get(&request.network_id).await?.wish.spec.macvlan.is_some() && !may_enter_namespaces() {
        return Err(POWERLESS.to_owned());
    }
    let attach = Attach {
        attachment: attachment(&request.endpoint_id),
        name: None,
        labels: labels(request.options.as_ref()),
        namespace: None,
        profiles: profiles(request.options.as_ref())?,
        ports: Vec::new(),
        published: Vec::new(),
        netns: PathBuf::new(),
        addresses: addresses([&given.address, &given.address_ipv6])?,
        preferred: Vec::new(),
        has_all_addresses: true,
        mac: crate::resource::mac(&given.mac_address),
        network: Some(driver.network_of(&request.network_id).await?),
        pools: BTreeSet::new(),
        is_sticky: false,
        at: None,
        aliases: aliases(request.options.as_ref()),
    };
    driver.makes(&attach.attachment);
    let mac = match driver.ask(|answer| Call::Attach(attach.clone(), answer)).await? {
        Answer::Attached(attached) => attached.endpoint.mac.to_string(),
        other => return Err(format!("the head answered another question: {other:?}")),
    };
    // What dockerd gave may not be said again.
    let mac_address = if given.mac_address.is_empty() { mac } else { String::new() };
    Ok(json!({"Interface": network::Interface { mac_address, ..network::Interface::default() }}))
}

/// Whether rules can be written where interfaces on a LAN are. A visit to where we are asks for the same (setns(2)); capabilities alone do not tell, for
/// a unit of systemd may forbid it all the same (`RestrictNamespaces=`).
fn may_enter_namespaces() -> bool {
    kernel::inside(Path::new("/proc/self/ns/net"), || Ok(())).is_ok()
}

fn labels(options: Option<&BTreeMap<String, Value>>) -> Labels {
    let options = options.into_iter().flatten();
    let pair =
        |(key, value): (&String, &Value)| Some((key.strip_prefix(LABEL)?.to_owned(), value.as_str()?.to_owned()));
    let pairs = usable(&options.filter_map(pair).collect());
    Labels::try_from_pairs(pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))).unwrap_or_default()
}

/// Names given with the driver option `poplin.alias`, with commas between them.
fn aliases(options: Option<&BTreeMap<String, Value>>) -> BTreeSet<String> {
    let given = options.and_then(|options| options.get(ALIAS)?.as_str()).unwrap_or_default();
    given.split(',').filter_map(|name| dns_name(ALIAS, name.trim()).ok()).take(MOST_ALIASES).collect()
}

/// Profiles given with the driver option `poplin.profile`, with commas between them.
fn profiles(options: Option<&BTreeMap<String, Value>>) -> Result<Vec<String>, String> {
    let given = options.and_then(|options| options.get(PROFILE)?.as_str()).unwrap_or_default();
    let names: Vec<String> =
        given.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    check_profiles(PROFILE, &names).map_err(|invalids| invalids.to_string())
}

fn addresses(texts: [&String; 2]) -> Result<BTreeSet<IpAddr>, String> {
    let parse = |text: &String| {
        text.parse::<IpNet>()
            .map(|net| net.addr())
            .map_err(|_| format!("{text:?} is not an address with its prefix length"))
    };
    texts.into_iter().filter(|text| !text.is_empty()).map(parse).collect()
}
