//! Tests of policies, as people write them: documents of kind PolicyTest.
//!
//! ```yaml
//! apiVersion: poplin.dev/v1
//! kind: PolicyTest
//! metadata: {name: shop}
//! spec:
//!   cases:
//!   - {from: app == 'web', to: app == 'db', ports: [tcp/5432], expect: allow, nobodyElse: true}
//!   - {from: outside, to: db, ports: all, expect: deny}
//! ```
//! In: a file, and the world it speaks of, for an end may be the name of an endpoint or host endpoint. Out: cases that can be proven or refuted, or what is
//! wrong and where.

mod party;
mod written;

use poplin_policy::check::{Author, Case, Expect, Party};
use poplin_policy::model::PortMatch;
use poplin_policy::world::World;
use poplin_proto::v1::Manifest;
use poplin_proto::{API_VERSION, Failure, nearest};
use tonic::Code;

use self::party::party;
use self::written::{Few, PolicyTest, WrittenCase};
use crate::field::Invalid;
use crate::file::{Yaml, split};

/// What its documents are called.
pub const KIND: &str = "PolicyTest";

/// A case, and the document it stands in.
#[derive(Clone, Debug)]
pub struct Test {
    /// The document's name.
    pub suite: String,
    /// What it asserts.
    pub case: Case,
    /// `shop.yaml:7:5`.
    pub origin: String,
}

/// Every case of a file, in its order.
pub fn read(manifest: &Manifest, world: &World) -> Result<Vec<Test>, Vec<Failure>> {
    let (mut tests, mut failures) = (Vec::new(), Vec::new());
    for excerpt in split(&manifest.text) {
        let yaml = Yaml::of(&manifest.name, excerpt);
        match serde_saphyr::from_str::<PolicyTest>(yaml.text()) {
            Ok(document) => match check_header(&document) {
                Ok(()) => Suite { yaml: &yaml, document: &document, world }.read(&mut tests, &mut failures),
                Err(failure) => failures.push(failure.origin(manifest.name.as_str())),
            },
            Err(error) => failures.push(yaml.failure(&error)),
        }
    }
    if failures.is_empty() { Ok(tests) } else { Err(failures) }
}

fn check_header(document: &PolicyTest) -> Result<(), Failure> {
    let failure = |message: String| Failure::new(Code::InvalidArgument, "WRONG_KIND", message);
    match (document.api_version.as_str(), document.kind.as_str()) {
        (API_VERSION, KIND) => Ok(()),
        (API_VERSION, kind) => Err(failure(format!("kind {kind:?} is no test")).advice(format!("write kind: {KIND}"))),
        (version, _) => {
            Err(failure(format!("apiVersion {version:?} is not known"))
                .advice(format!("write apiVersion: {API_VERSION}")))
        }
    }
}

struct Suite<'a> {
    yaml: &'a Yaml,
    document: &'a PolicyTest,
    world: &'a World,
}

impl Suite<'_> {
    fn read(&self, tests: &mut Vec<Test>, failures: &mut Vec<Failure>) {
        for (index, written) in self.document.spec.cases.iter().enumerate() {
            let field = format!("spec.cases[{index}]");
            match self.case(&field, written) {
                Ok(case) => {
                    let suite = self.document.metadata.name.clone();
                    tests.push(Test { suite, case, origin: self.origin(&field) });
                }
                Err(invalid) => {
                    let place = self.origin(&invalid.field);
                    let title = format!("{KIND} {}", self.document.metadata.name);
                    let mut failure = invalid.into_failure(&title);
                    failure.origin = Some(place);
                    failures.push(failure);
                }
            }
        }
    }

    fn origin(&self, field: &str) -> String {
        self.yaml.origin(self.yaml.places().locate(field))
    }

    fn case(&self, field: &str, written: &WrittenCase) -> Result<Case, Invalid> {
        let home = &self.document.metadata.namespace;
        let at = |name: &str| format!("{field}.{name}");
        let mut from = party(&at("from"), &written.from, home, self.world)?;
        for (index, except) in written.except.iter().enumerate() {
            let except = party(&format!("{field}.except[{index}]"), except, home, self.world)?;
            from.except.extend(except.any);
            from.text = format!("{} but {}", from.text, except.text);
        }
        let expect = expect(&at("expect"), &written.expect, written.nobody_else)?;
        let to = party(&at("to"), &written.to, home, self.world)?;
        let enters_by = self.forwarding(&at("entersBy"), written.enters_by.as_ref(), &to)?;
        let leaves_by = self.forwarding(&at("leavesBy"), written.leaves_by.as_ref(), &from)?;
        Ok(Case {
            name: written.name.clone(),
            from,
            to,
            ports: ports(&at("ports"), &written.ports)?,
            expect,
            by: written.by.as_ref().map(|text| self.author(&at("by"), text)).transpose()?,
            nobody_else: written.nobody_else,
            enters_by,
            leaves_by,
            may_be_empty: written.may_be_empty,
        })
    }

    /// The host endpoint by which packets come to a host that forwards them, or leave it; of what the host itself receives or sends there is
    /// nothing to forward.
    fn forwarding(&self, field: &str, name: Option<&String>, end: &Party) -> Result<Option<String>, Invalid> {
        let Some(name) = name else { return Ok(None) };
        if let Some(host_endpoint) = &end.host_endpoint {
            let message = format!("{host_endpoint} itself is asked, as it is an end of the case");
            return Err(Invalid::new(field, "CONTRADICTION", message)
                .advice("leave it out, or let the case end beyond the host that forwards"));
        }
        if self.world.host_endpoints.contains_key(name) {
            return Ok(Some(name.clone()));
        }
        let invalid = Invalid::new(field, "UNKNOWN_HOST_ENDPOINT", format!("there is no host endpoint {name:?}"));
        Err(match nearest(name, self.world.host_endpoints.keys().map(String::as_str)) {
            Some(near) => invalid.advice(format!("did you mean {near}?")),
            None => invalid.advice("declare it beside the policies, or leave it out"),
        })
    }

    /// `policy` or `policy/rule`, where a policy itself may be called `namespace/policy`.
    fn author(&self, field: &str, text: &str) -> Result<Author, Invalid> {
        let is_policy = |name: &str| self.world.policies.keys().any(|policy| policy.to_string() == name);
        if is_policy(text) {
            return Ok(Author { policy: text.to_owned(), rule: None });
        }
        if let Some((policy, rule)) = text.rsplit_once('/').filter(|(policy, _)| is_policy(policy)) {
            return Ok(Author { policy: policy.to_owned(), rule: Some(rule.to_owned()) });
        }
        let invalid = Invalid::new(field, "UNKNOWN_POLICY", format!("there is no policy {text:?}"));
        let known: Vec<String> = self.world.policies.keys().map(ToString::to_string).collect();
        Err(match nearest(text, known.iter().map(String::as_str)) {
            Some(near) => invalid.advice(format!("did you mean {near:?}?")),
            None => invalid.advice("write a policy's name, or POLICY/RULE"),
        })
    }
}

fn expect(field: &str, word: &str, nobody_else: bool) -> Result<Expect, Invalid> {
    match (word, nobody_else) {
        ("allow", _) | ("", true) => Ok(Expect::Allow),
        ("deny", false) => Ok(Expect::Deny),
        ("deny", true) => Err(Invalid::new(field, "CONTRADICTION", "nobodyElse goes with expect: allow")
            .advice("leave nobodyElse out: a case that denies speaks of `from` only")),
        (other, _) => {
            let invalid = Invalid::new(field, "UNKNOWN_WORD", format!("{other:?} is not allow or deny"));
            Err(invalid.advice("write expect: allow or expect: deny"))
        }
    }
}

fn ports(field: &str, written: &Few<String>) -> Result<Vec<PortMatch>, Invalid> {
    if matches!(&written.0[..], [only] if only == "all") {
        return Ok(Vec::new());
    }
    let parsed = written.0.iter().enumerate().map(|(index, text)| {
        text.parse::<PortMatch>().map_err(|error| {
            Invalid::new(format!("{field}[{index}]"), "BAD_PORT", error.to_string())
                .advice("ports look like tcp/80, tcp/8000-8010, tcp/http, udp/*, icmp/8, proto/47; or all")
        })
    });
    parsed.collect()
}

#[cfg(test)]
mod tests {
    use poplin_policy::check::{Finding, check};
    use poplin_policy::host::{Doorway, Failsafe, HostEndpoint};
    use poplin_policy::label::Labels;

    use super::*;

    const WORLD: &str = "\
apiVersion: poplin.dev/v1
kind: Topology
endpoints:
  web: {labels: {app: web}, addresses: [10.77.0.1]}
  db: {labels: {app: db}, addresses: [10.77.0.3]}
";

    fn world() -> World {
        let manifest = Manifest { name: "topology.yaml".to_owned(), text: WORLD.to_owned() };
        let mut world = crate::world(&crate::topology::read(&manifest).unwrap()).unwrap();
        for (name, addresses) in [("edge", vec!["192.0.2.1".parse().unwrap()]), ("inner", Vec::new())] {
            world.add_host_endpoint(&HostEndpoint {
                name: name.to_owned(),
                labels: Labels::default(),
                profiles: Vec::new(),
                host: "h1".to_owned(),
                doorway: Doorway::Every,
                addresses: addresses.into_iter().collect(),
                ports: Vec::new(),
            });
        }
        world
    }

    #[test]
    fn an_end_may_be_a_host_endpoint_and_packets_may_pass_others_on_their_way() {
        let case = tests(&["{from: edge, to: inner, ports: tcp/80, expect: deny}"]).unwrap().remove(0).case;
        assert_eq!(case.from.host_endpoint.as_deref(), Some("edge"));
        assert_eq!(case.from.any[0].nets, ["192.0.2.1/32".parse().unwrap()]);
        assert!(case.to.any[0].outside, "any address that is no endpoint's");
        let case =
            tests(&["{from: outside, to: db, entersBy: edge, leavesBy: inner, expect: deny}"]).unwrap().remove(0).case;
        assert_eq!(case.to_string(), "outside may not reach db, entering by edge, leaving by inner");
    }

    fn tests(cases: &[&str]) -> Result<Vec<Test>, Vec<Failure>> {
        let cases: String = cases.iter().map(|case| format!("  - {case}\n")).collect();
        let head = "apiVersion: poplin.dev/v1\nkind: PolicyTest\nmetadata: {name: shop}\nspec:\n  cases:\n";
        read(&Manifest { name: "tests.yaml".to_owned(), text: format!("{head}{cases}") }, &world())
    }

    fn refusal(case: &str) -> String {
        let failure = tests(&[case]).unwrap_err().remove(0);
        format!("{} at {}, {}", failure.message, failure.origin.unwrap(), failure.advice.unwrap_or_default())
    }

    #[test]
    fn ends_are_names_selectors_prefixes_or_words() {
        let read = tests(&[
            "{from: web, to: app == 'db', ports: tcp/5432, expect: allow}",
            "{from: 10.77.0.0/24, to: {select: has(app), except: web}, ports: [tcp, udp/53], expect: allow}",
            "{from: outside, to: {endpoint: db}, ports: all, expect: allow, mayBeEmpty: true}",
            "{from: anybody, except: [web], to: 10.77.0.3, expect: allow}",
        ])
        .unwrap();

        let cases: Vec<Case> = read.iter().map(|test| test.case.clone()).collect();
        assert_eq!(check(&world(), &Failsafe::default(), &cases), vec![Finding::Holds; 4]);
        assert_eq!(read[1].origin, "tests.yaml:7:5");
        assert_eq!(cases[3].to_string(), "anybody but web may reach 10.77.0.3");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(
            refusal("{from: wev, to: db, expect: deny}"),
            "PolicyTest shop: spec.cases[0].from: there is no endpoint \"wev\" at tests.yaml:6:12, did you mean web?"
        );
        assert!(refusal("{from: web, to: app = 'db', expect: deny}").contains("column 5: found `=`, expected =="));
        assert!(refusal("{from: web, to: h1, expect: deny}").ends_with(
            "ends are endpoints, host endpoints, selectors such as app == 'web', addresses, prefixes, outside, anybody"
        ));
        assert!(refusal("{from: web, to: db, ports: 80, expect: deny}").contains("expected text, or a list of texts"));
        assert!(refusal("{from: web, to: db, expect: yes}").contains("\"yes\" is not allow or deny"));
        assert!(refusal("{from: web, to: db, expect: allow, by: shop}").contains("there is no policy \"shop\""));
        assert_eq!(
            refusal("{from: web, to: db, entersBy: edg, expect: allow}"),
            "PolicyTest shop: spec.cases[0].entersBy: there is no host endpoint \"edg\" at tests.yaml:6:35, did you mean edge?"
        );
        assert!(refusal("{from: web, to: edge, entersBy: edge, expect: allow}").contains("edge itself is asked"));
        assert!(refusal("{form: web, to: db, expect: allow}").contains("form"));
    }
}
