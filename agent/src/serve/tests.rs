//! What may be declared and deleted, tried against a real embedded store.

mod bearing;
mod forgot;
mod large;
mod networks;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::FutureExt as _;
use poplin_proto::Failure;
use poplin_proto::v1::apply_response::result::Outcome;
use poplin_proto::v1::{
    ApplyRequest, ApplyResponse, DeleteAllRequest, DeleteRequest, ListRequest, Manifest, ObjectName,
};
use tonic::Code;

use super::{apply, delete, list};
use crate::store::{Location, Operation, Store, Transaction, open};

/// A store of its own, gone with the test.
struct Shelf {
    store: Arc<dyn Store>,
    directory: PathBuf,
}

static SHELVES: AtomicU32 = AtomicU32::new(0);

impl Shelf {
    async fn new() -> Self {
        let name = format!("poplin-serve-{}-{}", std::process::id(), SHELVES.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        let store = open(&Location::Embedded(directory.join("store.redb"))).await.unwrap();
        Self { store, directory }
    }

    async fn apply(&self, yaml: &str) -> Result<ApplyResponse, Vec<Failure>> {
        self.request(ApplyRequest { manifests: vec![manifest(yaml)], ..ApplyRequest::default() }).await
    }

    async fn request(&self, request: ApplyRequest) -> Result<ApplyResponse, Vec<Failure>> {
        apply::apply(&*self.store, "h1", &request).await.map_err(|status| Failure::all_from_status(&status))
    }

    async fn refused(&self, yaml: &str) -> Failure {
        self.apply(yaml).await.unwrap_err().swap_remove(0)
    }

    async fn delete(&self, kind: &str, name: &str) -> Result<(), Failure> {
        let request = DeleteRequest { kind: kind.to_owned(), name: name.to_owned(), ..DeleteRequest::default() };
        delete::delete(&*self.store, &request).await.map(|_| ())
    }

    /// Whether each was there.
    async fn delete_all(&self, objects: &[(&str, &str)], allow_missing: bool) -> Result<Vec<bool>, Vec<Failure>> {
        let name = |(kind, name): &(&str, &str)| ObjectName { kind: (*kind).to_owned(), name: (*name).to_owned() };
        let objects = objects.iter().map(name).collect();
        let request = DeleteAllRequest { objects, allow_missing, dry_run: false };
        let answer = delete::delete_all(&*self.store, request).await;
        answer.map(|answer| answer.were_there).map_err(|status| Failure::all_from_status(&status))
    }

    async fn names(&self, kind: &str) -> Vec<String> {
        let request = ListRequest { kind: kind.to_owned(), ..ListRequest::default() };
        let listed = list::list(&*self.store, &request).await.unwrap();
        listed.resources.iter().map(|resource| resource.name().to_owned()).collect()
    }

    /// A block as a host's agent would have claimed it.
    async fn claim(&self, key: &str, value: &str) {
        let put = Operation::Put { key: key.to_owned(), value: value.into(), lease: None };
        self.store.transact(Transaction { compares: Vec::new(), operations: vec![put] }).await.unwrap();
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn manifest(yaml: &str) -> Manifest {
    Manifest { name: "shop.yaml".to_owned(), text: yaml.to_owned() }
}

fn pool(name: &str, cidr: &str) -> String {
    format!("apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {{name: {name}}}\nspec:\n  cidr: {cidr}\n")
}

fn policy(name: &str, spec: &str) -> String {
    format!("apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n{spec}\n")
}

#[tokio::test]
async fn a_file_with_one_bad_document_changes_nothing() {
    let shelf = Shelf::new().await;

    let failure = shelf.refused(&format!("{}---\n{}", pool("good", "10.1.0.0/16"), pool("bad", "10.2.0.0/33"))).await;

    assert_eq!(failure.origin.as_deref(), Some("shop.yaml:11:9"));
    assert_eq!(
        failure.message,
        "Pool bad: spec.cidr: \"10.2.0.0/33\" is not a prefix such as 10.4.0.0/16 or fd00:4::/48"
    );
    assert!(shelf.names("Pool").await.is_empty());
}

#[tokio::test]
async fn pages_of_what_lives_in_namespaces_have_an_end() {
    let shelf = Shelf::new().await;
    for name in ["{name: a, namespace: shop}", "{name: b, namespace: bank}", "{name: c}"] {
        let text = format!("apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name}\nspec: {{egress: []}}\n");
        shelf.apply(&text).await.unwrap();
    }

    let mut request = ListRequest { kind: "Policy".to_owned(), page_size: 1, ..ListRequest::default() };
    let mut names = Vec::new();
    for _ in 0..4 {
        let page = list::list(&*shelf.store, &request).await.unwrap();
        names.extend(page.resources.iter().map(poplin_proto::v1::Resource::qualified_name));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }

    assert_eq!(names, ["bank/b", "c", "shop/a"]);
}

#[tokio::test]
async fn each_page_tells_what_in_it_cannot_be_read_and_no_other_does() {
    let shelf = Shelf::new().await;
    for name in ["a", "c", "e"] {
        shelf.apply(&policy(name, "  egress: []")).await.unwrap();
    }
    for damaged in ["b", "d", "f"] {
        shelf.claim(&format!("/poplin/v1/c/policy/{damaged}"), "no document").await;
    }

    let mut request = ListRequest { kind: "Policy".to_owned(), page_size: 1, ..ListRequest::default() };
    let mut told = Vec::new();
    for _ in 0..3 {
        let page = list::list(&*shelf.store, &request).await.unwrap();
        let unreadable = page.unreadable.iter().map(|key| key.rsplit('/').next().unwrap().to_owned());
        told.push((page.resources[0].name().to_owned(), unreadable.collect::<String>()));
        request.page_token = page.next_page_token;
    }

    let pages = [("a", ""), ("c", "b"), ("e", "df")].map(|(name, damaged)| (name.to_owned(), damaged.to_owned()));
    assert_eq!((told, request.page_token), (pages.to_vec(), String::new()));
}

#[tokio::test]
async fn pools_that_overlap_are_refused_also_within_one_file() {
    let shelf = Shelf::new().await;
    shelf.apply(&pool("one", "10.1.0.0/16")).await.unwrap();

    let standing = shelf.refused(&pool("two", "10.1.128.0/17")).await;
    let both = shelf.refused(&format!("{}---\n{}", pool("a", "10.2.0.0/16"), pool("b", "10.2.3.0/24"))).await;

    assert_eq!(standing.message, "Pool two: spec.cidr: 10.1.128.0/17 overlaps pool one (10.1.0.0/16)");
    assert_eq!(both.reason, "POOL_OVERLAP");
}

#[tokio::test]
async fn a_pool_too_small_for_one_block_is_told_the_sizes() {
    let failure = Shelf::new().await.refused(&pool("tiny", "10.4.0.0/30")).await;

    assert_eq!(
        failure.message,
        "Pool tiny: spec.cidr: 10.4.0.0/30 is too small for its block size /26: it has 4 addresses, one block needs 64"
    );
    assert_eq!(failure.advice.as_deref(), Some("take a cidr of /26 or larger, or blockSize: 32"));
}

#[tokio::test]
async fn what_a_pool_reserves_is_inside_of_it_and_its_bounds_make_sense() {
    let shelf = Shelf::new().await;
    let with = |more: &str| {
        format!("{{apiVersion: poplin.dev/v1, kind: Pool, metadata: {{name: p}}, spec: {{cidr: 10.1.0.0/24, {more}}}}}")
    };
    let wrong = [
        ("reserved: [10.1.0.9, 10.1.1.0-10.1.1.9]", "spec.reserved[1]: 10.1.1.0-10.1.1.9 is not inside 10.1.0.0/24"),
        ("reserved: [10.1.0.9-10.1.0.2]", "spec.reserved[0]: \"10.1.0.9-10.1.0.2\": it ends before it begins"),
        ("reserved: [10.1.0.9/28]", "spec.reserved[0]: \"10.1.0.9/28\": it has host bits: the prefix is 10.1.0.0/28"),
        (
            "reserved: [some]",
            "spec.reserved[0]: \"some\": it is neither a prefix nor two addresses with a dash between them",
        ),
        ("maxBlocksPerHost: 0", "spec.maxBlocksPerHost: 0 is below 1"),
        ("namespaces: team =", "spec.namespaces: column 6: "),
        ("networks: team =", "spec.networks: column 6: "),
    ];
    for (more, message) in wrong {
        let failure = shelf.refused(&with(more)).await;
        assert!(failure.message.contains(message), "{more}: {}", failure.message);
        assert!(failure.advice.is_some(), "{more}");
    }
    let good = "reserved: [10.1.0.0, 10.1.0.64/26, 10.1.0.1-10.1.0.9], namespaces: global(), networks: all(), manual: true, \
                strictAffinity: true, maxBlocksPerHost: 2";
    shelf.apply(&with(good)).await.unwrap();
}

#[tokio::test]
async fn addresses_rest_for_a_day_at_most() {
    let shelf = Shelf::new().await;
    let config = |seconds: u32| {
        format!(
            "{{apiVersion: poplin.dev/v1, kind: FabricConfig, metadata: {{name: default}}, spec: {{addressCooldownSeconds: {seconds}}}}}"
        )
    };

    let failure = shelf.refused(&config(86_401)).await;

    assert!(failure.message.contains("spec.addressCooldownSeconds: 86401 s is above 86400"), "{}", failure.message);
    shelf.apply(&config(0)).await.unwrap();
}

#[tokio::test]
async fn a_pool_of_which_an_address_is_kept_is_in_use() {
    let shelf = Shelf::new().await;
    shelf.apply(&pool("main", "10.1.0.0/16")).await.unwrap();
    let block = r#"{"pool":"main","cidr":"10.1.0.0/26","host":"h1","taken":{},"freed":[3],"kept":{"2":"db"}}"#;
    shelf.claim("/poplin/v1/b/main/10.1.0.0-26", block).await;

    let refused = shelf.delete("Pool", "main").await.unwrap_err();

    assert!(refused.message.contains("1 of its addresses are taken or kept"), "{}", refused.message);
}

#[tokio::test]
async fn a_pool_whose_blocks_are_claimed_keeps_its_range_and_is_deleted_only_when_empty() {
    let shelf = Shelf::new().await;
    shelf.apply(&pool("main", "10.1.0.0/16")).await.unwrap();
    let key = "/poplin/v1/b/main/10.1.0.0-26";
    let block = |taken: &str| format!(r#"{{"pool":"main","cidr":"10.1.0.0/26","host":"h1","taken":{{{taken}}}}}"#);
    shelf.claim(key, &block(r#""0":"web/eth0""#)).await;

    let moved = shelf.refused(&pool("main", "10.9.0.0/16")).await;
    let in_use = shelf.delete("Pool", "main").await.unwrap_err();
    shelf.claim(key, &block("")).await;
    shelf.delete("Pool", "main").await.unwrap();

    assert_eq!(moved.reason, "POOL_IN_USE");
    assert_eq!(in_use.message, "pool main is in use: 1 of its addresses are taken or kept");
    assert!(shelf.store.snapshot("/poplin/v1/b/").await.unwrap().entries.is_empty(), "its empty blocks go with it");
}

#[tokio::test]
async fn a_policy_in_a_tier_that_does_not_exist_is_told_which_one_was_meant() {
    let shelf = Shelf::new().await;
    shelf.apply("apiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {name: platform}\nspec: {order: 1}\n").await.unwrap();

    let failure = shelf.refused(&policy("db", "  tier: platfrom\n  ingress: []")).await;

    assert_eq!(failure.message, "Policy db: spec.tier: there is no tier named \"platfrom\"");
    assert_eq!(failure.advice.as_deref(), Some("did you mean \"platform\"?"));
    assert_eq!(failure.origin.as_deref(), Some("shop.yaml:5:9"));
}

#[tokio::test]
async fn what_goes_together_goes_in_any_order_or_not_at_all() {
    let shelf = Shelf::new().await;
    shelf.apply("apiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {name: platform}\nspec: {order: 1}\n").await.unwrap();
    shelf.apply(&policy("db", "  tier: platform\n  ingress: []")).await.unwrap();
    shelf.apply(&policy("web", "  tier: platform\n  ingress: []")).await.unwrap();
    let (tier, db, web, nobody) = (("Tier", "platform"), ("Policy", "db"), ("Policy", "web"), ("Policy", "nobody"));

    let leaned_on = shelf.delete_all(&[db, tier], false).await.unwrap_err();
    let missing = shelf.delete_all(&[tier, db, nobody, web], false).await.unwrap_err();

    assert_eq!((leaned_on[0].reason.as_str(), leaned_on.len()), ("IN_USE", 1));
    assert_eq!(leaned_on[0].message, "tier platform holds policy web");
    assert_eq!((missing[0].reason.as_str(), missing.len()), ("NOT_FOUND", 1));
    assert_eq!(shelf.names("Policy").await, ["db", "web"], "nothing went");

    let were_there = shelf.delete_all(&[tier, db, nobody, web], true).await.unwrap();

    assert_eq!(were_there, [true, true, false, true]);
    assert_eq!((shelf.names("Policy").await.len(), shelf.names("Tier").await.len()), (0, 0));
}

#[tokio::test]
async fn hundreds_go_in_one_transaction_and_more_than_a_call_may_have_are_refused() {
    let shelf = Shelf::new().await;
    let names: Vec<String> = (0..300).map(|number| format!("p{number:03}")).collect();
    let all: Vec<String> = names.iter().map(|name| policy(name, "  ingress: []")).collect();
    shelf.apply(&all.join("---\n")).await.unwrap();
    let objects: Vec<(&str, &str)> = names.iter().map(|name| ("Policy", name.as_str())).collect();

    let refused = shelf.delete_all(&vec![("Policy", "p000"); 50_001], true).await.unwrap_err();
    let were_there = shelf.delete_all(&objects, false).await.unwrap();

    assert_eq!(refused[0].message, "50001 objects in one call, at most 50000 may be");
    assert_eq!((were_there.len(), shelf.names("Policy").await.len()), (300, 0));
}

#[tokio::test]
async fn a_selector_that_does_not_parse_shows_its_column() {
    let failure = Shelf::new().await.refused(&policy("db", "  subject: app = 'db'\n  ingress: []")).await;

    assert_eq!(failure.reason, "BAD_SELECTOR");
    assert!(failure.message.contains("column 5"), "{}", failure.message);
}

#[tokio::test]
async fn policies_of_other_houses_are_stored_as_ours_and_say_what_they_were() {
    let shelf = Shelf::new().await;
    let text = "\
apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: api, namespace: shop}
  spec: {podSelector: {}}
- apiVersion: projectcalico.org/v3
  kind: GlobalNetworkSet
  metadata: {name: office, labels: {kind: office}}
  spec: {nets: [192.0.2.0/24]}
";

    let answer = shelf.apply(text).await.unwrap();

    let told: Vec<_> = answer.results.iter().map(|line| [&*line.kind, &*line.name, &*line.written_as]).collect();
    let policy = ["Policy", "shop/knp.default.api", "NetworkPolicy shop/api"];
    assert_eq!(told, [policy, ["AddressSet", "office", "GlobalNetworkSet office"]]);
    let stored = list::get(&*shelf.store, "Policy", "shop/knp.default.api").await.unwrap();
    let origin = &stored.metadata().unwrap().annotations["poplin.dev/origin"];
    assert_eq!(origin, "networking.k8s.io/v1 NetworkPolicy shop/api");
    assert_eq!(shelf.apply(text).await.unwrap().results[0].outcome(), Outcome::Unchanged);
}

#[tokio::test]
async fn a_foreign_policy_in_a_tier_that_is_not_there_is_refused_where_it_says_so() {
    let text = "\
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: a}
spec:
  tier: security
  types: [Ingress]
";

    let failure = Shelf::new().await.refused(text).await;

    let message = "Policy a (from GlobalNetworkPolicy a): spec.tier: there is no tier named \"security\"";
    assert_eq!((failure.message.as_str(), failure.origin.as_deref()), (message, Some("shop.yaml:5:9")));
}

#[tokio::test]
async fn everything_wrong_with_a_policy_is_told_at_once() {
    let shelf = Shelf::new().await;
    let spec = "  ingress:\n  - {action: alow, to: {select: app = x}, ports: [tcp/70000]}";

    let failures = shelf.apply(&policy("db", spec)).await.unwrap_err();

    let fields: Vec<&str> = failures.iter().filter_map(|failure| failure.field.as_deref()).collect();
    assert_eq!(fields, ["spec.ingress[0].action", "spec.ingress[0].to.select", "spec.ingress[0].ports[0]"]);
}

#[tokio::test]
async fn a_write_of_an_old_version_is_refused_and_names_both_versions() {
    let shelf = Shelf::new().await;
    shelf.apply(&pool("main", "10.1.0.0/16")).await.unwrap();
    let mut read = list::get(&*shelf.store, "Pool", "main").await.unwrap();
    shelf.apply(&format!("{}  disabled: true\n", pool("main", "10.1.0.0/16"))).await.unwrap();

    let request = ApplyRequest { resources: vec![read.clone()], ..ApplyRequest::default() };
    let stale = shelf.request(request).await.unwrap_err().swap_remove(0);
    read.metadata_mut().unwrap().resource_version = 0;
    let request = ApplyRequest { resources: vec![read], ..ApplyRequest::default() };
    shelf.request(request).await.unwrap();

    assert_eq!(stale.code, Code::Aborted);
    assert!(stale.message.contains("was changed since you read it"), "{}", stale.message);
}

#[tokio::test]
async fn a_dry_run_judges_and_writes_nothing() {
    let shelf = Shelf::new().await;
    let manifests = vec![manifest(&pool("main", "10.1.0.0/16"))];
    let before = shelf.store.snapshot("").await.unwrap().revision;

    let told = shelf.request(ApplyRequest { manifests, dry_run: true, ..ApplyRequest::default() }).await.unwrap();

    assert_eq!(told.results.len(), 1);
    assert_eq!(shelf.store.snapshot("").await.unwrap().revision, before);
}

#[tokio::test]
async fn applying_the_same_again_writes_nothing() {
    let shelf = Shelf::new().await;
    let first = shelf.apply(&pool("main", "10.1.0.0/16")).await.unwrap();

    let second = shelf.apply(&pool("main", "10.1.0.0/16")).await.unwrap();

    assert_eq!(first.revision, second.revision);
}

#[tokio::test]
async fn what_others_lean_on_cannot_be_deleted() {
    let shelf = Shelf::new().await;
    let set = "apiVersion: poplin.dev/v1\nkind: AddressSet\nmetadata: {name: office}\nspec: {nets: [192.0.2.0/24]}\n";
    let rule = "  ingress:\n  - {action: allow, from: {sets: [office]}}";
    shelf.apply(&format!("{set}---\n{}", policy("db", rule))).await.unwrap();

    let refused = shelf.delete("AddressSet", "office").await.unwrap_err();
    shelf.delete("Policy", "db").await.unwrap();
    shelf.delete("AddressSet", "office").await.unwrap();

    assert_eq!(refused.message, "address set office is named by policy db");
}

#[tokio::test]
async fn hosts_and_endpoints_are_not_made_by_hand() {
    let host = "apiVersion: poplin.dev/v1\nkind: Host\nmetadata: {name: h9}\nspec: {routerId: 192.0.2.9}\n";

    let failure = Shelf::new().await.refused(host).await;

    assert_eq!(failure.reason, "AGENT_OWNED");
}

#[tokio::test]
async fn lists_come_in_pages_by_name() {
    let shelf = Shelf::new().await;
    let many: Vec<String> = (10..17).map(|n| pool(&format!("p{n}"), &format!("10.{n}.0.0/16"))).collect();
    shelf.apply(&many.join("---\n")).await.unwrap();

    let mut request = ListRequest { kind: "Pool".to_owned(), page_size: 3, ..ListRequest::default() };
    let mut pages = Vec::new();
    loop {
        let page = list::list(&*shelf.store, &request).await.unwrap();
        pages.push(page.resources.len());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }

    assert_eq!(pages, [3, 3, 1]);
}

/// A desk without a head.
fn desk(shelf: &Shelf) -> super::Desk {
    super::Desk {
        calls: tokio::sync::mpsc::channel(1).0,
        store: shelf.store.clone(),
        host: "h1".to_owned(),
        drops: Arc::default(),
        role: poplin_node::Role::Host,
        ready: tokio::sync::watch::channel(true).1,
        heard: tokio::sync::watch::channel(0).1,
        in_force: tokio::sync::watch::channel(false).1,
        known_at: None,
        wholes: super::door::Wholes::default(),
        complaints: Default::default(),
    }
}

#[tokio::test]
async fn who_declared_something_is_answered_when_the_head_has_heard_of_it_or_after_a_while() {
    let shelf = Shelf::new().await;
    let (tells, heard) = tokio::sync::watch::channel(6);
    let desk = super::Desk { heard, ..desk(&shelf) };

    let mut answer = Box::pin(desk.until_heard(7));
    assert!(answer.as_mut().now_or_never().is_none());
    tells.send_replace(7);
    answer.await;
    assert!(desk.until_heard(7).now_or_never().is_some());
    desk.until_heard(8).await;
}

#[tokio::test]
async fn rules_that_this_host_has_not_heard_of_or_its_kernel_does_not_have_are_told_beside_what_they_say() {
    let shelf = Shelf::new().await;
    let pool = "apiVersion: poplin.dev/v1\nkind: Pool\nmetadata: {name: p}\nspec: {cidr: 10.1.0.0/24}";
    shelf.apply(pool).await.unwrap();
    let snapshot = shelf.store.snapshot(crate::resource::ROOT).await.unwrap();
    let (tells, heard) = tokio::sync::watch::channel(0);
    let (tells_in_force, in_force) = tokio::sync::watch::channel(false);
    let desk = super::Desk { heard, in_force, ..desk(&shelf) };
    let told = async || desk.not_in_force(&snapshot).await.unwrap_or_default();

    assert!(told().await.contains("has not heard of all that is declared"));
    tells.send_replace(snapshot.revision);
    assert!(told().await.contains("kernel does not have all of these rules yet"));
    let mut answer = Box::pin(told());
    assert!(answer.as_mut().now_or_never().is_none());
    tells_in_force.send_replace(true);
    assert_eq!(answer.await, "", "a moment later they are in force");
}

#[tokio::test]
async fn health_follows_the_head_and_reflection_names_every_service() {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

    let shelf = Shelf::new().await;
    let socket = shelf.directory.join("api.sock");
    let (is_ready, ready) = tokio::sync::watch::channel(false);
    let desk = super::Desk { ready, ..desk(&shelf) };
    let (guests, who_came) = tokio::sync::mpsc::channel(1);
    let allowed = Arc::new(super::door::Allowed::default());
    let listener = super::door::listen(&socket, &allowed).unwrap();
    tokio::spawn(super::door::receive(listener, allowed, guests));
    let door = tokio::spawn(super::serve(who_came, desk));
    let channel = poplin_proto::connect(&socket).await.unwrap();

    let mut health = HealthClient::new(channel.clone());
    let mut watched = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let before = watched.message().await.unwrap().unwrap().status();
    is_ready.send_replace(true);
    let after = watched.message().await.unwrap().unwrap().status();

    let question = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let asked =
        ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(question)).await.unwrap();
    let answer: ServerReflectionResponse = asked.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else { panic!("{answer:?}") };
    let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();

    assert_eq!((before, after), (ServingStatus::NotServing, ServingStatus::Serving));
    for service in ["Resource", "Workload", "Policy", "Status"] {
        assert!(names.contains(&format!("poplin.v1.{service}Service").as_str()), "{names:?}");
    }
    door.abort();
}

fn fabric(spec: &str) -> String {
    format!("apiVersion: poplin.dev/v1\nkind: FabricConfig\nmetadata: {{name: default}}\nspec: {spec}\n")
}

#[tokio::test]
async fn failsafe_ports_are_taken_away_on_purpose_only() {
    let shelf = Shelf::new().await;

    for (spec, field) in [
        ("{failsafeInbound: []}", "spec.failsafeInbound"),
        ("{failsafeOutbound: }", "spec.failsafeOutbound"),
        ("{failsafeInbound: [tcp/22, none]}", "spec.failsafeInbound[1]"),
        ("{failsafeInbound: [tcp/22-23]}", "spec.failsafeInbound[0]"),
    ] {
        let refused = shelf.refused(&fabric(spec)).await;
        assert_eq!(refused.field.as_deref(), Some(field), "{spec}: {}", refused.message);
    }
    for spec in ["{failsafeInbound: [none]}", "{failsafeInbound: [tcp/22, udp/68]}"] {
        shelf.apply(&fabric(spec)).await.unwrap();
    }
}

#[tokio::test]
async fn a_policy_speaks_for_host_endpoints_only_where_that_has_a_meaning() {
    let shelf = Shelf::new().await;
    let policy = |metadata: &str, spec: &str| {
        format!("apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{{metadata}}}\nspec: {{{spec}}}\n")
    };

    for (metadata, spec, field) in [
        ("name: p, namespace: shop", "hosts: local, ingress: []", "spec.hosts"),
        ("name: p", "hosts: all, ingress: []", "spec.hosts"),
        ("name: p", "hosts: preDNAT, egress: []", "spec.egress"),
    ] {
        assert_eq!(shelf.refused(&policy(metadata, spec)).await.field.as_deref(), Some(field), "{spec}");
    }
    shelf.apply(&policy("name: p", "hosts: untracked, ingress: [], egress: []")).await.unwrap();
}
