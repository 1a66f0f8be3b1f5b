//! One connection to the agent, as a controller would hold it.

use poplin_lab::Agent;
use poplin_proto::v1::resource::Object;
use poplin_proto::v1::resource_service_client::ResourceServiceClient;
use poplin_proto::v1::{ApplyRequest, Endpoint, GetRequest, Manifest, Resource};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

pub(crate) struct Client<'a> {
    runtime: &'a Runtime,
    resources: ResourceServiceClient<Channel>,
}

impl<'a> Client<'a> {
    pub(crate) fn connect(runtime: &'a Runtime, agent: &Agent) -> Self {
        let channel = runtime.block_on(poplin_proto::connect(&agent.socket())).unwrap();
        Self { runtime, resources: ResourceServiceClient::new(channel) }
    }

    pub(crate) fn endpoint(&mut self, name: &str) -> Endpoint {
        let request = GetRequest { kind: "Endpoint".to_owned(), name: name.to_owned() };
        let answer = self.runtime.block_on(self.resources.get(request)).unwrap().into_inner();
        let Some(Object::Endpoint(endpoint)) = answer.resource.and_then(|resource| resource.object) else {
            panic!("{name} is no endpoint")
        };
        endpoint
    }

    /// An endpoint is of another application.
    pub(crate) fn label(&mut self, endpoint: &Endpoint, app: &str) {
        let mut endpoint = endpoint.clone();
        let metadata = endpoint.metadata.as_mut().unwrap();
        metadata.resource_version = 0;
        metadata.labels.insert("app".to_owned(), app.to_owned());
        let resources = vec![Resource { object: Some(Object::Endpoint(endpoint)) }];
        self.send(ApplyRequest { resources, ..ApplyRequest::default() });
    }

    /// Documents as people write them.
    pub(crate) fn apply(&mut self, text: String) {
        let manifests = vec![Manifest { name: "edited.yaml".to_owned(), text }];
        self.send(ApplyRequest { manifests, ..ApplyRequest::default() });
    }

    fn send(&mut self, request: ApplyRequest) {
        self.runtime.block_on(self.resources.apply(request)).unwrap();
    }
}
