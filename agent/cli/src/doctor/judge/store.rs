//! Whether the store answers, soon enough, and has room; and what its version is known for.

use poplin_proto::v1::StoreMember;

use super::octets;
use crate::doctor::finding::Finding;
use crate::doctor::reading::{Reading, Told};
use crate::status::{awaited, forgetful, from_memory, half_imported, read_only, unread};

/// An answer within a data centre takes a few milliseconds; etcd itself calls a request slow that takes 100 ms.
const SLOW_MICROSECONDS: u64 = 100_000;

/// What etcd allows its database when nobody says (`--quota-backend-bytes`, its documentation).
const USUAL_QUOTA: u64 = 2 << 30;

/// Of the embedded store's disk: it refuses to attach when nothing is left; each commit writes some pages anew before it frees the old ones.
const LEAST_FREE: u64 = 64 << 20;

/// From these on, in their line, roles in etcd's user database hold (CVE-2026-33343, GHSA-xg4h-6gfc-h4m8).
const SOUND: [(u32, u32, u32); 3] = [(3, 4, 42), (3, 5, 33), (3, 6, 14)];

pub(super) fn judge(reading: &Reading) -> Vec<Finding> {
    let mut findings: Vec<Finding> = reading.stores.iter().filter_map(unreached).collect();
    findings.extend(reading.told().into_iter().flat_map(told_by));
    findings.extend(reading.space.as_ref().and_then(|(path, free, all)| {
        let message =
            format!("{} of {} are left on the disk of {path}, where the store is", octets(*free), octets(*all));
        let advice = "make room: without it nothing can be attached or declared";
        (*free < LEAST_FREE).then(|| Finding::failure("store-space", message, advice))
    }));
    findings
}

fn unreached((endpoint, reason): &(String, Option<String>)) -> Option<Finding> {
    let message = format!("etcd {endpoint} is not reached: {}", reason.as_ref()?);
    Some(Finding::failure("store", message, "see whether it runs, and whether a firewall stands between"))
}

fn told_by(told: &Told) -> Vec<Finding> {
    let mut findings = Vec::new();
    let store = told.status.store.clone().unwrap_or_default();
    let silent: Vec<&StoreMember> = told.store.members.iter().filter(|member| !member.error.is_empty()).collect();
    if !store.connected && silent.len() < told.store.members.len() {
        let message = format!("the agent does not follow the store: {}", store.error);
        findings.push(Finding::failure("store", message, "see the agent's log; what it knew stays in force"));
    }
    findings.extend(read_only(&store).map(|message| {
        let advice = "upgrade poplind on this host; or go back with the whole fabric: `poplin store schema --set N`";
        Finding::failure("store-schema", message, advice)
    }));
    findings.extend(from_memory(&store).map(|message| {
        let advice = "bring the store back: what was declared since is not in force here, and nothing can be attached";
        Finding::failure("store-memory", message, advice)
    }));
    findings.extend(awaited(&store).map(|message| {
        let advice = "start their agents; of one that is gone for good `poplin host remove HOST --gone`, or for all `poplin store accept`";
        Finding::failure("store-forgot", message, advice)
    }));
    findings.extend(half_imported(&store).map(|message| {
        let advice =
            "wait for it; if it was cut short, give `poplin import` the same file again, or another with --merge";
        Finding::failure("store-import", message, advice)
    }));
    findings.extend(forgetful(&store).map(|message| {
        let advice = "make room on that disk, or mount it for writing: the agent tries again by itself";
        Finding::warning("store-memory", message, advice)
    }));
    findings.extend(told.status.unreadable.iter().map(|object| {
        let advice = "write it anew (poplin apply) or delete it; if a later version wrote it, upgrade this agent";
        match object.last_good_in_force {
            true => Finding::warning("store-unreadable", unread(object), advice),
            false => Finding::failure("store-unreadable", unread(object), advice),
        }
    }));
    let all = told.store.members.len();
    findings.extend(silent.iter().map(|member| {
        let message = format!("{} does not answer: {}", member.location, member.error);
        let advice = "see whether it runs, and whether a firewall stands between; what is in force stays so";
        match silent.len() == all {
            true => Finding::failure("store", message, advice),
            false => Finding::warning("store", message, advice),
        }
    }));
    findings.extend(told.store.members.iter().flat_map(|member| answering(member, !told.store.files.is_empty())));
    findings
}

fn answering(member: &StoreMember, asks_who_comes: bool) -> Vec<Finding> {
    let mut findings: Vec<Finding> = member.alarms.iter().map(|alarm| alarmed(member, alarm)).collect();
    if member.latency_microseconds > SLOW_MICROSECONDS {
        let message = format!("{} took {} ms to answer", member.location, member.latency_microseconds / 1000);
        let advice = "etcd wants a disk of its own that is fast: see its metric etcd_disk_wal_fsync_duration_seconds";
        findings.push(Finding::warning("store-latency", message, advice));
    }
    let allowed = if member.octets_allowed == 0 { USUAL_QUOTA } else { member.octets_allowed };
    let is_filling = member.octets.saturating_mul(5) > allowed.saturating_mul(4);
    if is_filling && !member.version.is_empty() && member.alarms.is_empty() {
        let message =
            format!("the database of {} has {} of {} allowed", member.location, octets(member.octets), octets(allowed));
        let advice = "etcdctl compact, etcdctl defrag, or a larger --quota-backend-bytes";
        findings.push(Finding::warning("store-size", message, advice));
    }
    findings.extend(version(member, asks_who_comes));
    findings
}

fn alarmed(member: &StoreMember, alarm: &str) -> Finding {
    let message = format!("{} raises an alarm: {alarm}", member.location);
    let advice = match alarm.contains("NOSPACE") {
        true => {
            "etcdctl compact REVISION, etcdctl defrag, etcdctl alarm disarm; a larger --quota-backend-bytes keeps it away"
        }
        false => "remove the member and let it join anew; see etcd's documentation of alarms",
    };
    Finding::failure("store-alarm", message, advice)
}

/// Roles that can be walked around hurt those who rely on them.
fn version(member: &StoreMember, asks_who_comes: bool) -> Option<Finding> {
    let mut numbers = member.version.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next()?, numbers.next()?);
    let sound = SOUND.iter().find(|sound| (sound.0, sound.1) >= (version.0, version.1))?;
    if version >= *sound {
        return None;
    }
    let (a, b, c) = sound;
    let message =
        format!("etcd {} at {}: roles in its user database can be walked around", member.version, member.location);
    let advice =
        format!("{a}.{b}.{c} or later; until then let in only who shows a certificate you trust with everything");
    Some(match asks_who_comes {
        true => Finding::warning("store-version", message, advice),
        false => Finding::note("store-version", message, advice),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Weight;
    use poplin_proto::v1::{CredentialFile, ExamineStoreResponse, GetStatusResponse, StoreStatus, UnreadableObject};

    fn found(member: StoreMember, has_credentials: bool) -> Vec<(&'static str, Weight)> {
        let files = if has_credentials { vec![CredentialFile::default()] } else { Vec::new() };
        let store = StoreStatus { connected: true, ..StoreStatus::default() };
        let status = GetStatusResponse { store: Some(store), ..GetStatusResponse::default() };
        let told = Told { status, store: ExamineStoreResponse { members: vec![member], files }, ..Told::default() };
        let findings = judge(&Reading { agent: Some(Ok(told)), ..Reading::default() });
        findings.iter().map(|finding| (finding.check, finding.weight)).collect()
    }

    fn member(version: &str) -> StoreMember {
        StoreMember {
            version: version.to_owned(),
            latency_microseconds: 900,
            octets: 20 << 10,
            ..StoreMember::default()
        }
    }

    #[test]
    fn versions_with_holes_are_a_warning_to_who_relies_on_roles() {
        let versions = ["3.4.23", "3.5.32", "3.6.13", "3.3.10"];
        for version in versions {
            assert_eq!(found(member(version), true), [("store-version", Weight::Warning)], "{version}");
            assert_eq!(found(member(version), false), [("store-version", Weight::Note)], "{version}");
        }
        for version in ["3.4.42", "3.5.33", "3.6.14", "3.7.1", "4.0.0"] {
            assert_eq!(found(member(version), true), [], "{version}");
        }
    }

    #[test]
    fn alarms_slowness_and_a_database_near_its_bound_are_found() {
        let alarmed = StoreMember { alarms: vec!["NOSPACE".to_owned()], ..member("3.7.1") };
        let slow = StoreMember { latency_microseconds: 150_000, ..member("3.7.1") };
        let large = StoreMember { octets: 15 << 20, octets_allowed: 16 << 20, ..member("3.7.1") };

        assert_eq!(found(alarmed, false), [("store-alarm", Weight::Failure)]);
        assert_eq!(found(slow, false), [("store-latency", Weight::Warning)]);
        assert_eq!(found(large, false), [("store-size", Weight::Warning)]);
    }

    #[test]
    fn a_member_that_is_silent_is_a_failure_when_it_is_the_only_one() {
        let silent = StoreMember { error: "timeout".to_owned(), ..StoreMember::default() };
        assert_eq!(found(silent, false), [("store", Weight::Failure)]);
    }

    #[test]
    fn what_cannot_be_read_is_a_failure_only_where_no_good_form_of_it_is_known() {
        let weight = |last_good_in_force| {
            let unreadable = vec![UnreadableObject { last_good_in_force, ..UnreadableObject::default() }];
            let store = Some(StoreStatus { connected: true, ..StoreStatus::default() });
            let status = GetStatusResponse { store, unreadable, ..GetStatusResponse::default() };
            let told = Told { status, ..Told::default() };
            judge(&Reading { agent: Some(Ok(told)), ..Reading::default() })[0].weight
        };
        assert_eq!([weight(true), weight(false)], [Weight::Warning, Weight::Failure]);
    }

    #[test]
    fn a_full_disk_is_told_before_the_store_refuses() {
        let space = |free| Reading { space: Some(("/var/lib/poplin".to_owned(), free, 1 << 30)), ..Reading::default() };
        assert_eq!(judge(&space(1 << 20)).len(), 1);
        assert_eq!(judge(&space(512 << 20)), []);
    }
}
