//! The store as the nodes of a world reach it: transactions that take time, may be lost, or be written and never answered; news in order, late.

use super::*;

impl World {
    pub(super) fn begin_transaction(
        &mut self,
        host: HostId,
        id: TransactionId,
        transaction: poplin_node::transaction::Transaction,
    ) {
        let life = self.hosts[host].life;
        let is_told = !self.is_unlucky(self.unkind.untold_one_in);
        let fate = match (self.hosts[host].is_store_near && is_told, self.chance.one_in(2)) {
            (true, _) => Fate::Told,
            (false, true) => Fate::DoneUntold,
            (false, false) => Fate::NotDone,
        };
        assert!(self.hosts[host].under_way.replace(transaction.clone()).is_none(), "one transaction at a time");
        let delay = self.slow();
        self.queue_up(host, life, self.now + delay, Happening::Judge(id, transaction, fate));
    }

    pub(super) fn judge(
        &mut self,
        host: HostId,
        id: TransactionId,
        transaction: &poplin_node::transaction::Transaction,
        fate: Fate,
    ) {
        self.hosts[host].under_way = None;
        let unknown = || TransactionOutcome::Unknown { reason: "made so".to_owned() };
        let given = if self.is_noticed() { laws::given(self, host, transaction) } else { Vec::new() };
        let before = self.store.revision();
        let outcome = match fate {
            Fate::Told => self.commit(&plain(transaction)),
            Fate::DoneUntold => {
                self.commit(&plain(transaction));
                unknown()
            }
            Fate::NotDone => unknown(),
        };
        if self.store.revision() != before {
            laws::given_once(self, host, &given);
        }
        let delay = match fate {
            Fate::Told => self.slow(),
            Fate::DoneUntold | Fate::NotDone => self.chance.between_ms(1, 4000),
        };
        let life = self.hosts[host].life;
        self.queue_up(host, life, self.now + delay, Happening::Arrives(Event::TransactionDone { id, outcome }));
    }

    pub(super) fn commit(&mut self, transaction: &Transaction) -> TransactionOutcome {
        let before = self.store.revision();
        let outcome = typed(self.store.transact(transaction).expect("the head asks for no more than a store takes"));
        if self.store.revision() != before {
            if !self.is_forgetful {
                laws::store(self);
            }
            for host in 0..self.hosts.len() {
                if self.hosts[host].is_store_near {
                    let (feed, life) = (self.hosts[host].feed, self.hosts[host].life);
                    let at = self.in_order(host, Source::Store);
                    self.queue_up(host, life, at, Happening::News(feed));
                }
            }
        }
        outcome
    }

    pub(super) fn news(&mut self, host: HostId, feed: u64) {
        let one = &mut self.hosts[host];
        if one.feed != feed {
            return;
        }
        let mut batches = self.store.batches(ROOT, one.heard).expect("the simulation is shorter than the history");
        let Some(batch) = batches.next() else { return };
        one.heard = batch.revision;
        drop(batches);
        let event = one.hearing.event(&Followed::Changes(batch));
        self.handle(host, event);
    }

    pub(super) fn snapshot(&mut self, host: HostId) {
        let snapshot = self.store.snapshot(ROOT);
        let one = &mut self.hosts[host];
        one.heard = snapshot.revision;
        one.is_store_near = true;
        one.feed += 1;
        let event = one.hearing.event(&Followed::Snapshot(snapshot));
        self.send(host, Source::Store, event);
    }
}
