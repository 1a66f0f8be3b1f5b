//! The size of a pool's blocks changes while their addresses are in use.
//!
//! In: a pool, and the size its blocks are to have. Out: one step of those that are left, done, and the others by name. Which are left is read off
//! the store each time, so whoever is ended goes on where that was. While there are blocks of two sizes the pool is disabled: hosts, also those of an
//! older version, claim blocks beside those that stand by the pool's size alone, and only of one that is enabled as they heard of it last.
//!
//! ```text
//! disable ── exchange block after block, each by compare-and-swap ── write the size, and enable
//! ```

use std::collections::{BTreeMap, BTreeSet};

use poplin_node::name::PoolName;
use poplin_node::object::{Block, Object, ObjectKey, Pool};
use poplin_node::removal;
use poplin_node::resize::{Exchange, exchanges, is_resized, lenders};
use poplin_proto::Failure;
use poplin_proto::v1::resource::Object as Message;
use poplin_proto::v1::{self, ApplyRequest, ResizePoolRequest, ResizePoolResponse, Resource};
use tonic::{Code, Status};

use super::apply::{all_readable, apply, contended, declared, unreadable};
use super::list::not_found;
use super::remove_host::transaction;
use super::{Desk, store_failure};
use crate::resource::{ROOT, check, decode_resource, path_of};
use crate::store::{Outcome, Snapshot};

/// How often another hand may come between before it is told.
const TRIES: usize = 10;

/// Says that a pool is disabled for this alone, and is enabled once it is done.
const RESIZING: &str = "poplin.dev/resizing-to";

/// Goes one step, or tells those that are left.
pub(super) async fn step(desk: &Desk, request: &ResizePoolRequest) -> Result<ResizePoolResponse, Status> {
    for _ in 0..TRIES {
        let seen = Seen::look(desk, &request.pool).await?;
        let steps = seen.steps(request.block_size)?;
        let mut left = steps.iter().map(|step| seen.told(step));
        if request.dry_run || steps.is_empty() {
            return Ok(ResizePoolResponse { done: String::new(), left: left.collect() });
        }
        let done = left.next().unwrap_or_default();
        if seen.go(desk, &steps[0]).await? {
            return Ok(ResizePoolResponse { done, left: left.collect() });
        }
    }
    Err(contended().into())
}

/// What is left to do.
enum Step {
    /// Nothing new is given of it.
    Disable(v1::Pool),
    /// Blocks give way to others.
    Exchange(Exchange),
    /// It has the new size, and serves again if it did before.
    Finish(v1::Pool),
}

/// A pool and its blocks at one moment.
struct Seen {
    snapshot: Snapshot,
    document: v1::Pool,
    pool: Pool,
    blocks: Vec<Block>,
}

impl Seen {
    async fn look(desk: &Desk, name: &str) -> Result<Self, Failure> {
        let snapshot = desk.store.snapshot(ROOT).await.map_err(|error| store_failure(&error))?;
        let key = ObjectKey::Pool(PoolName::new(name));
        let bears =
            |other: &ObjectKey| *other == key || matches!(other, ObjectKey::Block(pool, _) if pool.as_str() == name);
        all_readable(&unreadable(&snapshot, bears))?;
        let standing = declared(&snapshot, bears);
        let pool = standing.get(&key).and_then(|object| <&Pool>::try_from(object).ok()).cloned();
        let document = snapshot.entry(&path_of(&key)).and_then(|entry| match decode_resource(entry).ok()?.object? {
            Message::Pool(pool) => Some(pool),
            _ => None,
        });
        let (pool, document) = pool.zip(document).ok_or_else(|| not_found("Pool", name))?;
        let blocks = standing.values().filter_map(|object| <&Block>::try_from(object).ok()).cloned().collect();
        Ok(Self { snapshot, document, pool, blocks })
    }

    /// The steps that are left, in order. The last one is checked before the first is gone.
    fn steps(&self, size: u32) -> Result<Vec<Step>, Status> {
        let finished = self.finished(size);
        let resource = Resource::from(finished.clone());
        let wanted = check(&resource).map_err(|invalids| {
            let first = invalids.0.into_iter().next().expect("what is refused is refused for something");
            Status::from(first.into_failure(&format!("pool {}", self.pool.name)))
        })?;
        let bits = <&Pool>::try_from(&wanted).map_or(self.pool.block_bits, |pool| pool.block_bits);
        let mut steps = Vec::new();
        let is_of_size = is_resized(&self.pool.name, bits, self.blocks.iter());
        if self.pool.block_bits == bits && is_of_size && !self.is_under_way() {
            return Ok(steps);
        }
        if self.pool.is_enabled {
            steps.push(Step::Disable(self.disabled(size)));
        }
        steps.extend(exchanges(&self.pool, bits, self.blocks.iter()).into_iter().map(Step::Exchange));
        steps.push(Step::Finish(finished));
        Ok(steps)
    }

    fn is_under_way(&self) -> bool {
        self.document.metadata.as_ref().is_some_and(|metadata| metadata.annotations.contains_key(RESIZING))
    }

    fn disabled(&self, size: u32) -> v1::Pool {
        let mut pool = self.document.clone();
        pool.spec.get_or_insert_default().disabled = true;
        pool.metadata.get_or_insert_default().annotations.insert(RESIZING.to_owned(), size.to_string());
        pool
    }

    /// A pool that somebody disabled stays so.
    fn finished(&self, size: u32) -> v1::Pool {
        let mut pool = self.document.clone();
        let serves = self.pool.is_enabled || self.is_under_way();
        pool.metadata.get_or_insert_default().annotations.remove(RESIZING);
        let spec = pool.spec.get_or_insert_default();
        (spec.block_size, spec.disabled) = (Some(size), !serves);
        pool
    }

    /// Whether it was done; if not, somebody was faster.
    async fn go(&self, desk: &Desk, step: &Step) -> Result<bool, Status> {
        match step {
            Step::Disable(pool) | Step::Finish(pool) => {
                let request = ApplyRequest { resources: vec![pool.clone().into()], ..ApplyRequest::default() };
                match apply(&*desk.store, &desk.host, &request).await {
                    Err(status) if status.code() == Code::Aborted => Ok(false),
                    outcome => outcome.map(|_| true),
                }
            }
            Step::Exchange(Exchange { gone, come }) => {
                let puts: Vec<Object> = come.iter().cloned().map(Object::Block).collect();
                let stays: BTreeSet<ObjectKey> = puts.iter().map(Object::key).collect();
                let deletes = gone.iter().map(|block| ObjectKey::Block(block.pool.clone(), block.cidr));
                let deletes = deletes.filter(|key| !stays.contains(key)).collect();
                let transaction = transaction(removal::Step { puts, deletes }, &self.snapshot);
                let outcome = desk.store.transact(transaction).await;
                let outcome = outcome.map_err(|error| store_failure(&error))?;
                Ok(matches!(outcome, Outcome::Committed { .. }))
            }
        }
    }

    fn told(&self, step: &Step) -> String {
        let name = &self.pool.name;
        match step {
            Step::Disable(_) => format!("disable pool {name}: nobody gets an address of it until this is done"),
            Step::Exchange(exchange) => exchanged(exchange),
            Step::Finish(pool) => {
                let spec = pool.spec.clone().unwrap_or_default();
                let serves = if spec.disabled { "; it stays disabled" } else { ", and enable it" };
                format!("write blocks of /{} into pool {name}{serves}", spec.block_size.unwrap_or_default())
            }
        }
    }
}

fn exchanged(exchange: &Exchange) -> String {
    let gone = by_host(&exchange.gone);
    if exchange.come.is_empty() {
        return format!("give {gone} back: nobody uses it");
    }
    let borrowing = match lenders(exchange) {
        0 => String::new(),
        1 => ", of which another host has addresses from then on".to_owned(),
        count => format!(", of which {count} other hosts have addresses from then on"),
    };
    format!("exchange {gone} for {}{borrowing}", by_host(&exchange.come))
}

/// `10.77.0.0/28 10.77.0.48/28 of host h1`.
fn by_host(blocks: &[Block]) -> String {
    let mut of: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for block in blocks {
        of.entry(block.host.as_str()).or_default().push(block.cidr.to_string());
    }
    let told = of.into_iter().map(|(host, cidrs)| format!("{} of host {host}", cidrs.join(" ")));
    told.collect::<Vec<_>>().join(", ")
}
