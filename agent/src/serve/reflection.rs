//! The contract about itself, for tools that ask what can be called (grpc.reflection.v1).
//!
//! In: the descriptors the contract was compiled into. Out: answers about them. What they are looked up in takes most of a megabyte, and most agents are
//! never asked: it is made when somebody asks first.

use std::convert::Infallible;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use hyper::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::Routes;
use tower::Service;

static ANSWERS: LazyLock<Routes> = LazyLock::new(answers);

/// Answers as the crate for it does, from the first question on.
#[derive(Clone)]
pub(super) struct Reflection;

impl NamedService for Reflection {
    const NAME: &'static str = "grpc.reflection.v1.ServerReflection";
}

impl Service<Request<Body>> for Reflection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Routes as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(())) // so are those it hands on to, always
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ANSWERS.clone().call(request)
    }
}

fn answers() -> Routes {
    let descriptors = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(poplin_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    Routes::new(descriptors.build_v1().expect("the contract compiled, so its descriptors can be read"))
}
