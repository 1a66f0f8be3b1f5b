//! An etcd that wants to know who comes: by certificate, or by name and password.

use std::path::{Path, PathBuf};

use etcd_client::Client;
use poplin_agent::store::{Credentials, IdentityFiles, Location, StoreError, User, open};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::server::Server;
use crate::words::{Directory, Subject, put};

/// Who vouches for a server and its guests.
type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes the authority's own certificate.
fn write_authority(directory: &Path, authority: &Authority) -> PathBuf {
    let path = directory.join("ca.pem");
    std::fs::write(&path, authority.pem()).unwrap();
    path
}

/// Has the authority vouch for a holder of this name, and writes certificate and key.
fn write_identity(directory: &Path, name: &str, authority: &Authority) -> IdentityFiles {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), name.to_owned()]).unwrap();
    let files = IdentityFiles {
        certificate: directory.join(format!("{name}.pem")),
        key: directory.join(format!("{name}.key")),
    };
    std::fs::write(&files.certificate, params.signed_by(&key, authority).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

/// A server that shows a certificate and wants to see one, with what its guests need.
struct Secured {
    server: Server,
    directory: Directory,
    authority: Authority,
    credentials: Credentials,
}

impl Secured {
    async fn start() -> Self {
        let directory = Directory::new();
        let authority = authority();
        let ca = write_authority(directory.path(), &authority);
        let shown = write_identity(directory.path(), "server", &authority);
        let identity = write_identity(directory.path(), "guest", &authority);
        let credentials = Credentials { ca: Some(ca.clone()), identity: Some(identity), user: None };
        let server = Server::start_secured(&ca, &shown, &credentials).await;
        Self { server, directory, authority, credentials }
    }

    async fn store(&self, credentials: &Credentials) -> Subject {
        let endpoints = vec![self.server.endpoint().to_owned()];
        open(&Location::Etcd { endpoints, credentials: credentials.clone() }).await.unwrap()
    }
}

#[tokio::test]
async fn who_shows_a_certificate_is_let_in_and_who_has_none_is_not() {
    let secured = Secured::start().await;
    let nameless = Credentials { identity: None, ..secured.credentials.clone() };

    put(&secured.store(&secured.credentials).await, "/a", "1").await;
    let refused = secured.store(&nameless).await.snapshot("/").await.unwrap_err();

    assert!(matches!(refused, StoreError::Unreachable { .. }), "{}", refused.story());
}

#[tokio::test]
async fn a_server_nobody_vouches_for_is_not_believed() {
    let secured = Secured::start().await;
    let elsewhere = Directory::new();
    let ca = write_authority(elsewhere.path(), &authority());
    let credentials = Credentials { ca: Some(ca), ..secured.credentials.clone() };

    let refused = secured.store(&credentials).await.snapshot("/").await.unwrap_err();

    assert!(refused.story().contains("invalid peer certificate"), "{}", refused.story());
}

#[tokio::test]
async fn a_certificate_renewed_in_place_is_taken_up_without_a_restart() {
    let secured = Secured::start().await;
    let name = "renewed";
    let identity = write_identity(secured.directory.path(), name, &authority());
    let store = secured.store(&Credentials { identity: Some(identity), ..secured.credentials.clone() }).await;
    store.snapshot("/").await.expect_err("the server does not know who vouches for it");

    write_identity(secured.directory.path(), name, &secured.authority);
    let _last_failure = store.snapshot("/").await;

    put(&store, "/a", "1").await;
}

/// A server with a user database: `root`, and `host` who may do anything below /poplin/.
async fn with_users(server: &Server) {
    let mut client = Client::connect([server.endpoint()], None).await.unwrap();
    client.user_add("root", "secret", None).await.unwrap();
    client.role_add("root").await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("host", "word", None).await.unwrap();
    client.role_add("hosts").await.unwrap();
    let below = etcd_client::Permission::read_write("/poplin/").with_prefix();
    client.role_grant_permission("hosts", below).await.unwrap();
    client.user_grant_role("host", "hosts").await.unwrap();
    client.auth_enable().await.unwrap();
}

/// A store asked as `host` with the password a file holds.
async fn as_host(server: &Server, directory: &Directory, password: &str) -> Subject {
    let path = directory.path().join("password");
    std::fs::write(&path, format!("{password}\n")).unwrap();
    let user = Some(User { name: "host".to_owned(), password: path });
    let credentials = Credentials { user, ..Credentials::default() };
    open(&Location::Etcd { endpoints: vec![server.endpoint().to_owned()], credentials }).await.unwrap()
}

#[tokio::test]
async fn a_user_with_a_password_may_do_what_his_role_says() {
    let (server, directory) = (Server::start().await, Directory::new());
    with_users(&server).await;
    let store = as_host(&server, &directory, "word").await;

    put(&store, "/poplin/a", "1").await;
    let elsewhere = store.snapshot("/other/").await.unwrap_err();
    let nobody = server.store().await.snapshot("/poplin/").await.unwrap_err();

    assert!(matches!(elsewhere, StoreError::Denied { .. }), "{}", elsewhere.story());
    assert!(matches!(nobody, StoreError::Denied { .. }), "{}", nobody.story());
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_right_one_taken_up_without_a_restart() {
    let (server, directory) = (Server::start().await, Directory::new());
    with_users(&server).await;
    let store = as_host(&server, &directory, "wrong").await;
    let refused = store.snapshot("/poplin/").await.unwrap_err();
    assert!(matches!(refused, StoreError::Denied { .. }), "{}", refused.story());

    std::fs::write(directory.path().join("password"), "word").unwrap();

    put(&store, "/poplin/a", "1").await;
}

/// The tokens etcd gives for a password are in its memory only.
#[tokio::test]
async fn a_server_that_forgot_our_token_gives_another() {
    let (mut server, directory) = (Server::start().await, Directory::new());
    with_users(&server).await;
    let store = as_host(&server, &directory, "word").await;
    put(&store, "/poplin/a", "1").await;

    server.kill();
    server.run_for(&store, "/poplin/").await;

    put(&store, "/poplin/a", "2").await;
}

#[tokio::test]
async fn an_agent_with_a_password_starts_while_etcd_is_away() {
    let (mut server, directory) = (Server::start().await, Directory::new());
    with_users(&server).await;
    server.kill();

    let store = as_host(&server, &directory, "word").await;
    let away = store.snapshot("/poplin/").await.unwrap_err();
    server.run_for(&store, "/poplin/").await;

    assert!(matches!(away, StoreError::Unreachable { .. }), "{}", away.story());
    put(&store, "/poplin/a", "1").await;
}

#[tokio::test]
async fn credentials_that_cannot_be_are_refused_at_open_by_name() {
    let directory = Directory::new();
    let absent = directory.path().join("absent.pem");
    let garbled = directory.path().join("garbled.pem");
    std::fs::write(&garbled, "-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n").unwrap();
    let identity = |path: &PathBuf| Some(IdentityFiles { certificate: path.clone(), key: path.clone() });
    for (endpoint, credentials, word) in [
        ("https://127.0.0.1:1", Credentials { ca: Some(absent.clone()), ..Credentials::default() }, "absent.pem"),
        ("127.0.0.1:1", Credentials { identity: identity(&garbled), ..Credentials::default() }, "endpoint"),
        ("http://127.0.0.1:1", Credentials { ca: Some(garbled), ..Credentials::default() }, "write https"),
    ] {
        let refused = open(&Location::Etcd { endpoints: vec![endpoint.to_owned()], credentials }).await.err();
        let story = refused.expect("it is refused").story();
        assert!(story.contains(word), "{story}");
    }
}
