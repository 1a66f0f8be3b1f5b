//! Tells a store that forgot what is this host's: its blocks, its endpoints, and last itself.
//!
//! In: what lapsed in the mirror, and the kernel. Out: transactions under compare-and-swap of everything they touch. Only what stands in this kernel is told; what
//! the store brought back, or forgot, of somebody who is gone is asked to leave as anybody would be.
//! Nothing is taken from who came since: an endpoint whose name or address is another's by now is contested. Its link stays, closed, and nothing leads to it, until
//! the other has left. An address out of another host's block is told in that block, which is made for that host if the store forgot it: so it stays taken also where
//! that host has lost what it knew.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use poplin_policy::ruleset::Interface;

use crate::action::{Action, Note};
use crate::cooling::Resting;
use crate::debt::Debt;
use crate::ipam::Draft;
use crate::mirror::{Mirror, owner};
use crate::name::{AttachmentId, EndpointName, HostName};
use crate::object::{Block, Endpoint, Object, ObjectKey, Versioned};
use crate::plan::is_linked;
use crate::prefix::{self, ordinal_of};
use crate::quarantine::Unreadable;
use crate::resize;
use crate::status::Contested;
use crate::transaction::{Compare, Transaction};

use super::debt::debt_of;
use super::transact::Purpose;
use super::{Node, Role};

/// Endpoints in one transaction. Each may touch two blocks, and etcd takes 128 operations.
const ENDPOINTS_AT_ONCE: usize = 30;

/// Blocks that nobody has an address of, in one transaction.
const BLOCKS_AT_ONCE: usize = 20;
/// So many former names are removed with it.
const FORMER_AT_ONCE: usize = 15;

/// What is done since the store forgot.
#[derive(Debug, Default)]
pub(super) struct Reassertion {
    /// Whether the next listing is of another store.
    pub(super) is_another_store: bool,
    /// Whether this host has not written itself down since, by which the others know that it has nothing more to tell.
    pub(super) is_to_be_told: bool,
    /// Who left, and is back in the store; it is not looked yet whether they are here.
    revived: BTreeSet<AttachmentId>,
    /// Whether this life has looked, at a store that was read, who of this host's is here.
    has_looked: bool,
    /// Names that endpoints of this host had once and have again in the store, until they are removed there.
    former: BTreeMap<ObjectKey, i64>,
    /// What was written until then is of the history before: whose it was, of him was known whether he left.
    pub(super) shared: i64,
    /// Endpoints of this host whose name or address is another's by now.
    pub(super) contested: BTreeMap<EndpointName, Contested>,
    /// What was last told to be kept is not what is to be kept.
    pub(super) is_kept_old: bool,
}

impl Reassertion {
    /// What was told removed these, former names among them.
    pub(super) fn is_removed(&mut self, keys: &[ObjectKey]) {
        self.former.retain(|key, _| !keys.contains(key));
    }
}

impl Node {
    /// The store went back, or was emptied: what was known of it goes on to count, as far as nobody says otherwise.
    pub(super) fn store_forgot(&mut self, revision: i64, objects: Vec<Versioned<Object>>, unreadable: Vec<Unreadable>) {
        let Some(mirror) = &self.mirror else { return };
        let known = mirror.lineage().cloned();
        self.doubt_history(known);
        let Some(mirror) = &mut self.mirror else { return };
        let before = mirror.revision();
        for (_, one) in std::mem::take(&mut self.reassertion.contested) {
            mirror.lapse(Object::Endpoint(one.endpoint), None);
        }
        let recollection = mirror.forget(&self.identity.host, self.history.before(), revision, objects, unreadable);
        let lapsed = mirror.lapsed().count();
        // Who left has left, also where the store has his endpoint back in another version of it.
        self.debts.renew(|debt| {
            let known = mirror.endpoint_on(&debt.attachment, &self.identity.host);
            debt_of(mirror, known.filter(|known| known.name == debt.endpoint)?)
        });
        self.reassertion.revived = recollection.revived;
        self.reassertion.former.extend(recollection.former);
        self.reassertion.shared = recollection.shared;
        self.reassertion.is_to_be_told = true;
        self.in_flight.iter_mut().for_each(super::InFlight::leave_behind);
        self.note(Note::Warning(format!(
            "the store forgot: it stands at revision {revision}, and was known at {before}; {lapsed} objects it lacks, or has older, go on to count as \
             they were, and what is this host's is told to it again"
        )));
    }

    /// The links of endpoints that are closed off.
    pub(super) fn contested_links(&self) -> impl Iterator<Item = &Interface> {
        self.reassertion.contested.values().map(|one| &one.endpoint.interface)
    }

    /// Whether something of this host is still to be told to a store that forgot it, beside the host itself.
    pub(super) fn has_more_to_tell(&self) -> bool {
        let Some(mirror) = self.mirror.as_ref().filter(|_| self.role == Role::Host) else { return false };
        let is_own = |object: &Object| owner(object) == Some(&self.identity.host) && !matches!(object, Object::Host(_));
        mirror.lapsed().any(is_own) || !self.reassertion.former.is_empty() || self.unclaimed().next().is_some()
    }

    /// Tells the store what is this host's, a piece at a time.
    pub(super) fn reassert(&mut self, now: Instant) {
        if self.role != Role::Host || self.is_recalled {
            return;
        }
        if self.kernel.is_none() {
            return self.look_for_revived(); // a later life would not know any more that they had left
        }
        self.believe_who_has_told();
        self.look_for_who_left_an_earlier_life();
        if !self.is_reasserting() {
            return;
        }
        self.look_for_revived(); // at once: what is owed outlasts this life
        if !self.may_transact(now) || self.history_is_due() {
            return; // what is told before another history is begun is told to nobody
        }
        self.look_for_rivals();
        if !self.has_more_to_tell() {
            return;
        }
        let resting = self.resting(now);
        if let Some(transaction) = self.assertion(resting) {
            self.send(transaction, Purpose::Reassert);
        }
    }

    fn is_reasserting(&self) -> bool {
        let has_lapsed = self.mirror.as_ref().is_some_and(|mirror| mirror.lapsed().next().is_some());
        let Reassertion { revived, former, contested, .. } = &self.reassertion;
        has_lapsed || self.has_more_to_tell() || !revived.is_empty() || !former.is_empty() || !contested.is_empty()
    }

    /// What a listing has under a former name is only still to be removed.
    pub(super) fn without_former(&mut self, objects: &mut Vec<Versioned<Object>>) {
        let former = &mut self.reassertion.former;
        if former.is_empty() {
            return;
        }
        let mut listed = BTreeSet::new();
        objects.retain(|object| {
            let key = object.value.key();
            let is_former = former.get(&key) == Some(&object.version);
            if is_former {
                listed.insert(key);
            }
            !is_former
        });
        former.retain(|key, _| listed.contains(key));
    }

    /// A refusal tells how the compared objects are: a former name that somebody removed is done with, and one that was written anew is one like others.
    pub(super) fn correct_former(&mut self, compared: &mut Vec<ObjectKey>, current: &mut Vec<Versioned<Object>>) {
        compared.retain(|key| !self.reassertion.former.contains_key(key));
        self.without_former(current);
    }

    /// An attachment is asked for anew, or to leave: nothing of what it was is waited for.
    pub(super) fn give_up_contest(&mut self, attachment: &AttachmentId) {
        let before = self.reassertion.contested.len();
        self.reassertion.contested.retain(|_, one| one.endpoint.attachment != *attachment);
        let is_given_up = self.reassertion.contested.len() != before;
        self.reassertion.is_kept_old |= is_given_up;
        self.has_world_moved |= is_given_up;
    }

    /// Who is not here any more is asked to leave, also in the store. Of who came back by the store alone that is known before the kernel is.
    fn look_for_revived(&mut self) {
        let Some(mirror) = &self.mirror else { return };
        let revived = std::mem::take(&mut self.reassertion.revived);
        let host = &self.identity.host;
        let is_unwired = |one: &Endpoint| Some(!is_linked(one, self.kernel.as_ref()?));
        let lapsed = mirror.endpoints_on(host).filter(|one| mirror.is_lapsed(&key_of(one)));
        let lapsed = lapsed.filter(|one| is_unwired(one) == Some(true));
        let returned = revived.iter().filter_map(|attachment| mirror.endpoint_on(attachment, host));
        let is_gone = |one: &&Endpoint| is_unwired(one) != Some(false);
        let gone = lapsed.chain(returned).filter(is_gone).filter_map(|one| debt_of(mirror, one)).collect();
        self.ask_to_leave(gone);
    }

    /// An earlier life may have let somebody go, died before the store's own news of it came, and so left no sign of it but that his link is gone: a store that
    /// forgot has his endpoint just as that life had known it.
    fn look_for_who_left_an_earlier_life(&mut self) {
        let has_told = self.has_told_this_history();
        let (Some(mirror), Some(kernel)) = (&self.mirror, &self.kernel) else { return };
        if std::mem::replace(&mut self.reassertion.has_looked, true) || has_told {
            return;
        }
        let own = mirror.endpoints_on(&self.identity.host);
        let gone = own.filter(|one| !is_linked(one, kernel));
        let gone = gone.filter_map(|one| debt_of(mirror, one)).collect();
        self.ask_to_leave(gone);
    }

    fn ask_to_leave(&mut self, gone: Vec<Debt>) {
        for debt in gone.into_iter().filter(|debt| self.jobs.get_mut(&debt.attachment).is_none()).collect::<Vec<_>>() {
            self.debts.incur(debt);
        }
    }

    /// Whether this host has told all to the history that the store tells.
    fn has_told_this_history(&self) -> bool {
        let history = self.told_history();
        !self.history_is_due() && (history.is_none() || self.me().is_some_and(|me| me.told == history))
    }

    /// Contests what is another's by now, and takes up again what is not any more.
    fn look_for_rivals(&mut self) {
        self.forget_contests_of_who_left();
        let (departing, shared) = (self.departing(), self.reassertion.shared);
        let Some(mirror) = &mut self.mirror else { return };
        let is_free = |one: &&Contested| rival(mirror, shared, &one.endpoint).is_none();
        let freed: Vec<Endpoint> =
            self.reassertion.contested.values().filter(is_free).map(|one| one.endpoint.clone()).collect();
        for endpoint in freed {
            self.reassertion.contested.remove(&endpoint.name);
            mirror.lapse(Object::Endpoint(endpoint), None);
            self.policing.touch();
        }
        let stays = |one: &&Endpoint| mirror.is_lapsed(&key_of(one)) && !departing.contains(&one.attachment);
        let lapsed = mirror.endpoints_on(&self.identity.host).filter(stays);
        let contested: Vec<Contested> = lapsed.filter_map(|one| rival(mirror, shared, one)).collect();
        contested.iter().for_each(|one| mirror.believe(&key_of(&one.endpoint)));
        contested.into_iter().for_each(|one| self.note_contest(one));
    }

    /// Whose link is gone has left, and waits for nothing.
    fn forget_contests_of_who_left(&mut self) {
        let Some(kernel) = &self.kernel else { return };
        let before = self.reassertion.contested.len();
        self.reassertion.contested.retain(|_, one| is_linked(&one.endpoint, kernel));
        self.reassertion.is_kept_old |= self.reassertion.contested.len() != before;
    }

    fn note_contest(&mut self, one: Contested) {
        self.note(Note::Warning(format!("{one}; its container is closed off until that has left")));
        self.reassertion.contested.insert(one.endpoint.name.clone(), one);
        self.reassertion.is_kept_old = true;
        self.policing.touch();
        self.has_world_moved = true;
    }

    /// Endpoints of this host that the store has, while nobody has taken an address of theirs: as long as this host has not told all, their blocks are told, too.
    fn unclaimed(&self) -> impl Iterator<Item = &Endpoint> {
        let mirror = self.mirror.as_ref().filter(|_| self.told_history().is_some() && !self.has_told_this_history());
        let departing = mirror.map(|_| self.departing()).unwrap_or_default();
        let own = mirror
            .into_iter()
            .flat_map(|mirror| mirror.endpoints_on(&self.identity.host).map(move |one| (mirror, one)));
        let own = own.filter(move |(_, one)| !departing.contains(&one.attachment));
        own.filter(|(mirror, one)| {
            let is_free = |address: &IpAddr| {
                Claim::of(mirror, &self.identity.host, *address).is_some_and(|claim| claim.is_free(*address))
            };
            !mirror.is_lapsed(&key_of(one)) && one.addresses.iter().any(is_free)
        })
        .map(|(_, one)| one)
    }

    /// The next piece of what is to be told.
    fn assertion(&mut self, resting: Resting) -> Option<Transaction> {
        let departing = self.departing();
        let mirror = self.mirror.as_ref()?;
        let mut draft = Draft::beside(BTreeSet::new(), resting);
        let own = mirror.endpoints_on(&self.identity.host);
        let waits = |one: &Endpoint| departing.contains(&one.attachment) || in_place_of_other(mirror, one).is_some();
        let due = own.filter(|one| mirror.is_lapsed(&key_of(one)) && !waits(one));
        let endpoints: Vec<Endpoint> = due.take(ENDPOINTS_AT_ONCE).cloned().collect();
        let unclaimed = self.unclaimed().take(ENDPOINTS_AT_ONCE - endpoints.len());
        let all = endpoints.iter().chain(unclaimed);
        all.for_each(|endpoint| include(mirror, &mut draft, &self.identity.host, endpoint));
        let idle = mirror.blocks_of(&self.identity.host).filter(|block| mirror.is_lapsed(&block_key(block)));
        for block in idle.take(BLOCKS_AT_ONCE) {
            if !draft.keys().any(|key| key == block_key(block)) {
                draft.put(block.clone());
            }
        }
        for endpoint in own_never_told(mirror, &self.identity.host).filter(|one| departing.contains(&one.attachment)) {
            forget(&mut draft, mirror, endpoint);
        }
        let transaction = compose(mirror, draft, endpoints, &self.reassertion.former);
        (!transaction.puts.is_empty() || !transaction.deletes.is_empty()).then_some(transaction)
    }

    /// Endpoints of this host that the store was never told of, and whose names are others' in these news.
    pub(super) fn overtaken(&self, news: &[Versioned<Object>]) -> Vec<Endpoint> {
        let Some(mirror) = self.mirror.as_ref().filter(|mirror| mirror.lapsed().next().is_some()) else {
            return Vec::new();
        };
        let host = &self.identity.host;
        let of_others =
            news.iter().filter_map(|one| <&Endpoint>::try_from(&one.value).ok()).filter(|one| one.host != *host);
        let own = of_others.filter_map(|one| mirror.endpoint(&one.name)).filter(|one| one.host == *host);
        own.filter(|one| mirror.is_lapsed(&key_of(one))).cloned().collect()
    }

    /// They are still here, in the place of the others, until they are contested.
    pub(super) fn stand_beside(&mut self, overtaken: Vec<Endpoint>) {
        if let Some(mirror) = &mut self.mirror {
            overtaken.into_iter().for_each(|one| mirror.write_ahead(Object::Endpoint(one)));
        }
    }

    /// Hosts that have told all to the history the store tells now are believed.
    fn believe_who_has_told(&mut self) {
        let Some(history) = self.told_history() else { return };
        let Some(mirror) = self.mirror.as_ref() else { return };
        let spoken: Vec<HostName> =
            mirror.spoken(history).into_iter().filter(|host| *host != self.identity.host).collect();
        if !spoken.is_empty() {
            self.believe_of(spoken);
        }
    }

    /// Of the hosts that write themselves down in these news, those that are others. Where the store says which history it tells, that is no sign: their record says
    /// to which they have told all.
    pub(super) fn who_speaks(&self, puts: &[Versioned<Object>]) -> Vec<HostName> {
        if self.history_is_due() || self.mirror.as_ref().is_some_and(|mirror| mirror.lineage().is_some()) {
            return Vec::new();
        }
        let host = |object: &Versioned<Object>| {
            <&crate::object::Host>::try_from(&object.value).ok().map(|host| host.name.clone())
        };
        puts.iter().filter_map(host).filter(|name| *name != self.identity.host).collect()
    }

    /// Those hosts have told all they have to tell.
    pub(super) fn believe_of(&mut self, hosts: Vec<HostName>) {
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.lapsed().next().is_some()) else { return };
        hosts.iter().for_each(|host| mirror.believe_of(host));
        self.policing.touch();
    }

    /// A later life is to find what the store forgot.
    pub(super) fn keep_what_lapsed(&mut self) {
        let Some(mirror) = &mut self.mirror else { return };
        if self.store_error.is_some() {
            mirror.lose_sight();
        }
        if mirror.take_lapse_news() || std::mem::take(&mut self.reassertion.is_kept_old) {
            let contested = self.reassertion.contested.values().map(|one| Object::Endpoint(one.endpoint.clone()));
            let before = self.history.before().cloned().map(Object::Lineage);
            let objects = mirror.untold().cloned().chain(contested).chain(before).collect();
            self.actions.push_back(Action::Keep { objects, shared: self.reassertion.shared });
        }
    }
}

fn key_of(endpoint: &Endpoint) -> ObjectKey {
    ObjectKey::Endpoint(endpoint.name.clone())
}

fn block_key(block: &Block) -> ObjectKey {
    ObjectKey::Block(block.pool.clone(), block.cidr)
}

/// The endpoint of another host that has the name of one of ours in the store.
fn in_place_of_other<'m>(mirror: &'m Mirror, endpoint: &Endpoint) -> Option<(&'m Endpoint, i64)> {
    let in_place = mirror.in_place(&key_of(endpoint))?;
    let other = <&Endpoint>::try_from(&in_place.value).ok()?;
    (other.host != endpoint.host).then_some((other, in_place.version))
}

/// Who has the name or an address of an endpoint in the store, if that is somebody who came since. Whoever had left before the store forgot it is
/// only still to be cleared away, by his host.
fn rival(mirror: &Mirror, shared: i64, endpoint: &Endpoint) -> Option<Contested> {
    let is_new = |other: &Endpoint| mirror.version(&key_of(other)).is_some_and(|version| version > shared);
    let is_other = |other: &&Endpoint| {
        other.host != endpoint.host
            && !mirror.is_lapsed(&key_of(other))
            && (other.name == endpoint.name || is_new(other))
    };
    let shares =
        |other: &Endpoint| endpoint.addresses.iter().find(|address| other.addresses.contains(address)).copied();
    let hidden =
        || in_place_of_other(mirror, endpoint).filter(|(_, version)| *version > shared).map(|(other, _)| other);
    let same_name = mirror.endpoint(&endpoint.name).filter(is_other).or_else(hidden);
    let same_address = || mirror.endpoints().filter(is_other).find(|other| shares(other).is_some());
    let by_block = || endpoint.addresses.iter().find_map(|address| held_by_other(mirror, endpoint, *address));
    match same_name.or_else(same_address) {
        Some(other) => {
            let (address, rival, host) = (shares(other), other.name.to_string(), other.host.clone());
            Some(Contested { endpoint: endpoint.clone(), address, rival, host })
        }
        None => by_block(),
    }
}

/// Whether an address is taken in a block by somebody else, or lies in a block of another host whose pool gives only to that host.
fn held_by_other(mirror: &Mirror, endpoint: &Endpoint, address: IpAddr) -> Option<Contested> {
    let block = block_of(mirror.blocks(), address)?;
    let holder = block.taken.get(&ordinal_of(block.cidr, address));
    let contested = |rival: String| {
        let (endpoint, host) = (endpoint.clone(), block.host.clone());
        Some(Contested { endpoint, address: Some(address), rival, host })
    };
    let is_strict = || mirror.pool(&block.pool).is_some_and(|pool| pool.is_strict);
    match holder {
        Some(holder) if *holder != endpoint.attachment => contested(holder.to_string()),
        None if block.host != endpoint.host && is_strict() => contested(format!("block {}", block.cidr)),
        Some(_) | None => None,
    }
}

fn block_of<'b>(mut blocks: impl Iterator<Item = &'b Block>, address: IpAddr) -> Option<&'b Block> {
    blocks.find(|block| block.cidr.contains(&address))
}

/// Puts the blocks that an endpoint's addresses are of into the draft, as far as they are to be written. What another host has still to tell of them, it tells.
fn include(mirror: &Mirror, draft: &mut Draft, host: &HostName, endpoint: &Endpoint) {
    for address in &endpoint.addresses {
        let Some(claim) = Claim::of(mirror, host, *address) else { continue };
        let is_drafted = draft.keys().any(|key| key == block_key(&claim.block));
        let drafted = draft.get(mirror, &claim.block.pool, claim.block.cidr).filter(|_| is_drafted).cloned();
        let claim = drafted.map_or(claim.clone(), |block| Claim { block, ..claim });
        match (claim.is_free(*address), claim.is_lapsed_here) {
            (true, _) => draft.take(claim.block, *address, &endpoint.attachment),
            (false, true) => draft.put(claim.block),
            (false, false) => {}
        }
    }
}

/// The block that an address is told in.
#[derive(Clone)]
struct Claim {
    /// As the store has it; as it was known, where it is this host's to tell; with nothing taken, where the store has none.
    block: Block,
    /// Whether it is this host's to tell.
    is_lapsed_here: bool,
}

impl Claim {
    /// Absent: the address is of no pool any more, its block cannot be read, or one of another size is in the way of it.
    fn of(mirror: &Mirror, host: &HostName, address: IpAddr) -> Option<Self> {
        let known = block_of(mirror.blocks(), address);
        let Some(known) = known else {
            let pool = mirror.pools().find(|pool| pool.cidr.contains(&address))?;
            let cidr = prefix::block_of(pool.cidr, pool.block_bits, address);
            let cidr = resize::unclaimed(pool, cidr, mirror.blocks())?;
            let block = Block::empty(pool.name.clone(), cidr, host.clone());
            return (!mirror.is_unreadable(&block_key(&block))).then_some(Self { block, is_lapsed_here: false });
        };
        let key = block_key(known);
        if mirror.is_unreadable(&key) {
            return None;
        }
        let is_lapsed_here = known.host == *host && mirror.is_lapsed(&key);
        let stored = || mirror.stored(&key).and_then(|object| <&Block>::try_from(object).ok()).cloned();
        let empty = || Block::empty(known.pool.clone(), known.cidr, known.host.clone());
        let block = if is_lapsed_here { known.clone() } else { stored().unwrap_or_else(empty) };
        Some(Self { block, is_lapsed_here })
    }

    /// Whether nobody has the address.
    fn is_free(&self, address: IpAddr) -> bool {
        !self.block.taken.contains_key(&ordinal_of(self.block.cidr, address))
    }
}

/// Endpoints of a host of which the store has nothing.
fn own_never_told<'m>(mirror: &'m Mirror, host: &'m HostName) -> impl Iterator<Item = &'m Endpoint> {
    let is_never_told = |one: &&Endpoint| mirror.is_lapsed(&key_of(one)) && mirror.in_place(&key_of(one)).is_none();
    mirror.endpoints_on(host).filter(is_never_told)
}

/// Who has left before the store was ever told of him has no address in what it is told.
fn forget(draft: &mut Draft, mirror: &Mirror, endpoint: &Endpoint) {
    let is_its = |block: &Block| block.taken.values().any(|holder| *holder == endpoint.attachment);
    let told: Vec<ObjectKey> = draft.keys().collect();
    let blocks = mirror.blocks().filter(|block| told.contains(&block_key(block)));
    if blocks.into_iter().any(is_its) {
        for address in &endpoint.addresses {
            draft.release(mirror, *address, &endpoint.attachment, None);
        }
    }
}

fn compose(mirror: &Mirror, draft: Draft, endpoints: Vec<Endpoint>, former: &BTreeMap<ObjectKey, i64>) -> Transaction {
    let compare = |key: ObjectKey| match mirror.version(&key) {
        None => Compare::Absent(key),
        Some(version) => Compare::Unchanged(key, version),
    };
    let mut compares: Vec<Compare> = draft.keys().chain(endpoints.iter().map(key_of)).map(compare).collect();
    let former = || former.iter().take(FORMER_AT_ONCE);
    compares.extend(former().map(|(key, version)| Compare::Unchanged(key.clone(), *version)));
    let puts = draft.into_blocks().map(Object::Block).chain(endpoints.into_iter().map(Object::Endpoint)).collect();
    Transaction { compares, puts, deletes: former().map(|(key, _)| key.clone()).collect() }
}
