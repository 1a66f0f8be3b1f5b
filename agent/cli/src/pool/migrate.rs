//! `poplin pool migrate`: another range in the place of a pool's, while its addresses are in use.
//!
//! In: the store as it is. Out: the steps that are left, carried out one by one. Nothing else is remembered: a run that was ended anywhere is
//! gone on with by the same words. A container has its address as long as it is attached, so the last step waits for who attaches them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use ipnet::IpNet;
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::{ApplyRequest, DeleteRequest, EndpointSpec, Metadata, Network, Pool, PoolSpec};
use tonic::transport::Channel;

use crate::agent;
use crate::door::Door;
use crate::output::print;
use crate::problem::{Exit, Problem};
use crate::table::aligned;

/// Between two looks at who is left. Whoever restarts containers takes longer.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Have another range serve in the place of a pool's: nothing new is given of the old one, and it is deleted once nobody has an address of it.
///
/// A container keeps its address as long as it is attached: restart it, or detach and attach it, and it gets one of the new range.
/// What was done is seen from the store: a run that was ended is gone on with by the same command. Exits 1 while somebody has an old address.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin pool migrate containers --to 10.80.0.0/16 --plan
  poplin pool migrate containers --to 10.80.0.0/16
  poplin pool migrate containers --to wide --wait")]
pub(super) struct Migrate {
    /// The pool that is to go.
    name: String,
    /// The new range, for which a pool like the old one is made; or a pool that is there.
    #[arg(long, value_name = "CIDR|POOL")]
    to: String,
    /// Tell the steps, and do nothing.
    #[arg(long)]
    plan: bool,
    /// Stay until nobody has an old address, and delete the pool then.
    #[arg(long, conflicts_with = "plan")]
    wait: bool,
}

type Client = ResourceServiceClient<Channel>;

impl Migrate {
    pub(super) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        let mut told = None;
        loop {
            let seen = Seen::look(&mut client).await?;
            let steps = plan(&seen, &self.name, &self.to)?;
            if self.plan {
                print(&steps.iter().enumerate().map(|(at, step)| step.planned(at + 1)).collect::<String>())?;
                return Ok(ExitCode::SUCCESS);
            }
            let Some(step) = steps.first() else { return Ok(ExitCode::SUCCESS) };
            match step {
                Step::Await(_) if told.as_ref() == Some(step) => {}
                step => print(&step.told(&self.name))?,
            }
            match step.clone() {
                Step::Make(pool) | Step::Disable(pool) | Step::Enable(pool) => apply(&mut client, pool).await?,
                Step::Await(_) if !self.wait => return Ok(ExitCode::FAILURE),
                Step::Await(_) => tokio::time::sleep(LOOK_AGAIN).await,
                Step::Delete(pool) => return delete(&mut client, pool).await,
            }
            told = Some(step.clone());
        }
    }
}

/// Somebody who has an address of the old range.
#[derive(Clone, Debug, PartialEq)]
struct Holder {
    endpoint: String,
    host: String,
    address: String,
}

/// What is left to do.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Make(Pool),
    Enable(Pool),
    Disable(Pool),
    Await(Vec<Holder>),
    Delete(Pool),
}

impl Step {
    fn planned(&self, number: usize) -> String {
        let what = match self {
            Self::Make(pool) => format!("make pool {}: {}, else as the old one", name(pool), spec(pool).cidr),
            Self::Enable(pool) => format!("enable pool {}", name(pool)),
            Self::Disable(pool) => format!("disable pool {}: nothing new is given of it", name(pool)),
            Self::Await(holders) => {
                let count = holders.len();
                format!(
                    "wait until {count} endpoints are attached anew, each by who runs its container\n{}",
                    table(holders)
                )
            }
            Self::Delete(pool) => format!("delete pool {}", name(pool)),
        };
        format!("{number}. {}\n", what.trim_end())
    }

    fn told(&self, old: &str) -> String {
        match self {
            Self::Make(pool) => format!("pool {} made: {}\n", name(pool), spec(pool).cidr),
            Self::Enable(pool) => format!("pool {} enabled\n", name(pool)),
            Self::Disable(pool) => format!("pool {} disabled: nothing new is given of it\n", name(pool)),
            Self::Await(holders) => {
                format!(
                    "{} endpoints have addresses of {old} until they are attached anew:\n{}",
                    holders.len(),
                    table(holders)
                )
            }
            Self::Delete(pool) => format!("nobody has an address of {} any more; deleting it\n", name(pool)),
        }
    }
}

fn table(holders: &[Holder]) -> String {
    let mut rows = vec![["   ENDPOINT", "HOST", "ADDRESS"].map(str::to_owned).to_vec()];
    let row = |one: &Holder| vec![format!("   {}", one.endpoint), one.host.clone(), one.address.clone()];
    rows.extend(holders.iter().map(row));
    aligned(&rows)
}

/// What of the store bears on it, at one moment.
struct Seen {
    pools: Vec<Pool>,
    networks: Vec<Network>,
    endpoints: Vec<(String, EndpointSpec)>,
}

impl Seen {
    async fn look(client: &mut Client) -> Result<Self, Problem> {
        let mut seen = Self { pools: Vec::new(), networks: Vec::new(), endpoints: Vec::new() };
        for kind in ["Pool", "Network", "Endpoint"] {
            for resource in agent::all(client, kind, "").await? {
                match resource.object {
                    Some(Object::Pool(pool)) => seen.pools.push(pool),
                    Some(Object::Network(network)) => seen.networks.push(network),
                    Some(Object::Endpoint(one)) => {
                        let name = one.metadata.unwrap_or_default().name;
                        seen.endpoints.push((name, one.spec.unwrap_or_default()));
                    }
                    _ => {}
                }
            }
        }
        Ok(seen)
    }

    fn pool(&self, wanted: &str) -> Option<&Pool> {
        self.pools.iter().find(|pool| name(pool) == wanted)
    }

    fn holders(&self, cidr: IpNet) -> Vec<Holder> {
        let of_one = |(endpoint, spec): &(String, EndpointSpec)| {
            let old = spec.addresses.iter().filter_map(|text| bare(text)).find(|address| cidr.contains(address))?;
            Some(Holder { endpoint: endpoint.clone(), host: spec.host.clone(), address: old.to_string() })
        };
        self.endpoints.iter().filter_map(of_one).collect()
    }
}

/// The steps that are left. None: the old pool is gone, and the new one serves.
fn plan(seen: &Seen, old: &str, to: &str) -> Result<Vec<Step>, Problem> {
    let new = target(seen, old, to)?;
    let Some(former) = seen.pool(old) else {
        return match new {
            Target::Stands(pool) if name(&pool) != old => Ok(Vec::new()),
            _ => Err(Problem::new(Exit::NotFound, format!("there is no pool {old}")).advice("see `poplin get pools`")),
        };
    };
    let cidr = range(former)?;
    has_no_network(seen, old, cidr)?;
    let mut steps = Vec::new();
    match new {
        Target::Stands(pool) if spec(&pool).disabled => steps.push(Step::Enable(with_disabled(&pool, false))),
        Target::Stands(_) => {}
        Target::ToMake(pool) => steps.push(Step::Make(pool)),
    }
    if !spec(former).disabled {
        steps.push(Step::Disable(with_disabled(former, true)));
    }
    let holders = seen.holders(cidr);
    if !holders.is_empty() {
        steps.push(Step::Await(holders));
    }
    steps.push(Step::Delete(former.clone()));
    Ok(steps)
}

/// The pool that is to serve.
enum Target {
    Stands(Pool),
    ToMake(Pool),
}

/// A pool of that name, or of that range; else one like the old one that is still to be made.
fn target(seen: &Seen, old: &str, to: &str) -> Result<Target, Problem> {
    let Ok(cidr) = to.parse::<IpNet>() else {
        let pool = seen.pool(to).filter(|pool| name(pool) != old);
        let pool = pool.ok_or_else(|| {
            Problem::new(Exit::NotFound, format!("--to {to}: it is neither a range nor another pool"))
                .advice("give a range such as 10.80.0.0/16, or a pool of `poplin get pools`")
        })?;
        if let Some(former) = seen.pool(old) {
            is_of_one_family(range(former)?, range(pool)?, to)?;
        }
        return Ok(Target::Stands(pool.clone()));
    };
    let has_it = |pool: &&Pool| name(pool) != old && range(pool).is_ok_and(|other| other == cidr);
    if let Some(pool) = seen.pools.iter().find(has_it) {
        return Ok(Target::Stands(pool.clone()));
    }
    let Some(former) = seen.pool(old) else {
        return Err(Problem::new(Exit::NotFound, format!("there is no pool {old}")).advice("see `poplin get pools`"));
    };
    is_of_one_family(range(former)?, cidr, to)?;
    // What is reserved lies in the old range.
    let spec = PoolSpec { cidr: to.to_owned(), disabled: false, reserved: Vec::new(), ..spec(former) };
    let labels = former.metadata.clone().unwrap_or_default().labels;
    let metadata = Metadata { name: name_for(old, cidr), labels, ..Metadata::default() };
    Ok(Target::ToMake(Pool { metadata: Some(metadata), spec: Some(spec), ..Pool::default() }))
}

fn is_of_one_family(old: IpNet, new: IpNet, to: &str) -> Result<(), Problem> {
    if old.addr().is_ipv4() == new.addr().is_ipv4() {
        return Ok(());
    }
    let problem = Problem::usage(format!("--to {to}: {new} is of another family than {old}"));
    Err(problem.advice("migrate each family by itself"))
}

/// The subnets of a network are its own for good, and its endpoints get addresses nowhere else.
fn has_no_network(seen: &Seen, old: &str, cidr: IpNet) -> Result<(), Problem> {
    let is_in = |text: &String| text == old || text.parse::<IpNet>().is_ok_and(|subnet| cidr.contains(&subnet));
    let its = |network: &&Network| network.spec.as_ref().is_some_and(|spec| spec.subnets.iter().any(is_in));
    let Some(network) = seen.networks.iter().find(its) else { return Ok(()) };
    let name = network.metadata.clone().unwrap_or_default().name;
    let problem = Problem::new(Exit::Failed, format!("network {name} has its subnets in pool {old}, and keeps them"));
    Err(problem.advice("make another network in the new range, move its containers there, and delete this one"))
}

/// `four-10-80-0-0-16`: names have neither colons nor slashes.
fn name_for(old: &str, cidr: IpNet) -> String {
    let range: BTreeSet<char> = ['.', ':', '/'].into();
    format!("{old}-{}", cidr.to_string().replace(|letter| range.contains(&letter), "-"))
}

fn with_disabled(pool: &Pool, disabled: bool) -> Pool {
    Pool { spec: Some(PoolSpec { disabled, ..spec(pool) }), ..pool.clone() }
}

/// The version that was read comes along, so that nobody's change in between is lost.
async fn apply(client: &mut Client, pool: Pool) -> Result<(), Problem> {
    client.apply(ApplyRequest { resources: vec![pool.into()], ..ApplyRequest::default() }).await?;
    Ok(())
}

async fn delete(client: &mut Client, pool: Pool) -> Result<ExitCode, Problem> {
    let Metadata { name, resource_version, .. } = pool.metadata.unwrap_or_default();
    let request =
        DeleteRequest { kind: "Pool".to_owned(), name: name.clone(), resource_version, ..DeleteRequest::default() };
    client.delete(request).await?;
    print(&format!("pool {name} deleted\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn name(pool: &Pool) -> &str {
    pool.metadata.as_ref().map(|metadata| metadata.name.as_str()).unwrap_or_default()
}

fn spec(pool: &Pool) -> PoolSpec {
    pool.spec.clone().unwrap_or_default()
}

fn range(pool: &Pool) -> Result<IpNet, Problem> {
    let text = spec(pool).cidr;
    text.parse().map_err(|error| Problem::new(Exit::Failed, format!("pool {}: {text}: {error}", name(pool))))
}

fn bare(text: &str) -> Option<IpAddr> {
    text.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str, cidr: &str, disabled: bool) -> Pool {
        let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
        let spec = PoolSpec { cidr: cidr.to_owned(), disabled, block_size: Some(28), ..PoolSpec::default() };
        Pool { metadata: Some(metadata), spec: Some(spec), ..Pool::default() }
    }

    fn seen(pools: Vec<Pool>, addresses: &[&str]) -> Seen {
        let endpoint = |address: &&str| {
            let spec = EndpointSpec { addresses: vec![format!("{address}/32")], ..EndpointSpec::default() };
            (format!("e-{address}"), spec)
        };
        Seen { pools, networks: Vec::new(), endpoints: addresses.iter().map(endpoint).collect() }
    }

    fn steps(seen: &Seen, to: &str) -> Vec<&'static str> {
        let told = |step: Step| match step {
            Step::Make(_) => "make",
            Step::Enable(_) => "enable",
            Step::Disable(_) => "disable",
            Step::Await(_) => "await",
            Step::Delete(_) => "delete",
        };
        plan(seen, "old", to).map(|steps| steps.into_iter().map(told).collect()).unwrap()
    }

    #[test]
    fn the_steps_that_are_left_are_read_off_the_store() {
        let old = |disabled| pool("old", "10.77.0.0/16", disabled);
        let new = || pool("old-10-80-0-0-16", "10.80.0.0/16", false);
        let to = "10.80.0.0/16";

        assert_eq!(steps(&seen(vec![old(false)], &["10.77.0.1"]), to), ["make", "disable", "await", "delete"]);
        assert_eq!(steps(&seen(vec![old(false), new()], &["10.77.0.1"]), to), ["disable", "await", "delete"]);
        assert_eq!(steps(&seen(vec![old(true), new()], &["10.77.0.1", "10.80.0.1"]), to), ["await", "delete"]);
        assert_eq!(steps(&seen(vec![old(true), new()], &["10.80.0.1"]), to), ["delete"]);
        assert_eq!(steps(&seen(vec![new()], &["10.80.0.1"]), to), [""; 0]);
        let shut = pool("wide", "10.80.0.0/16", true);
        assert_eq!(steps(&seen(vec![old(true), shut], &[]), "wide"), ["enable", "delete"]);
    }

    #[test]
    fn the_new_pool_is_like_the_old_one_but_for_its_range_and_what_is_reserved_in_that() {
        let mut old = pool("old", "10.77.0.0/16", true);
        old.spec.get_or_insert_default().reserved.push("10.77.0.1".to_owned());
        old.spec.get_or_insert_default().hosts = "rack == 'a'".to_owned();

        let made = plan(&seen(vec![old], &[]), "old", "10.80.0.0/16").unwrap();

        let Some(Step::Make(made)) = made.first() else { panic!("{made:?}") };
        let spec = spec(made);
        assert_eq!((name(made), spec.cidr.as_str()), ("old-10-80-0-0-16", "10.80.0.0/16"));
        assert_eq!((spec.block_size, spec.hosts.as_str(), spec.disabled), (Some(28), "rack == 'a'", false));
        assert!(spec.reserved.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_done() {
        let old = || pool("old", "10.77.0.0/16", false);
        let refused = |seen: &Seen, to: &str| plan(seen, "old", to).unwrap_err().words().0;

        assert!(refused(&seen(vec![old()], &[]), "fd80::/64").contains("another family"));
        assert!(refused(&seen(vec![old()], &[]), "wide").contains("neither a range nor another pool"));
        assert!(refused(&seen(vec![old()], &[]), "old").contains("neither a range nor another pool"));
        assert!(refused(&seen(vec![], &[]), "10.80.0.0/16").contains("there is no pool old"));
        let mut closed = seen(vec![old()], &[]);
        let spec = poplin_proto::v1::NetworkSpec { subnets: vec!["10.77.1.0/24".to_owned()], ..Default::default() };
        closed.networks.push(Network { spec: Some(spec), ..Network::default() });
        assert!(refused(&closed, "10.80.0.0/16").contains("has its subnets in pool old"));
    }
}
