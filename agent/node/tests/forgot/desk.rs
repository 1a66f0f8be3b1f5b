//! One host with its kernel, and a store that is told to forget.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use poplin_node::kernel::{KernelState, Step};
use poplin_node::name::EndpointName;
use poplin_node::object::{Block, Endpoint, Object, ObjectKey, Versioned};
use poplin_node::request::{Answer, Attach, Attached, Detach, Renew, RequestId};
use poplin_node::transaction::{Compare, Transaction, TransactionId, TransactionOutcome};
use poplin_node::{Action, Event, Node, Note};
use poplin_policy::label::Labels;

use crate::world::{self, id, node, wish};

/// One host, and a store that judges.
pub(crate) struct Desk {
    pub(crate) node: Node,
    pub(crate) now: Instant,
    pub(crate) kernel: KernelState,
    pub(crate) stored: Vec<Versioned<Object>>,
    pub(crate) revision: i64,
    transaction: Option<(TransactionId, Transaction)>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) kept: Vec<Object>,
    pub(crate) done: Vec<Step>,
    pub(crate) warnings: Vec<String>,
    /// Somebody else's write comes between: so many transactions are refused.
    pub(crate) refusals: usize,
    news: VecDeque<Event>,
    /// The watch breaks off before it tells of anything more.
    pub(crate) is_watch_late: bool,
}

impl Desk {
    pub(crate) fn at_rest() -> Self {
        let mut desk = Self {
            node: node(),
            now: Instant::now(),
            kernel: KernelState::default(),
            stored: vec![Versioned { value: pool(), version: 1 }],
            revision: 1,
            transaction: None,
            answers: vec![],
            kept: vec![],
            done: vec![],
            warnings: vec![],
            refusals: 0,
            news: VecDeque::new(),
            is_watch_late: false,
        };
        desk.tell(Event::KernelRead(desk.kernel.clone()));
        desk.read();
        desk
    }

    pub(crate) fn tell(&mut self, event: Event) {
        self.node.handle(self.now, event);
        let (mut steps, mut is_to_be_read) = (Vec::new(), false);
        while let Some(action) = self.node.next_action() {
            match action {
                Action::Apply(batch) => steps.extend(batch),
                Action::Transact(id, transaction) => assert_eq!(self.transaction.replace((id, transaction)), None),
                Action::Answer(_, answer) => self.answers.push(answer),
                Action::Keep { objects, .. } => self.kept = objects,
                Action::Note(Note::Warning(text)) => self.warnings.push(text),
                Action::ReadStore => is_to_be_read = true,
                _ => {}
            }
        }
        if !steps.is_empty() {
            for step in &steps {
                poplin_node::plan::advance(&mut self.kernel, step);
            }
            self.done.extend(steps);
            self.tell(Event::StepsDone(Ok(())));
        }
        if let Some((id, transaction)) = self.transaction.take() {
            let mut deletes = transaction.deletes.clone();
            let outcome = self.judge(transaction);
            if let TransactionOutcome::Refused { .. } = outcome {
                deletes.clear();
            }
            let revision = self.revision;
            let puts = self.stored.iter().filter(|one| one.version == revision).cloned().collect();
            self.news.push_back(Event::StoreChanged { revision, puts, unreadable: vec![], deletes });
            self.tell(Event::TransactionDone { id, outcome });
        }
        while let Some(news) = self.news.pop_front().filter(|_| !self.is_watch_late) {
            self.tell(news);
        }
        if is_to_be_read {
            self.read();
        }
    }

    fn judge(&mut self, transaction: Transaction) -> TransactionOutcome {
        let version = |key: &ObjectKey| self.stored.iter().find(|one| one.value.key() == *key).map(|one| one.version);
        let holds = |compare: &Compare| match compare {
            Compare::Absent(key) => version(key).is_none(),
            Compare::Unchanged(key, wanted) => version(key) == Some(*wanted),
        };
        assert!(transaction.compares.iter().all(holds), "{transaction:?} is refused");
        self.revision += 1;
        if self.refusals > 0 {
            self.refusals -= 1;
            let is_compared =
                |one: &&Versioned<Object>| transaction.compares.iter().any(|compare| *compare.key() == one.value.key());
            let current = self.stored.iter().filter(is_compared).cloned().collect();
            return TransactionOutcome::Refused { revision: self.revision, current, unreadable: vec![] };
        }
        self.stored.retain(|one| !transaction.deletes.contains(&one.value.key()));
        transaction.puts.into_iter().for_each(|put| self.put(put));
        TransactionOutcome::Committed { revision: self.revision }
    }

    /// Somebody else writes, unheard.
    pub(crate) fn put(&mut self, value: Object) {
        self.stored.retain(|one| one.value.key() != value.key());
        self.stored.push(Versioned { value, version: self.revision });
    }

    pub(crate) fn read(&mut self) {
        let (revision, objects) = (self.revision, self.stored.clone());
        self.tell(Event::StoreRead { revision, objects, unreadable: vec![] });
    }

    pub(crate) fn backup(&self) -> (i64, Vec<Versioned<Object>>) {
        (self.revision, self.stored.clone())
    }

    pub(crate) fn restore(&mut self, (revision, stored): (i64, Vec<Versioned<Object>>)) {
        (self.revision, self.stored) = (revision, stored);
    }

    pub(crate) fn attach(&mut self, container: &str) -> Attached {
        self.tell(Event::AttachRequested(RequestId(1), attach(container)));
        match self.answers.pop() {
            Some(Answer::Attached(attached)) => attached,
            other => panic!("it was answered with {other:?}"),
        }
    }

    pub(crate) fn detach(&mut self, container: &str) {
        self.tell(Event::DetachRequested(RequestId(2), Detach::Attachment(id(container))));
        assert!(matches!(self.answers.pop(), Some(Answer::Detached(_))));
    }

    pub(crate) fn rename(&mut self, container: &str, name: &str) {
        let renew = Renew {
            attachment: id(container),
            names: vec![EndpointName::new(name)],
            labels: Labels::default(),
            published: None,
            aliases: BTreeSet::new(),
            container: None,
            netns: None,
        };
        self.tell(Event::RenewRequested(RequestId(3), renew));
        assert!(matches!(self.answers.pop(), Some(Answer::Attached(_))));
    }

    pub(crate) fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.stored.iter().find_map(|one| match &one.value {
            Object::Endpoint(endpoint) if endpoint.name.as_str() == name => Some(endpoint),
            _ => None,
        })
    }

    pub(crate) fn blocks(&self) -> Vec<&Block> {
        self.stored.iter().filter_map(|one| <&Block>::try_from(&one.value).ok()).collect()
    }

    pub(crate) fn takers(&self) -> BTreeSet<String> {
        self.blocks().iter().flat_map(|block| block.taken.values()).map(|holder| holder.container.clone()).collect()
    }

    pub(crate) fn was_harmed(&self) -> bool {
        self.done.iter().any(|step| matches!(step, Step::DeleteLink(_) | Step::RemoveRoute(_)))
    }
}

pub(crate) fn pool() -> Object {
    world::pool("p", "10.9.0.0/16", 26)
}

pub(crate) fn attach(container: &str) -> Attach {
    wish(container, Some(container))
}
