//! `poplin floating`: addresses of the outside, and to which endpoints they lead.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;

use poplin_proto::v1::resource::Object;
use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::{ApplyRequest, Endpoint, FloatingAddress, FloatingAddressSpec, Metadata};
use tonic::transport::Channel;

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::{Exit, Problem};
use crate::table::aligned;

/// Lead addresses of the outside to endpoints, and move them.
#[derive(Debug, clap::Args)]
pub(crate) struct Floating {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    List,
    Assign(Assign),
    Release(Release),
}

/// Lead an address to an endpoint, wherever that is attached; if it leads to another, it is moved.
///
/// Connections by it to the former end.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin floating assign 198.51.100.7 web
  poplin floating assign 2001:db8::7 web")]
struct Assign {
    /// The address, which lies in no pool.
    address: IpAddr,
    /// Name of the endpoint.
    endpoint: String,
}

/// Have an address lead to nobody. It stays declared; `poplin delete floatingaddress NAME` forgets it.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin floating release 198.51.100.7")]
struct Release {
    /// The address.
    address: IpAddr,
}

impl Floating {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        let told = match self.verb {
            Verb::List => list(&mut client).await?,
            Verb::Assign(Assign { address, endpoint }) => assign(&mut client, address, endpoint).await?,
            Verb::Release(Release { address }) => release(&mut client, address).await?,
        };
        print(&told)?;
        Ok(ExitCode::SUCCESS)
    }
}

type Client = ResourceServiceClient<Channel>;

/// Each address, whose it is, and where that is.
async fn list(client: &mut Client) -> Result<String, Problem> {
    let endpoints = endpoints(client).await?;
    let mut rows = vec![["ADDRESS", "NAME", "ENDPOINT", "HOST", "LEADS TO"].map(str::to_owned).to_vec()];
    for one in floating(client).await? {
        let (name, spec) = (name(&one), one.spec.unwrap_or_default());
        let endpoint = endpoints.get(&spec.endpoint).and_then(|endpoint| endpoint.spec.clone()).unwrap_or_default();
        let is_v6 = spec.address.contains(':');
        let own = endpoint.addresses.iter().find(|own| own.contains(':') == is_v6);
        let own = own.and_then(|own| own.split('/').next()).unwrap_or_default();
        let cells = [spec.address.as_str(), &name, &spec.endpoint, &endpoint.host, own];
        rows.push(cells.map(|cell| if cell.is_empty() { "-" } else { cell }.to_owned()).to_vec());
    }
    Ok(aligned(&rows))
}

/// The version that was read comes along, so that of two who move it one is told.
async fn assign(client: &mut Client, address: IpAddr, endpoint: String) -> Result<String, Problem> {
    let is_there = endpoints(client).await?.contains_key(&endpoint);
    let known = find(client, address).await?;
    let mut one = known.unwrap_or_else(|| made(address));
    let spec = one.spec.get_or_insert_default();
    let former = std::mem::replace(&mut spec.endpoint, endpoint.clone());
    spec.until_detached = false;
    write(client, one).await?;
    let from = match former.as_str() {
        "" => String::new(),
        former if former == endpoint => ", as before".to_owned(),
        former => format!(", and no more to {former}"),
    };
    let yet = if is_there { "" } else { "; no endpoint of that name is attached, so it leads nowhere until one is" };
    Ok(format!("{address} leads to {endpoint}{from}{yet}\n"))
}

async fn release(client: &mut Client, address: IpAddr) -> Result<String, Problem> {
    let Some(mut one) = find(client, address).await? else {
        let problem = Problem::new(Exit::NotFound, format!("{address} is no floating address"));
        return Err(problem.advice("see `poplin floating list`"));
    };
    let spec = one.spec.get_or_insert_default();
    let former = std::mem::take(&mut spec.endpoint);
    spec.until_detached = false;
    write(client, one).await?;
    Ok(match former.as_str() {
        "" => format!("{address} leads to nobody, as before\n"),
        former => format!("{address} leads to {former} no more\n"),
    })
}

/// One that nobody declared yet, under a name made of it: names have no colons.
fn made(address: IpAddr) -> FloatingAddress {
    let name = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|part| format!("{part:x}")).join("-"),
    };
    let metadata = Metadata { name, ..Metadata::default() };
    let spec = FloatingAddressSpec { address: address.to_string(), ..FloatingAddressSpec::default() };
    FloatingAddress { metadata: Some(metadata), spec: Some(spec), ..FloatingAddress::default() }
}

async fn write(client: &mut Client, one: FloatingAddress) -> Result<(), Problem> {
    client.apply(ApplyRequest { resources: vec![one.into()], ..ApplyRequest::default() }).await?;
    Ok(())
}

async fn find(client: &mut Client, address: IpAddr) -> Result<Option<FloatingAddress>, Problem> {
    let is_it = |one: &FloatingAddress| {
        one.spec.as_ref().is_some_and(|spec| spec.address.parse::<IpAddr>().is_ok_and(|own| own == address))
    };
    Ok(floating(client).await?.into_iter().find(is_it))
}

async fn floating(client: &mut Client) -> Result<Vec<FloatingAddress>, Problem> {
    let listed = agent::all(client, "FloatingAddress", "").await?.into_iter();
    let listed = listed.filter_map(|resource| match resource.object {
        Some(Object::FloatingAddress(one)) => Some(one),
        _ => None,
    });
    Ok(listed.collect())
}

async fn endpoints(client: &mut Client) -> Result<BTreeMap<String, Endpoint>, Problem> {
    let listed = agent::all(client, "Endpoint", "").await?.into_iter();
    let listed = listed.filter_map(|resource| match resource.object {
        Some(Object::Endpoint(one)) => Some((one.metadata.clone().unwrap_or_default().name, one)),
        _ => None,
    });
    Ok(listed.collect())
}

fn name(one: &FloatingAddress) -> String {
    one.metadata.clone().unwrap_or_default().name
}
