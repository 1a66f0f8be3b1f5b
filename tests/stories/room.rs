//! The smallest room there is: a host with two containers, `web` and `db`, each labelled as it is called.

use poplin_lab::{Agent, Container, Lab};

pub(crate) fn room(lab: &Lab) -> (Agent, Container, Container) {
    let host = lab.host();
    let (mut web, mut db) = (lab.container("web"), lab.container("db"));
    host.attach(&mut web, &["app=web"]);
    host.attach(&mut db, &["app=db"]);
    (host, web, db)
}
