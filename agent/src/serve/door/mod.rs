//! Who comes in by gRPC, and how far: a unix socket for this host, TLS over TCP for others where the operator wants it.
//!
//! In: connections. Out: calls that their caller may make, each with what it may do; all others are refused here, with words. The kernel says who
//! is at the other end of a socket, an authority vouches for who shows a certificate; what either may do the operator has written down.
//!
//! ```text
//! local  ─ user and groups ┐
//!                          ├─ guest: a connection, and who it is ─ guard: may this caller call this?
//! remote ─ certificate     ┘
//! ```

mod right;

mod advice;
mod allowed;
mod who;

mod files;
mod guest;
mod identity;
mod lobby;
mod local;
mod names;
mod remote;
mod seats;

mod bounded;
mod guard;
mod quiet;
mod whole;

pub use advice::advise;
pub use allowed::Allowed;
pub use files::ServerFiles;
pub(super) use guard::{Guard, may_change, may_do_everything};
pub use guest::Guest;
pub use local::{ListenError, listen, receive};
pub use remote::{Remote, admit};
pub use right::Right;
pub use who::{Who, WhoError};
pub(super) use whole::Turn;
pub use whole::Wholes;
