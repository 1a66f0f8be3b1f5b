//! Gives the kinds of declared things one face, and each its document form.
//!
//! In: a kind by name, and a document in any of serde's formats. Out: a [`Resource`], or the same document again.
//! A document is `apiVersion`, `kind`, `metadata`, `spec`; unknown fields are refused by name, absent ones take their
//! default, and what equals its default is not printed. Knows nothing of YAML: the caller brings the deserializer.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::spelling::nearest;
use crate::v1::resource::Object;
use crate::v1::{
    AddressSet, Endpoint, FabricConfig, FloatingAddress, Host, HostEndpoint, Metadata, Namespace, Network, Peer,
    Policy, Pool, Profile, Resource, RouteMap, Service, StaticRoute, Tier,
};

/// The one version documents are written in.
pub const API_VERSION: &str = "poplin.dev/v1";

/// Every kind, in the order of the wire contract.
pub const KINDS: [&str; 16] = [
    "Pool",
    "Host",
    "Endpoint",
    "Policy",
    "Tier",
    "AddressSet",
    "Peer",
    "FabricConfig",
    "Namespace",
    "HostEndpoint",
    "RouteMap",
    "Network",
    "Service",
    "StaticRoute",
    "Profile",
    "FloatingAddress",
];

/// The first lines of a document: enough to know what the rest should be. Ignores everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Header {
    /// Version of the document form, such as [`API_VERSION`]; empty if not written.
    pub api_version: String,
    /// One of [`KINDS`] if the author spelled it so; empty if not written.
    pub kind: String,
}

/// No kind has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind {:?}{}kinds are {}", kind, meant(kind), KINDS.join(", "))]
pub struct UnknownKind {
    /// What was written.
    pub kind: String,
}

fn meant(kind: &str) -> String {
    nearest(kind, KINDS).map_or("; ".to_owned(), |kind| format!(", did you mean {kind}? "))
}

/// A message that stands in a document of its own.
trait Document: Serialize {
    const KIND: &'static str;
    /// `apiVersion`, `kind` and `metadata`, as every kind carries them.
    fn envelope(&mut self) -> (&mut String, &mut String, &mut Option<Metadata>);
    fn metadata(&self) -> Option<&Metadata>;
    fn into_object(self) -> Object;
}

/// Ties each message to its kind and case. One line a kind is all a tenth would need here.
macro_rules! documents {
    ($($message:ident),*) => {
        $(impl Document for $message {
            const KIND: &'static str = stringify!($message);
            fn envelope(&mut self) -> (&mut String, &mut String, &mut Option<Metadata>) {
                (&mut self.api_version, &mut self.kind, &mut self.metadata)
            }
            fn metadata(&self) -> Option<&Metadata> {
                self.metadata.as_ref()
            }
            fn into_object(self) -> Object {
                Object::$message(self)
            }
        }

        impl From<$message> for Resource {
            fn from(message: $message) -> Self {
                let mut resource = Self { object: Some(Object::$message(message)) };
                resource.stamp();
                resource
            }
        })*

        /// Calls a generic function with the message inside, whichever it is.
        macro_rules! with_message {
            ($object:expr, $message_name:ident => $body:expr) => {
                match $object { $(Object::$message($message_name) => $body),* }
            };
        }

        impl Resource {
            /// Reads a document whose kind is already known; formats that carry positions keep them in their errors.
            /// `apiVersion` and `kind` may be absent, but not contradict.
            pub fn deserialize_kind<'de, D: Deserializer<'de>>(kind: &str, deserializer: D) -> Result<Self, D::Error> {
                match kind {
                    $(stringify!($message) => read::<$message, D>(deserializer),)*
                    _ => Err(D::Error::custom(UnknownKind { kind: kind.to_owned() })),
                }
            }
        }
    };
}
documents!(
    Pool,
    Host,
    Endpoint,
    Policy,
    Tier,
    AddressSet,
    Peer,
    FabricConfig,
    Namespace,
    HostEndpoint,
    RouteMap,
    Network,
    Service,
    StaticRoute,
    Profile,
    FloatingAddress
);

impl Resource {
    /// One of [`KINDS`]; empty for a resource without an object, which only a broken client sends.
    pub fn kind(&self) -> &'static str {
        fn kind_of<T: Document>(_: &T) -> &'static str {
            T::KIND
        }
        self.object.as_ref().map_or("", |object| with_message!(object, message => kind_of(message)))
    }

    /// `metadata.name`; empty if not given.
    pub fn name(&self) -> &str {
        self.metadata().map_or("", |metadata| metadata.name.as_str())
    }

    /// `metadata.namespace/metadata.name`, or the name alone: what tells an object from all others of its kind.
    /// Endpoints' names are unique in the fabric, whatever namespace they live in.
    pub fn qualified_name(&self) -> String {
        let namespace = self.metadata().map_or("", |metadata| metadata.namespace.as_str());
        match namespace {
            "" => self.name().to_owned(),
            _ if self.kind() == "Endpoint" => self.name().to_owned(),
            namespace => format!("{namespace}/{}", self.name()),
        }
    }

    /// What every object carries, if it was given.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.object.as_ref().and_then(|object| with_message!(object, message => Document::metadata(message)))
    }

    /// What every object carries, made if it was not given. None for a resource without an object.
    pub fn metadata_mut(&mut self) -> Option<&mut Metadata> {
        let object = self.object.as_mut()?;
        let (_, _, metadata) = with_message!(object, message => message.envelope());
        Some(metadata.get_or_insert_default())
    }

    /// Writes `apiVersion` and `kind` as they must be, for objects that came in typed form and never had them.
    pub fn stamp(&mut self) {
        let (version, kind) = (API_VERSION.to_owned(), self.kind().to_owned());
        if let Some(object) = self.object.as_mut() {
            let (api_version, kind_field, _) = with_message!(object, message => message.envelope());
            (*api_version, *kind_field) = (version, kind);
        }
    }

    /// Reads the form the store keeps.
    pub fn from_json(kind: &str, text: &str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let resource = Self::deserialize_kind(kind, &mut deserializer)?;
        deserializer.end()?;
        Ok(resource)
    }

    /// The form the store keeps: one line, fields in the order of the contract, labels by key.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// The message itself, without a word around it: what is printed is what is accepted.
impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.object {
            Some(object) => with_message!(object, message => message.serialize(serializer)),
            None => Err(serde::ser::Error::custom("a resource without an object has no document form")),
        }
    }
}

fn read<'de, T, D>(deserializer: D) -> Result<Resource, D::Error>
where
    T: Document + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let mut message = T::deserialize(deserializer)?;
    let (api_version, kind, _) = message.envelope();
    if !api_version.is_empty() && api_version != API_VERSION {
        return Err(D::Error::custom(format!("apiVersion {api_version:?} is not known here; write {API_VERSION}")));
    }
    if !kind.is_empty() && kind != T::KIND {
        return Err(D::Error::custom(format!("kind {kind:?} stands where a {} was expected", T::KIND)));
    }
    let mut resource = Resource { object: Some(message.into_object()) };
    resource.stamp();
    Ok(resource)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{PolicySpec, RuleList};

    /// One document a kind, with every field given, in the order it is printed.
    const DOCUMENTS: [(&str, &str); 15] = [
        (
            "Pool",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Pool","metadata":{"name":"main","labels":{"a":"1","b":"2"},"uid":"u","resourceVersion":7},"spec":{"cidr":"10.77.0.0/16","blockSize":26,"hosts":"rack == 'a'","disabled":true}}"#,
        ),
        (
            "Host",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Host","metadata":{"name":"h1"},"spec":{"addresses":["192.0.2.1"],"asn":64513,"routerId":"192.0.2.1","drain":true}}"#,
        ),
        (
            "Endpoint",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Endpoint","metadata":{"name":"web"},"spec":{"host":"h1","addresses":["10.77.0.5/32"],"interface":"pop1","containerInterface":"eth0","mac":"02:00:00:00:00:01","attachment":"web/eth0","netns":"/run/netns/web","mtuBytes":1500}}"#,
        ),
        (
            "Policy",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Policy","metadata":{"name":"db"},"spec":{"tier":"default","order":1.5,"subject":"app == 'db'","ingress":[{"name":"web","action":"allow","from":{"select":"app == 'web'","nets":["10.0.0.0/8"],"notNets":["10.1.0.0/16"],"sets":["office"]},"ports":["tcp/5432"],"sourcePorts":["tcp/1024-65535"]}],"egress":[{"action":"deny","to":{"nets":["0.0.0.0/0"]}}]}}"#,
        ),
        (
            "Tier",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Tier","metadata":{"name":"platform"},"spec":{"order":10.0,"defaultAction":"pass"}}"#,
        ),
        (
            "AddressSet",
            r#"{"apiVersion":"poplin.dev/v1","kind":"AddressSet","metadata":{"name":"office"},"spec":{"nets":["192.0.2.0/24"]}}"#,
        ),
        (
            "Peer",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Peer","metadata":{"name":"tor"},"spec":{"address":"172.31.1.1","asn":65000,"port":1179,"hosts":"all","holdTimeSeconds":9}}"#,
        ),
        (
            "Namespace",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Namespace","metadata":{"name":"shop","labels":{"team":"blue"}},"spec":{"endpointLabels":{"env":"prod"}}}"#,
        ),
        (
            "HostEndpoint",
            r#"{"apiVersion":"poplin.dev/v1","kind":"HostEndpoint","metadata":{"name":"h1-eth0","labels":{"role":"edge"}},"spec":{"host":"h1","interface":"eth0","addresses":["192.0.2.1"]}}"#,
        ),
        (
            "FabricConfig",
            r#"{"apiVersion":"poplin.dev/v1","kind":"FabricConfig","metadata":{"name":"default"},"spec":{"asn":64512,"mesh":false,"mtuBytes":1450,"workloadToHost":"drop","existingFlows":"keep"}}"#,
        ),
        (
            "RouteMap",
            r#"{"apiVersion":"poplin.dev/v1","kind":"RouteMap","metadata":{"name":"from-tor"},"spec":{"rules":[{"name":"default","action":"accept","when":{"prefixes":["0.0.0.0/0"],"communities":["65000:*"]},"set":{"localPref":200,"addCommunities":["65000:1:2"]}}],"otherwise":"reject"}}"#,
        ),
        (
            "Network",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Network","metadata":{"name":"shop"},"spec":{"subnets":["10.99.0.0/24"],"ranges":["10.99.0.128/25"],"reserved":["10.99.0.1"],"internal":true,"icc":false,"mtuBytes":1450,"index":513}}"#,
        ),
        (
            "Service",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Service","metadata":{"name":"dns"},"spec":{"addresses":["198.51.100.7"],"endpoints":"app == 'dns'","health":{"port":53,"httpPath":"/health","intervalMilliseconds":500,"timeoutMilliseconds":200,"failures":2,"successes":3}}}"#,
        ),
        (
            "StaticRoute",
            r#"{"apiVersion":"poplin.dev/v1","kind":"StaticRoute","metadata":{"name":"out"},"spec":{"prefixes":["0.0.0.0/0"],"nextHops":["192.0.2.1"],"hosts":"rack == 'a'","bfd":{"intervalMilliseconds":100}}}"#,
        ),
        (
            "Profile",
            r#"{"apiVersion":"poplin.dev/v1","kind":"Profile","metadata":{"name":"pci"},"spec":{"endpointLabels":{"pci":"true"}}}"#,
        ),
    ];

    #[test]
    fn what_is_printed_is_what_was_read() {
        for (kind, json) in DOCUMENTS {
            let resource = Resource::from_json(kind, json).unwrap();

            assert_eq!(resource.kind(), kind);
            assert_eq!(resource.to_json().unwrap(), json);
        }
    }

    #[test]
    fn yaml_and_json_are_one_document() {
        for (kind, json) in DOCUMENTS {
            let resource = Resource::from_json(kind, json).unwrap();
            let yaml = serde_saphyr::to_string(&resource).unwrap();

            assert_eq!(from_yaml(kind, &yaml).unwrap(), resource, "{yaml}");
        }
    }

    #[test]
    fn an_empty_rule_list_is_not_an_absent_one() {
        let governed = from_yaml("Policy", "metadata: {name: db}\nspec: {ingress: []}").unwrap();
        let free = from_yaml("Policy", "metadata: {name: db}\nspec: {}").unwrap();

        assert_eq!(spec(&governed).ingress, Some(RuleList::default()));
        assert_eq!(spec(&free).ingress, None);
        assert!(governed.to_json().unwrap().ends_with(r#""spec":{"ingress":[]}}"#));
        assert!(serde_saphyr::to_string(&governed).unwrap().contains("ingress: []"));
        assert!(free.to_json().unwrap().ends_with(r#""spec":{}}"#));
    }

    #[test]
    fn a_key_with_nothing_behind_it_does_not_open_a_policy() {
        for hole in
            ["ingress:", "egress: null", "ingress: [{action: allow, from: }]", "egress: [{action: allow, to: ~}]"]
        {
            let error = from_yaml("Policy", &format!("metadata: {{name: db}}\nspec:\n  {hole}\n")).unwrap_err();

            assert!(error.contains("nothing is written here"), "{hole}: {error}");
        }
    }

    #[test]
    fn an_empty_list_does_not_match_everything() {
        for hole in ["ports: []", "from: {nets: []}", "from: {sets: }", "sourcePorts: []"] {
            let text = format!("metadata: {{name: db}}\nspec: {{ingress: [{{action: allow, {hole}}}]}}");
            let error = from_yaml("Policy", &text).unwrap_err();

            assert!(error.contains("the list is empty"), "{hole}: {error}");
        }
    }

    #[test]
    fn an_unknown_field_is_refused_by_name_and_place() {
        let error = from_yaml("Pool", "metadata: {name: main}\nspec:\n  cdir: 10.0.0.0/8\n").unwrap_err();

        assert!(error.contains("cdir") && error.contains("cidr") && error.contains("line 3"), "{error}");
        let error = Resource::from_json("Pool", r#"{"spec":{"block_size":26}}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `block_size`") && error.contains("blockSize"), "{error}");
    }

    #[test]
    fn an_unknown_kind_is_told_the_known_ones() {
        let error = Resource::from_json("polcy", "{}").unwrap_err().to_string();

        assert!(error.starts_with(r#"unknown kind "polcy", did you mean Policy? kinds are Pool, Host"#), "{error}");
    }

    #[test]
    fn a_document_may_leave_out_its_kind_but_not_contradict_it() {
        let bare = Resource::from_json("Tier", r#"{"metadata":{"name":"t"}}"#).unwrap();

        assert!(bare.to_json().unwrap().starts_with(r#"{"apiVersion":"poplin.dev/v1","kind":"Tier","#));
        assert!(Resource::from_json("Tier", r#"{"kind":"Pool"}"#).is_err());
        assert!(Resource::from_json("Tier", r#"{"apiVersion":"poplin.dev/v2"}"#).is_err());
    }

    #[test]
    fn metadata_is_made_when_asked_for() {
        let mut resource = Resource::from(Pool::default());
        assert_eq!((resource.kind(), resource.name()), ("Pool", ""));

        resource.metadata_mut().unwrap().name = "main".to_owned();

        assert_eq!(resource.name(), "main");
        assert_eq!(Resource::default().metadata_mut(), None);
    }

    #[test]
    fn the_header_of_a_document_is_read_without_the_rest() {
        let header: Header = serde_saphyr::from_str("kind: Nobody\nspec: {any: [thing]}\n").unwrap();

        assert_eq!(header, Header { api_version: String::new(), kind: "Nobody".to_owned() });
    }

    fn from_yaml(kind: &str, text: &str) -> Result<Resource, String> {
        serde_saphyr::with_deserializer_from_str(text, |document| Resource::deserialize_kind(kind, document))
            .map_err(|error| error.to_string())
    }

    fn spec(resource: &Resource) -> &PolicySpec {
        match &resource.object {
            Some(Object::Policy(policy)) => policy.spec.as_ref().unwrap(),
            other => panic!("{other:?} is no policy"),
        }
    }
}
