//! Floating addresses that an attachment asks for: led to it as people do, but until it is detached.
//!
//! In: addresses, and the endpoint they shall lead to. Out: what is written, by the one way all that is declared is written: judged against the
//! store as it is, and refused if that has changed. The head takes it back with the endpoint. An address that nobody declared is for those to have
//! who might declare it: whoever could ask for any would draw the traffic of others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use poplin_manifest::check_floating;
use poplin_manifest::field::Invalid;
use poplin_node::name::{EndpointName, FloatingName};
use poplin_node::object::{FloatingAddress, Object, ObjectKey};
use poplin_proto::Failure;
use poplin_proto::v1::{ApplyRequest, Resource};
use tonic::{Code, Status};

use super::apply::{apply, contended, declared};
use super::{Desk, store_failure};
use crate::resource::{ROOT, path_of, show_floating};

/// Stands for an endpoint whose name is not made yet.
const ANYBODY: &str = "anybody";

/// How often it is tried against a store that others write to.
const TRIES: usize = 5;

/// The addresses an attachment asks for: at most one of each family.
pub(super) fn asked(texts: &[String]) -> Result<BTreeSet<IpAddr>, Failure> {
    let mut wanted = BTreeSet::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("floating[{index}]");
        let refuse = |invalid: Invalid| invalid.into_failure("attach");
        let address = check_floating(&field, text).map_err(refuse)?;
        if wanted.iter().any(|other: &IpAddr| other.is_ipv4() == address.is_ipv4()) {
            let message = format!("{address} is the second of its family");
            return Err(refuse(Invalid::new(field, "TWO_OF_ONE_FAMILY", message).advice("ask for one of each family")));
        }
        wanted.insert(address);
    }
    Ok(wanted)
}

/// Whether these may lead to an endpoint of that name, or of one that is not known yet, as things stand.
pub(super) async fn are_free(
    desk: &Desk,
    wanted: &BTreeSet<IpAddr>,
    name: &str,
    may_declare: bool,
) -> Result<(), Status> {
    for address in wanted {
        let declared = known(desk, *address).await?;
        if declared.led.is_none() && !may_declare {
            let message = format!("nobody declared {address}, and only who may declare has such an address");
            let failure = Failure::new(Code::PermissionDenied, "UNDECLARED", message).field("floating");
            return Err(failure.advice("have an administrator apply a FloatingAddress with it first").into());
        }
        may_lead(*address, &declared, name)?;
        let resource = resource(*address, &declared, if name.is_empty() { ANYBODY } else { name });
        let request = ApplyRequest { resources: vec![resource], dry_run: true, ..ApplyRequest::default() };
        apply(&*desk.store, &desk.host, &request).await?;
    }
    Ok(())
}

/// Has them lead to an endpoint.
pub(super) async fn lead(desk: &Desk, wanted: &BTreeSet<IpAddr>, endpoint: &EndpointName) -> Result<(), Status> {
    for address in wanted {
        lead_one(desk, *address, endpoint.as_str()).await?;
    }
    Ok(())
}

async fn lead_one(desk: &Desk, address: IpAddr, endpoint: &str) -> Result<(), Status> {
    for _ in 0..TRIES {
        let declared = known(desk, address).await?;
        may_lead(address, &declared, endpoint)?;
        if declared.led.as_ref().is_some_and(|one| one.endpoint.as_ref().is_some_and(|to| to.as_str() == endpoint)) {
            return Ok(());
        }
        let resources = vec![resource(address, &declared, endpoint)];
        match apply(&*desk.store, &desk.host, &ApplyRequest { resources, ..ApplyRequest::default() }).await {
            Err(status) if status.code() == Code::Aborted => {} // somebody was faster
            outcome => return outcome.map(drop),
        }
    }
    Err(contended().into())
}

/// What the store says of an address.
struct Known {
    /// The object that has it.
    led: Option<FloatingAddress>,
    /// The revision of its last write.
    version: i64,
    /// Whether the endpoint it leads to is attached.
    is_held: bool,
    /// Whether an object of its own name stands for another address.
    is_named_by_another: bool,
}

async fn known(desk: &Desk, address: IpAddr) -> Result<Known, Failure> {
    let snapshot = desk.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
    let floating = declared(&snapshot, |key| matches!(key, ObjectKey::FloatingAddress(_)));
    let name = name_of(address);
    let mut known = Known { led: None, version: 0, is_held: false, is_named_by_another: false };
    for one in floating.values().filter_map(|object| <&FloatingAddress>::try_from(object).ok()) {
        known.is_named_by_another |= one.name.as_str() == name && one.address != address;
        if one.address == address {
            let path = path_of(&Object::FloatingAddress(one.clone()).key());
            known.version = snapshot.entry(&path).map_or(0, |entry| entry.mod_revision);
            let held_by = one.endpoint.clone().map(|name| path_of(&ObjectKey::Endpoint(name)));
            known.is_held = held_by.is_some_and(|path| snapshot.entry(&path).is_some());
            known.led = Some(one.clone());
        }
    }
    Ok(known)
}

/// Nobody else may have it. What an attachment had asked for is free once that is gone.
fn may_lead(address: IpAddr, known: &Known, endpoint: &str) -> Result<(), Failure> {
    let refuse = |reason, message: String| Failure::new(Code::FailedPrecondition, reason, message).field("floating");
    if known.is_named_by_another && known.led.is_none() {
        let message = format!("floating address {} stands for another address", name_of(address));
        return Err(refuse("NAME_TAKEN", message).advice("declare this one under another name first"));
    }
    let Some(one) = &known.led else { return Ok(()) };
    match &one.endpoint {
        Some(holder) if holder.as_str() != endpoint && (known.is_held || !one.is_until_detached) => {
            let message = format!("floating address {address} leads to endpoint {holder}");
            let advice = format!(
                "move it: `poplin floating assign {address} NAME`, or free it: `poplin floating release {address}`"
            );
            Err(refuse("FLOATING_TAKEN", message).advice(advice))
        }
        Some(_) | None => Ok(()),
    }
}

fn resource(address: IpAddr, known: &Known, endpoint: &str) -> Resource {
    let made = || FloatingAddress {
        name: FloatingName::new(name_of(address)),
        address,
        endpoint: None,
        is_until_detached: true,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    let former = known.led.clone().unwrap_or_else(made);
    let is_free = former.endpoint.is_none();
    let is_until_detached = is_free || former.is_until_detached;
    let mut shown =
        show_floating(&FloatingAddress { endpoint: Some(EndpointName::new(endpoint)), is_until_detached, ..former });
    if let Some(metadata) = &mut shown.metadata {
        metadata.resource_version = known.version;
    }
    shown.into()
}

/// The name of an object made for an address: `198.51.100.7`, or `2001-db8-0-0-0-0-0-7`, for names have no colons.
fn name_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|part| format!("{part:x}")).join("-"),
    }
}
