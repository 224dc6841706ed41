//! The usual ext_authz server in Rust: tonic and envoy-types on one thread, the message decoded in full, one host lookup
//! in a map, the answer built for each call.
//!
//!     peer SOCKET POLICIES.json

use std::collections::HashMap;

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
use tonic::{transport::Server, Request, Response, Status};

#[derive(Deserialize)]
struct Policy {
    name: String,
    kind: String,
    host: String,
    path: String,
    token: String,
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

#[tonic::async_trait]
#[allow(deprecated)] // append, for Envoy up to 1.36
impl Authorization for Peer {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let attributes = request.into_inner().attributes.unwrap_or_default();
        let http = attributes.request.and_then(|r| r.http).unwrap_or_default();
        let policy = self
            .find(&http.host, &http.path)
            .filter(|p| attributes.context_extensions.get("policy") == Some(&p.name));
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
        Ok(Response::new(CheckResponse {
            status: Some(rpc::Status::default()),
            http_response: Some(HttpResponse::OkResponse(OkHttpResponse { headers, ..Default::default() })),
            ..Default::default()
        }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let policies: Vec<Policy> = serde_json::from_str(&std::fs::read_to_string(&arguments[2])?)?;
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
    Server::builder()
        .add_service(AuthorizationServer::new(peer))
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await?;
    Ok(())
}
