//! Follows what happens in Docker and in the fabric, and brings each to what the other has. While dockerd is away, nothing is decided.

use std::collections::BTreeSet;
use std::time::Duration;

use poplin_node::name::AttachmentId;
use poplin_node::request::Detach;
use poplin_proto::v1::resource::Object;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::api::Events;
use super::binding::Binding;
use super::driver::{Driver, INTERFACE};
use super::firewall;
use super::known::introduce;
use super::meet::{meet, ours};
use super::swarm::is_driver;
use super::wish::Wish;
use crate::resource::kind_prefix;
use crate::serve::Call;
use crate::store;

/// The wait before dockerd is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Between the two looks after which an endpoint that dockerd does not list is an orphan. One that is being started is listed within a second.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// Between all later looks: dockerd goes on although we could not do what it asked, and never asks again.
const LOOK: Duration = Duration::from_secs(60);

/// Follows for ever.
pub(super) async fn follow(driver: Driver) {
    let mut is_known_away = false;
    loop {
        match driver.api.events().await {
            Ok(events) => {
                is_known_away = false;
                tracing::info!("dockerd is there");
                firewall::let_through().await;
                attend(&driver, events).await;
                tracing::warn!("dockerd is away; its containers go on");
            }
            Err(reason) if !std::mem::replace(&mut is_known_away, true) => tracing::info!("{reason}; waiting for it"),
            Err(_) => {}
        }
        sleep(PAUSE).await;
    }
}

/// As long as dockerd is there. Events are listened to before anything is read, so that nothing falls in between.
async fn attend(driver: &Driver, mut events: Events) {
    let prefix = kind_prefix("Network").unwrap_or_default();
    let mut networks = store::follow(driver.desk.store.clone(), prefix);
    driver.desk.until_ready().await;
    let mut is_behind = tell(catch_up(driver).await).is_none();
    let mut suspects = tell(suspects_of(driver).await).unwrap_or_default();
    let look = sleep(SECOND_LOOK);
    tokio::pin!(look);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => is_behind |= tell(heard(driver, &event).await).is_none(),
                None => return,
            },
            Some(news) = networks.recv() => {
                if !matches!(news, store::Followed::Lost { .. }) {
                    tell(meet(driver).await);
                }
            }
            () = &mut look => {
                lay(driver).await; // whoever loads a firewall anew, as firewalld does, takes our chain away
                suspects = tell(collect(driver, &suspects).await).unwrap_or_default();
                is_behind = is_behind && tell(catch_up(driver).await).is_none();
                look.as_mut().reset(Instant::now() + LOOK);
            }
        }
    }
}

/// Our chain in Docker's firewall as it should be, whatever stands there: containers that came by Docker's gateway bridge are there still.
async fn lay(driver: &Driver) {
    let bindings = tell(driver.bindings.all().await).unwrap_or_default();
    match bindings.values().any(Binding::leaves_ports_to_docker) {
        true => firewall::keep_apart().await,
        false => firewall::let_through().await,
    }
}

/// What happened while nobody listened.
async fn catch_up(driver: &Driver) -> Result<(), String> {
    let mut outcome = Ok(());
    for id in ours(&driver.api.get("/networks").await?, &driver.name) {
        tell(adopt(driver, &id).await);
        outcome = introduce(driver, &id, None).await.and(outcome);
    }
    meet(driver).await.and(outcome)
}

/// A network of our driver that we know nothing of: it was made while our store was another, and is taken for what dockerd shows of it.
async fn adopt(driver: &Driver, id: &str) -> Result<(), String> {
    if driver.bindings.all().await?.contains_key(id) {
        return Ok(());
    }
    let wish = Wish::of_shown(&driver.api.get(&format!("/networks/{id}")).await?)?;
    // Which network of the fabric its author meant is known at once, or by its name.
    let network = wish.network.clone();
    tracing::info!("Docker has network {id}, of which nothing was known here");
    driver.bindings.put(id, &Binding { network, wish, ..Binding::default() }).await
}

async fn heard(driver: &Driver, event: &Value) -> Result<(), String> {
    let actor = &event["Actor"];
    if !is_driver(actor["Attributes"]["type"].as_str().unwrap_or_default(), &driver.name) {
        return Ok(());
    }
    let id = actor["ID"].as_str().unwrap_or_default();
    match event["Action"].as_str().unwrap_or_default() {
        "create" => driver.network_of(id).await.map(|_| ()),
        "connect" => introduce(driver, id, actor["Attributes"]["container"].as_str()).await,
        // One that the fabric has no more may go now that somebody has left it; one that a person removed may have to come back.
        "disconnect" | "destroy" => meet(driver).await,
        _ => Ok(()),
    }
}

/// What dockerd does not list: endpoints, and networks we were once told of.
#[derive(Default)]
struct Suspects {
    endpoints: BTreeSet<AttachmentId>,
    networks: BTreeSet<String>,
}

async fn suspects_of(driver: &Driver) -> Result<Suspects, String> {
    let endpoints = orphans(driver).await?;
    let listed = ours(&driver.api.get("/networks").await?, &driver.name);
    let networks = driver.bindings.all().await?.into_keys().filter(|id| !listed.contains(id)).collect();
    Ok(Suspects { endpoints, networks })
}

/// Endpoints of this host that dockerd does not list.
async fn orphans(driver: &Driver) -> Result<BTreeSet<AttachmentId>, String> {
    let own = driver.stored("Endpoint").await?.into_iter().filter_map(|resource| match resource.object? {
        Object::Endpoint(endpoint) => endpoint.spec.filter(|spec| spec.host == driver.desk.host),
        _ => None,
    });
    let mut own: BTreeSet<AttachmentId> = own.filter_map(|spec| AttachmentId::parse(&spec.attachment)).collect();
    own.retain(|attachment| attachment.interface == INTERFACE);
    driver.remember(|memory| {
        memory.made.retain(|_, made| made.may_yet_be_listed());
        own.retain(|attachment| !memory.made.contains_key(attachment));
    });
    for id in ours(&driver.api.get("/networks").await?, &driver.name) {
        let network = driver.api.get(&format!("/networks/{id}")).await?;
        for (_, listed) in network["Containers"].as_object().into_iter().flatten() {
            own.retain(|attachment| listed["EndpointID"] != attachment.container.as_str());
        }
    }
    Ok(own)
}

/// Those that dockerd listed at neither of two looks leave: it forgot them while we were away, or could not do what it asked. Tells who is next.
async fn collect(driver: &Driver, suspects: &Suspects) -> Result<Suspects, String> {
    let now = suspects_of(driver).await?;
    for orphan in now.endpoints.intersection(&suspects.endpoints) {
        tracing::info!("{orphan} is an orphan: no container of Docker has it");
        let detach = Detach::Attachment(orphan.clone());
        tell(driver.ask(|answer| Call::Detach(detach.clone(), answer)).await);
    }
    for gone in now.networks.intersection(&suspects.networks) {
        tracing::info!("Docker has no network {gone} any more");
        tell(driver.bindings.remove(gone).await);
    }
    Ok(now)
}

fn tell<T>(outcome: Result<T, String>) -> Option<T> {
    outcome.inspect_err(|reason| tracing::warn!("Docker: {reason}")).ok()
}
