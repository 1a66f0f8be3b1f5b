//! The file of what this host owes its store: small, beside the memory, and readable where that is damaged or its disk is full.
//!
//! In: all that is owed. Out: the same, in a later life. It is written beside itself, brought to the disk, and put in its place, so at any time
//! the old one or the new one stands.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use poplin_node::debt::Debt;
use poplin_node::name::{AttachmentId, EndpointName};
use serde::{Deserialize, Serialize};

/// The layout below.
const FORMAT: u32 = 1;

/// What an earlier life owed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// All of it.
    pub debts: BTreeSet<Debt>,
    /// Which cluster it is owed to, if that said.
    pub cluster: Option<u64>,
    /// Whether something is owed to another store, or nobody can read what. It is not among the debts.
    pub is_void: bool,
}

/// Where debts are kept.
#[derive(Clone, Debug)]
pub struct DebtFile {
    path: PathBuf,
    endpoints: Vec<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    format: u32,
    cluster: Option<u64>,
    endpoints: Vec<String>,
    debts: Vec<One>,
}

#[derive(Debug, Serialize, Deserialize)]
struct One {
    container: String,
    interface: String,
    endpoint: String,
    version: i64,
}

impl DebtFile {
    /// Beside the memory of that path.
    pub fn beside(memory: &Path, endpoints: &[String]) -> Self {
        Self { path: memory.with_extension("owed"), endpoints: endpoints.to_vec() }
    }

    /// Where that is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was ever written.
    pub(super) fn stands(&self) -> bool {
        self.path.exists()
    }

    /// What an earlier life owed; what it cannot read, or owes to another store, is told of and void.
    pub fn read(&self) -> Owed {
        let void = Owed { is_void: true, ..Owed::default() };
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Owed::default(),
            Err(error) => {
                tracing::error!("who left cannot be read from {}: {error}; see poplin ipam check", self.path.display());
                return void;
            }
        };
        match serde_json::from_slice::<Written>(&text) {
            Ok(Written { format: FORMAT, cluster, endpoints, debts }) if self.is_ours(&endpoints) => {
                Owed { debts: debts.into_iter().map(Debt::from).collect(), cluster, is_void: false }
            }
            Ok(Written { format: FORMAT, .. }) => {
                tracing::error!("{} tells of another store, and is not used", self.path.display());
                void
            }
            Ok(_) => {
                tracing::error!("{} is of another version of poplind, and is begun anew", self.path.display());
                void
            }
            Err(error) => {
                tracing::error!("{} is damaged: {error}; see poplin ipam check for who left", self.path.display());
                void
            }
        }
    }

    fn is_ours(&self, endpoints: &[String]) -> bool {
        endpoints.iter().any(|endpoint| self.endpoints.contains(endpoint))
    }

    /// Writes all that is owed. It is on the disk when this returns.
    pub fn write(&self, debts: &BTreeSet<Debt>, cluster: Option<u64>) -> io::Result<()> {
        let debts = debts.iter().map(One::from).collect();
        let written = Written { format: FORMAT, cluster, endpoints: self.endpoints.clone(), debts };
        let draft = self.path.with_extension("owed.new");
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(&written)?)?;
        file.sync_all()?;
        fs::rename(&draft, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

impl From<&Debt> for One {
    fn from(debt: &Debt) -> Self {
        let AttachmentId { container, interface } = debt.attachment.clone();
        Self { container, interface, endpoint: debt.endpoint.to_string(), version: debt.version }
    }
}

impl From<One> for Debt {
    fn from(one: One) -> Self {
        let One { container, interface, endpoint, version } = one;
        Self { attachment: AttachmentId { container, interface }, endpoint: EndpointName::new(endpoint), version }
    }
}
