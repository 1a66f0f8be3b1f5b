//! IpamService: who has which address, whether that is sound, and what is done where it is not.
//!
//! In: calls. Out: counts, findings, and what was mended. What is a fault, what is safe to mend and what may be released is decided by
//! [`poplin_node::audit`] and [`poplin_node::mend`]; the store is read first and the host's own truth after it, so that nothing is
//! taken for gone that has only just come.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use poplin_manifest::address::address;
use poplin_node::audit::{Fault, Standing, Truth, faults};
use poplin_node::mend::{Kept, Release, mending, release};
use poplin_node::name::EndpointName;
use poplin_node::object::{Endpoint, FloatingAddress, ObjectKey};
use poplin_node::removal::Step;
use poplin_node::request::{Answer, Detach, Refusal};
use poplin_node::status::Contested;
use poplin_proto::Failure;
use poplin_proto::v1::ipam_service_server::IpamService;
use poplin_proto::v1::{
    AddressFinding, AddressUse, CheckAddressesRequest, CheckAddressesResponse, ReleaseAddressRequest,
    ReleaseAddressResponse, ResizePoolRequest, ResizePoolResponse, ShowAddressesRequest, ShowAddressesResponse,
};
use tonic::{Code, Request, Response, Status};

use super::apply::{all_readable, contended, declared, unreadable};
use super::remove_host::transaction;
use super::usage::{address_use, host_uses, pool_uses};
use super::workloads::refused;
use super::{Call, Desk, door, resize, store_failure};
use crate::resource::ROOT;
use crate::store::{Outcome, Snapshot};

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

/// How long a kernel that is just being read is waited for, and between two times.
const READING: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(50));

pub(super) struct IpamDoor(pub(super) Desk);

#[tonic::async_trait]
impl IpamService for IpamDoor {
    async fn show(&self, request: Request<ShowAddressesRequest>) -> Result<Response<ShowAddressesResponse>, Status> {
        let seen = self.look().await?;
        let revision = seen.snapshot.revision;
        let asked = request.into_inner().address;
        let shown = match asked.as_str() {
            "" => ShowAddressesResponse {
                revision,
                pools: pool_uses(&seen.standing, &seen.truth.resting),
                hosts: host_uses(&seen.standing),
                address: None,
            },
            text => {
                let mut found = address_use(&seen.standing, &seen.truth.resting, asked_for(text)?);
                if let Some(one) = floating_at(&seen.snapshot, asked_for(text)?) {
                    lead_on(&mut found, &one, &seen.standing);
                }
                let address = Some(found);
                ShowAddressesResponse { revision, pools: Vec::new(), hosts: Vec::new(), address }
            }
        };
        Ok(Response::new(shown))
    }

    async fn check(&self, request: Request<CheckAddressesRequest>) -> Result<Response<CheckAddressesResponse>, Status> {
        if request.get_ref().fix {
            door::may_change(&request)?;
        }
        let CheckAddressesRequest { fix, leaks_only } = request.into_inner();
        let first = self.look().await?;
        if fix {
            all_readable(&first.unreadable)?;
        }
        let found = first.faults();
        let planned = mending(&found, &first.standing, &first.truth).of;
        let last = if fix && !planned.is_empty() { self.mend(first).await? } else { first };
        let left = last.faults();
        let all = found.union(&left).filter(|fault| !leaks_only || fault.is_leak());
        let findings = all.map(|fault| finding(fault, planned.get(fault), !left.contains(fault)));
        let closed = last.truth.contested.iter().filter(|_| !leaks_only).map(contested);
        let findings = last.unreadable.iter().map(|key| unread(key)).chain(closed).chain(findings).collect();
        let count = |is_it: fn(&ObjectKey) -> bool| {
            u32::try_from(last.standing.keys().filter(|key| is_it(key)).count()).unwrap_or(u32::MAX)
        };
        Ok(Response::new(CheckAddressesResponse {
            revision: last.snapshot.revision,
            findings,
            pools: count(|key| matches!(key, ObjectKey::Pool(_))),
            blocks: count(|key| matches!(key, ObjectKey::Block(..))),
            endpoints: count(|key| matches!(key, ObjectKey::Endpoint(_))),
        }))
    }

    async fn resize_pool(&self, request: Request<ResizePoolRequest>) -> Result<Response<ResizePoolResponse>, Status> {
        if !request.get_ref().dry_run {
            door::may_change(&request)?;
        }
        Ok(Response::new(resize::step(&self.0, request.get_ref()).await?))
    }

    async fn release(
        &self,
        request: Request<ReleaseAddressRequest>,
    ) -> Result<Response<ReleaseAddressResponse>, Status> {
        door::may_change(&request)?;
        let address = asked_for(&request.get_ref().address)?;
        for _ in 0..TRIES {
            let seen = self.look().await?;
            all_readable(&seen.unreadable)?;
            let done = match release(&seen.standing, &seen.truth, address).map_err(|kept| in_use(&kept))? {
                Release::Nothing => String::new(),
                Release::Detach(name) => {
                    let done = format!("endpoint {name}, of which nothing was left on this host, is detached");
                    if !self.clear_away(name).await? {
                        continue;
                    }
                    done
                }
                Release::Write(step, words) => match self.write(step, &seen.snapshot).await? {
                    true => words,
                    false => continue,
                },
            };
            return Ok(Response::new(ReleaseAddressResponse { done }));
        }
        Err(contended().into())
    }
}

/// The floating address that this is, if it is one.
fn floating_at(snapshot: &Snapshot, address: IpAddr) -> Option<FloatingAddress> {
    let all = declared(snapshot, |key| matches!(key, ObjectKey::FloatingAddress(_)));
    let mut all = all.values().filter_map(|object| <&FloatingAddress>::try_from(object).ok());
    all.find(|one| one.address == address).cloned()
}

/// Tells to whom it leads, and where that is.
fn lead_on(found: &mut AddressUse, one: &FloatingAddress, standing: &Standing) {
    let key = one.endpoint.clone().map(ObjectKey::Endpoint);
    let endpoint = key.and_then(|key| <&Endpoint>::try_from(standing.get(&key)?).ok());
    found.state = "floating".to_owned();
    found.endpoint = one.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
    found.host = endpoint.map(|endpoint| endpoint.host.to_string()).unwrap_or_default();
    found.attachment = endpoint.map(|endpoint| endpoint.attachment.to_string()).unwrap_or_default();
}

/// The store and the host at one moment.
struct Seen {
    snapshot: Snapshot,
    standing: Standing,
    truth: Truth,
    /// Keys of what bears on addresses and cannot be read here.
    unreadable: Vec<String>,
}

impl Seen {
    fn faults(&self) -> BTreeSet<Fault> {
        faults(&self.standing, Some(&self.truth))
    }
}

impl IpamDoor {
    async fn look(&self) -> Result<Seen, Failure> {
        self.0.is_host()?;
        self.0.until_ready().await;
        let snapshot = self.0.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let bears = |key: &ObjectKey| {
            matches!(key, ObjectKey::Pool(_) | ObjectKey::Block(..) | ObjectKey::Host(_) | ObjectKey::Endpoint(_))
        };
        let standing = declared(&snapshot, |key| bears(key) || matches!(key, ObjectKey::Network(_)));
        let unreadable = unreadable(&snapshot, bears);
        Ok(Seen { snapshot, standing, truth: self.truth().await?, unreadable })
    }

    /// The host's own truth, once its kernel has been read.
    async fn truth(&self) -> Result<Truth, Failure> {
        let (most, pause) = READING;
        let reading = async {
            loop {
                match self.0.ask(Call::Truth).await {
                    Ok(Some(truth)) => return Ok(truth),
                    Ok(None) => tokio::time::sleep(pause).await,
                    Err(failure) => return Err(failure),
                }
            }
        };
        let unread = || {
            let message = "the kernel or the store of this host has not been read yet";
            Failure::new(Code::Unavailable, "NOT_READY", message).advice("see `poplin status`, and try again")
        };
        tokio::time::timeout(most, reading).await.unwrap_or_else(|_| Err(unread()))
    }

    /// Does what is safe, a step at a time, looking anew after each; another hand may come between now and then.
    async fn mend(&self, mut seen: Seen) -> Result<Seen, Failure> {
        let (mut tries, mut left) = (0, usize::MAX);
        while tries < TRIES {
            all_readable(&seen.unreadable)?;
            let planned = mending(&seen.faults(), &seen.standing, &seen.truth);
            if planned.of.is_empty() {
                return Ok(seen);
            }
            // What does not become less is somebody else's doing, again and again.
            tries = if planned.of.len() < left { 0 } else { tries + 1 };
            left = planned.of.len();
            match planned.remains.is_empty() {
                false => {
                    for name in planned.remains {
                        self.clear_away(name).await?;
                    }
                }
                true => {
                    if let Some(step) = planned.steps.into_iter().next() {
                        self.write(step, &seen.snapshot).await?;
                    }
                }
            }
            seen = self.look().await?;
        }
        let message = format!("others changed the same {TRIES} times in a row; {left} findings are left to be mended");
        Err(Failure::new(Code::Aborted, "CONTENDED", message).advice("what was mended stays so; run it again"))
    }

    /// Detaches an endpoint of which nothing is left, and whether it did. One that has come back to life meanwhile stays, and that is no failure.
    async fn clear_away(&self, name: EndpointName) -> Result<bool, Failure> {
        match self.0.ask(|answer| Call::Detach(Detach::Remains(name), answer)).await? {
            Answer::Refused(Refusal::StillWired { .. } | Refusal::Busy { .. }) => Ok(false),
            Answer::Refused(refusal) => Err(refused(&refusal)),
            Answer::Detached(_) | Answer::Attached(_) | Answer::Held(_) => Ok(true),
        }
    }

    /// Whether it was written: all it touches was as it had been read.
    async fn write(&self, step: Step, snapshot: &Snapshot) -> Result<bool, Failure> {
        let outcome = self.0.store.transact(transaction(step, snapshot)).await;
        match outcome.map_err(|error| store_failure(&error))? {
            Outcome::Committed { .. } => Ok(true),
            Outcome::Refused { .. } => Ok(false),
        }
    }
}

fn asked_for(text: &str) -> Result<IpAddr, Failure> {
    address("address", text)
        .map_err(|invalid| Failure::new(Code::InvalidArgument, invalid.reason, invalid.message).field("address"))
}

fn finding(fault: &Fault, mending: Option<&String>, is_mended: bool) -> AddressFinding {
    AddressFinding {
        reason: fault.reason().to_owned(),
        message: fault.to_string(),
        advice: if is_mended { String::new() } else { fault.advice() },
        mending: mending.cloned().unwrap_or_default(),
        mended: is_mended,
    }
}

fn unread(key: &str) -> AddressFinding {
    AddressFinding {
        reason: "UNREADABLE".to_owned(),
        message: format!("{key} cannot be read by this agent; what it says of addresses is not counted here"),
        advice: "upgrade this agent to the newest in the fabric, or mend the value".to_owned(),
        ..AddressFinding::default()
    }
}

/// Two that claim one address, or one name: which of them is closed, and which open.
pub(super) fn contested(one: &Contested) -> AddressFinding {
    let Contested { endpoint, rival, host, .. } = one;
    let what = one.address.map_or_else(|| format!("the name {}", endpoint.name), |address| address.to_string());
    let name = &endpoint.name;
    AddressFinding {
        reason: "CONTESTED".to_owned(),
        message: format!(
            "{what} is claimed twice since the store forgot: endpoint {name} of host {} is closed off, {rival} of host {host} is open",
            endpoint.host
        ),
        advice: format!(
            "detach one of them: `poplin detach {name}` on host {}, to attach it anew; or {rival} on host {host}, and {name} opens by itself",
            endpoint.host
        ),
        ..AddressFinding::default()
    }
}

fn in_use(kept: &Kept) -> Failure {
    let reason = match kept {
        Kept::InUse { .. } => "IN_USE",
        Kept::OfOtherHost { .. } => "OF_OTHER_HOST",
        Kept::Led { .. } => "STILL_LED",
    };
    Failure::new(Code::FailedPrecondition, reason, kept.to_string()).advice(kept.advice())
}
