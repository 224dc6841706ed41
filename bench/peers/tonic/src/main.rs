//! The usual ext_authz server in Rust: tonic and envoy-types on one thread, the message decoded in full, one host lookup
//! in a map, the answer built for each call.
//!
//!     peer SOCKET POLICIES.json [encoded]
//!
//! encoded: answers are encoded once at the start, and a codec hands them through.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, HeaderAppendAction, HttpResponse,
};
use envoy_types::pb::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use envoy_types::pb::envoy::service::auth::v3::OkHttpResponse;
use envoy_types::pb::google::protobuf::BoolValue;
use envoy_types::pb::google::rpc;
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use prost::Message;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{http, BoxFuture, Context, Poll, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{transport::Server, Request, Response, Status};

#[derive(Deserialize)]
struct Policy {
    name: String,
    kind: String,
    host: String,
    path: String,
    token: String,
    #[serde(skip)]
    answer: Bytes,
}

#[derive(Default)]
struct Peer {
    policies: Vec<Policy>,
    exact: HashMap<String, usize>,
    wildcard: HashMap<String, usize>,
    paths: HashMap<String, HashMap<String, usize>>,
}

impl Peer {
    fn find(&self, host: &str, path: &str) -> Option<&Policy> {
        if let Some(&i) = self.exact.get(host) {
            return Some(&self.policies[i]);
        }
        if let Some(by_path) = self.paths.get(host) {
            let mut path = path.split('?').next().unwrap_or("");
            loop {
                if let Some(&i) = by_path.get(path) {
                    return Some(&self.policies[i]);
                }
                match path.rfind('/') {
                    Some(end) if end > 0 => path = &path[..end],
                    _ => return None,
                }
            }
        }
        let mut rest = host;
        while let Some((_, tail)) = rest.split_once('.') {
            if let Some(&i) = self.wildcard.get(tail) {
                return Some(&self.policies[i]);
            }
            rest = tail;
        }
        None
    }
}

impl Peer {
    fn matched(&self, request: CheckRequest) -> Option<&Policy> {
        let attributes = request.attributes.unwrap_or_default();
        let http = attributes.request.and_then(|r| r.http).unwrap_or_default();
        self.find(&http.host, &http.path)
            .filter(|p| attributes.context_extensions.get("policy") == Some(&p.name))
    }
}

#[allow(deprecated)] // append, for Envoy up to 1.36
fn answer_of(policy: Option<&Policy>) -> CheckResponse {
    let headers = policy.map_or(vec![], |policy| {
        vec![HeaderValueOption {
            header: Some(HeaderValue {
                key: "authorization".into(),
                value: format!("Bearer {}", policy.token),
                ..Default::default()
            }),
            append: Some(BoolValue { value: false }),
            append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
            ..Default::default()
        }]
    });
    CheckResponse {
        status: Some(rpc::Status::default()),
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse { headers, ..Default::default() })),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl Authorization for Peer {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Ok(Response::new(answer_of(self.matched(request.into_inner()))))
    }
}

/// The same service with answers that need no encoding any more.
#[derive(Clone)]
struct Encoded {
    peer: Arc<Peer>,
    pass: Bytes,
}

impl NamedService for Encoded {
    const NAME: &'static str = "envoy.service.auth.v3.Authorization";
}

impl Service<http::Request<Body>> for Encoded {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(EncodedCodec).unary(service, request).await) })
    }
}

impl UnaryService<CheckRequest> for Encoded {
    type Response = Bytes;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<CheckRequest>) -> Self::Future {
        let answer = self.peer.matched(request.into_inner()).map_or(&self.pass, |policy| &policy.answer);
        std::future::ready(Ok(Response::new(answer.clone())))
    }
}

#[derive(Default)]
struct EncodedCodec;

impl Codec for EncodedCodec {
    type Encode = Bytes;
    type Decode = CheckRequest;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        EncodedCodec
    }

    fn decoder(&mut self) -> Self {
        EncodedCodec
    }
}

impl Encoder for EncodedCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for EncodedCodec {
    type Item = CheckRequest;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<CheckRequest>, Status> {
        CheckRequest::decode(bytes).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let mut policies: Vec<Policy> = serde_json::from_str(&std::fs::read_to_string(&arguments[2])?)?;
    for policy in &mut policies {
        policy.answer = answer_of(Some(policy)).encode_to_vec().into();
    }
    let mut peer = Peer::default();
    for (i, policy) in policies.iter().enumerate() {
        match policy.kind.as_str() {
            "exact" => {
                peer.exact.insert(policy.host.clone(), i);
            }
            "wildcard" => {
                peer.wildcard.insert(policy.host.clone(), i);
            }
            _ => {
                peer.paths.entry(policy.host.clone()).or_default().insert(policy.path.clone(), i);
            }
        }
    }
    peer.policies = policies;
    let listener = UnixListener::bind(&arguments[1])?;
    eprintln!("listening");
    let incoming = UnixListenerStream::new(listener);
    if arguments.get(3).is_some_and(|mode| mode == "encoded") {
        let encoded = Encoded { peer: Arc::new(peer), pass: answer_of(None).encode_to_vec().into() };
        Server::builder().add_service(encoded).serve_with_incoming(incoming).await?;
    } else {
        Server::builder().add_service(AuthorizationServer::new(peer)).serve_with_incoming(incoming).await?;
    }
    Ok(())
}
