//! Follows what happens in Docker and in the fabric, and brings each to what the other has. While dockerd is away, nothing is decided.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use poplin_node::name::AttachmentId;
use poplin_node::request::Detach;
use poplin_proto::v1::resource::Object;
use serde_json::Value;
use tokio::time::sleep;

use super::api::Events;
use super::binding::Binding;
use super::driver::{Driver, INTERFACE};
use super::firewall;
use super::known::introduce;
use super::meet::{meet, ours};
use super::wish::Wish;
use crate::resource::kind_prefix;
use crate::serve::Call;
use crate::store;

/// The wait before dockerd is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Between the two looks after which an endpoint that dockerd does not list is an orphan. One that is being started is listed within a second.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// How long one that was made in this life is left alone in any case.
const YOUTH: Duration = Duration::from_secs(60);

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
    tell(catch_up(driver).await);
    let mut suspects = Some(tell(orphans(driver).await).unwrap_or_default());
    let second_look = sleep(SECOND_LOOK);
    tokio::pin!(second_look);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) => heard(driver, &event).await,
                None => return,
            },
            Some(news) = networks.recv() => {
                if !matches!(news, store::Followed::Lost { .. }) {
                    tell(meet(driver).await);
                }
            }
            () = &mut second_look, if suspects.is_some() => {
                collect(driver, &suspects.take().unwrap_or_default()).await;
            }
        }
    }
}

/// What happened while nobody listened.
async fn catch_up(driver: &Driver) -> Result<(), String> {
    for id in ours(&driver.api.get("/networks").await?, &driver.name) {
        tell(adopt(driver, &id).await);
        tell(introduce(driver, &id, None).await);
    }
    meet(driver).await
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

async fn heard(driver: &Driver, event: &Value) {
    let actor = &event["Actor"];
    if actor["Attributes"]["type"] != driver.name.as_str() {
        return;
    }
    let id = actor["ID"].as_str().unwrap_or_default();
    match event["Action"].as_str().unwrap_or_default() {
        "create" => drop(tell(driver.network_of(id).await)),
        "connect" => drop(tell(introduce(driver, id, actor["Attributes"]["container"].as_str()).await)),
        // One that the fabric has no more may go now that somebody has left it; one that a person removed may have to come back.
        "disconnect" | "destroy" => drop(tell(meet(driver).await)),
        _ => {}
    }
}

/// Endpoints of this host that dockerd does not list.
async fn orphans(driver: &Driver) -> Result<BTreeSet<AttachmentId>, String> {
    let own = driver.stored("Endpoint").await?.into_iter().filter_map(|resource| match resource.object? {
        Object::Endpoint(endpoint) => endpoint.spec.filter(|spec| spec.host == driver.desk.host),
        _ => None,
    });
    let mut own: BTreeSet<AttachmentId> = own.filter_map(|spec| AttachmentId::parse(&spec.attachment)).collect();
    own.retain(|attachment| attachment.interface == INTERFACE);
    let now = Instant::now();
    driver.remember(|memory| {
        memory.made.retain(|_, made| now.duration_since(*made) < YOUTH);
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

/// Those that are orphans at the second look too leave: dockerd forgot them while we were away.
async fn collect(driver: &Driver, suspects: &BTreeSet<AttachmentId>) {
    let Some(orphans) = tell(orphans(driver).await) else { return };
    for orphan in orphans.intersection(suspects) {
        tracing::info!("{orphan} is an orphan: no container of Docker has it");
        let detach = Detach::Attachment(orphan.clone());
        tell(driver.ask(|answer| Call::Detach(detach, answer)).await);
    }
}

fn tell<T>(outcome: Result<T, String>) -> Option<T> {
    outcome.inspect_err(|reason| tracing::warn!("Docker: {reason}")).ok()
}
