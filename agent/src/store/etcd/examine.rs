//! Asks each member of an etcd cluster how it is.

use std::time::Instant;

use etcd_client::{AlarmAction, AlarmType, Client, Error};
use futures_util::future::join_all;

use super::Etcd;
use super::access::Credentials;
use super::explain::About;
use crate::store::examine::credential;
use crate::store::{CredentialFile, Examined, Member};

impl Etcd {
    pub(super) async fn examined(&self) -> Examined {
        let members = join_all(self.endpoints.iter().enumerate().map(|(place, endpoint)| self.member(place, endpoint)));
        Examined { members: members.await, files: self.members.credentials().files() }
    }

    async fn member(&self, place: usize, endpoint: &str) -> Member {
        let location = endpoint.to_owned();
        match self.members.ask_this(place, how_it_is).await {
            Ok(member) => Member { location, ..member },
            Err(failure) => {
                let error = failure.explain(format!("etcd {endpoint}"), About::default()).story();
                Member { location, error: Some(error), ..Member::default() }
            }
        }
    }
}

/// A name without the root's rights may not ask for alarms; the member says the worst of them in its status too, from 3.4 on.
async fn how_it_is(client: Client) -> Result<Member, Error> {
    let began = Instant::now();
    let mut maintenance = client.maintenance_client();
    let status = maintenance.status().await?;
    let latency = began.elapsed();
    let octets = [status.db_size(), status.raft_used_db_size(), status.db_size_quota()];
    let mut alarms = status.errors().to_vec();
    if let Ok(told) = maintenance.alarm(AlarmAction::Get, AlarmType::None, None).await {
        let unheard = |name: &String| !alarms.iter().any(|alarm| alarm.to_uppercase().contains(name.as_str()));
        let names: Vec<String> = told.alarms().iter().filter_map(|alarm| name(alarm.alarm())).filter(unheard).collect();
        alarms.extend(names);
    }
    alarms.sort();
    alarms.dedup();
    let octets = octets.map(|octets| u64::try_from(octets).unwrap_or(0));
    Ok(Member { version: Some(status.version().to_owned()), latency, octets, alarms, ..Member::default() })
}

fn name(alarm: AlarmType) -> Option<String> {
    match alarm {
        AlarmType::None => None,
        AlarmType::Nospace => Some("NOSPACE".to_owned()),
        AlarmType::Corrupt => Some("CORRUPT".to_owned()),
    }
}

impl Credentials {
    /// Each file, and whether it can be read.
    fn files(&self) -> Vec<CredentialFile> {
        let identity = self.identity.iter();
        let certificates = self.ca.iter().map(|path| ("etcd-ca", path));
        let shown = identity.flat_map(|files| [("etcd-cert", &files.certificate), ("etcd-key", &files.key)]);
        let password = self.user.iter().map(|user| ("etcd-password-file", &user.password));
        let all = certificates.chain(shown).chain(password);
        all.map(|(setting, path)| credential(setting, path.clone())).collect()
    }
}
