//! Who is let in to an agent, by the socket and by TLS, and what each of them may do there.

mod users;

mod authority;
mod certificates;

mod bounds;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;

use poplin_lab::{Agent, Lab, programs, told};

/// Users and groups of no database.
const READER: (u32, u32) = (61_001, 61_100);
const OPERATOR: (u32, u32) = (61_002, 61_002);
const STRANGER: (u32, u32) = (61_003, 61_003);

const POLICY: &str =
    "{apiVersion: poplin.dev/v1, kind: Policy, metadata: {name: db}, spec: {subject: app == 'db', ingress: []}}";

/// A lab whose files every user may read, with a `poplin` that every user may run.
fn open_lab() -> Lab {
    let lab = Lab::new();
    std::fs::set_permissions(lab.directory(), Permissions::from_mode(0o755)).expect("it is ours");
    std::fs::copy(programs().join("poplin"), lab.directory().join("poplin")).expect("it was built");
    lab
}

/// A host with an agent.
struct Host {
    agent: Agent,
    directory: PathBuf,
    _lab: Lab,
}

impl Host {
    fn start(arguments: &[&str]) -> Self {
        Self::started(open_lab(), arguments)
    }

    fn started(lab: Lab, arguments: &[&str]) -> Self {
        let directory = lab.directory().to_owned();
        let mut agent = Agent::new(&lab, lab.namespace("h1"), "h1").with(arguments);
        agent.start();
        Self { agent, directory, _lab: lab }
    }

    /// Runs `poplin` as a user of one group.
    fn by(&self, (user, group): (u32, u32), arguments: &[&str]) -> Output {
        let mut command = self.agent.namespace().command("setpriv");
        command.args(["--reuid", &user.to_string(), "--regid", &group.to_string(), "--clear-groups"]);
        command.arg(self.directory.join("poplin")).arg("--socket").arg(self.agent.socket()).args(arguments);
        command.output().expect("setpriv is there")
    }

    /// A file that everybody may read.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.join(name);
        std::fs::write(&path, text).expect("the directory is there");
        path.display().to_string()
    }
}

#[track_caller]
fn assert_done(output: &Output) {
    assert!(output.status.success(), "{}", told(output));
}

#[track_caller]
fn assert_refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(6), "{}", told(output));
    assert!(told(output).contains(words), "{}", told(output));
}
