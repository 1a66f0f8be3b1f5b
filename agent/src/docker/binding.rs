//! Which network of the fabric each network of this host's Docker is. dockerd tells once and never again, so it is written down in the store
//! before dockerd is answered.
//!
//! ```text
//! /poplin/v1/d/HOST/DOCKER-ID   {"network": "shop", "dockerName": "shop", "wish": {…}}
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::wish::Wish;
use crate::resource::ROOT;
use crate::serve::Desk;
use crate::store::{Operation, Transaction};

/// What is known of one network of this Docker.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Binding {
    /// The network of the fabric; absent while nobody knows what Docker calls it.
    pub network: Option<String>,
    /// What Docker calls it.
    pub docker_name: String,
    /// What its author wanted.
    pub wish: Wish,
}

impl Binding {
    /// Whether Docker publishes the ports of its containers, by its gateway bridge.
    pub fn leaves_ports_to_docker(&self) -> bool {
        self.wish.docker_ports == Some(true)
    }
}

/// Below which key all of a host stand.
pub(crate) fn root_of(host: &str) -> String {
    format!("{ROOT}d/{host}/")
}

type Known = BTreeMap<String, Binding>;

/// All of this host. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bindings {
    desk: Desk,
    /// Held while the store is asked, so that nothing is read before a write and remembered after it.
    known: Arc<Mutex<Option<Known>>>,
}

impl Bindings {
    pub fn new(desk: Desk) -> Self {
        Self { desk, known: Arc::default() }
    }

    fn root(&self) -> String {
        root_of(&self.desk.host)
    }

    /// All of them, by Docker's ids. Read from the store once: nobody else writes them.
    pub async fn all(&self) -> Result<Known, String> {
        let mut known = self.known.lock().await;
        Ok(self.read(&mut known).await?.clone())
    }

    async fn read<'k>(&self, known: &'k mut Option<Known>) -> Result<&'k mut Known, String> {
        if known.is_none() {
            let root = self.root();
            let snapshot = self.desk.store.snapshot(&root).await.map_err(|error| error.story())?;
            let read = |entry: &crate::store::Entry| {
                let id = entry.key.strip_prefix(&root)?.to_owned();
                Some((id, serde_json::from_slice(&entry.value).ok()?))
            };
            *known = Some(snapshot.entries.iter().filter_map(read).collect());
        }
        Ok(known.get_or_insert_default())
    }

    /// One of them.
    pub async fn get(&self, id: &str) -> Result<Binding, String> {
        let unknown = || format!("network {id} is not known here; remove it and make it anew");
        self.all().await?.remove(id).ok_or_else(unknown)
    }

    /// Writes one down.
    pub async fn put(&self, id: &str, binding: &Binding) -> Result<(), String> {
        let value = serde_json::to_vec(binding).map_err(|error| error.to_string())?;
        let mut known = self.known.lock().await;
        let known = self.read(&mut known).await?;
        self.write(Operation::Put { key: self.root() + id, value, lease: None }).await?;
        known.insert(id.to_owned(), binding.clone());
        Ok(())
    }

    /// Forgets one.
    pub async fn remove(&self, id: &str) -> Result<(), String> {
        let mut known = self.known.lock().await;
        let known = self.read(&mut known).await?;
        self.write(Operation::Delete(self.root() + id)).await?;
        known.remove(id);
        Ok(())
    }

    async fn write(&self, operation: Operation) -> Result<(), String> {
        let transaction = Transaction { compares: Vec::new(), operations: vec![operation] };
        self.desk.store.transact(transaction).await.map(|_| ()).map_err(|error| error.story())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_publishes_ports_is_known_by_what_is_written_down() {
        let of = |text: &str| serde_json::from_str::<Binding>(text).unwrap().leaves_ports_to_docker();
        let written = |docker_ports| {
            let wish = Wish { docker_ports, ..Wish::default() };
            of(&serde_json::to_string(&Binding { wish, ..Binding::default() }).unwrap())
        };

        assert!(written(Some(true)));
        assert!(!written(Some(false)) && !written(None) && !of("{}"));
    }
}
