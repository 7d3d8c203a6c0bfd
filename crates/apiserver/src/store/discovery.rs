//! What is served, as clients ask for it, and everything else that is no object: version, health, nothing.

use http::{HeaderValue, Method, Request, Response, header};
use serde_json::{Value, json};

use super::kind::{Kind, Resource};
use super::openapi;
use super::status::{Failure, json_response};

/// Answers a request whose path leads to no object.
pub(crate) fn answer(request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
    let aggregated = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("g=apidiscovery.k8s.io;v=v2;"));
    let path = request.uri().path().trim_end_matches('/');
    if matches!(path.trim_end_matches("/ping"), "/livez" | "/readyz" | "/healthz") {
        return plain(200, "ok");
    }
    if path == ACCESS_REVIEWS && request.method() == Method::POST {
        // Everybody may do everything.
        let review = json!({
            "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
            "metadata": {}, "spec": {}, "status": {"allowed": true},
        });
        return json_response(201, review.to_string().into_bytes());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let known = path.starts_with("/api/v1")
            || path.starts_with("/apis/coordination.k8s.io")
            || path == "/version";
        return if known { Failure::method_not_allowed().response() } else { not_found() };
    }
    let body = match path {
        "/api" if aggregated => return group_list(&aggregate("")),
        "/apis" if aggregated => return group_list(&aggregate("coordination.k8s.io")),
        "/api" => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        }),
        "/apis" => json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}),
        "/apis/coordination.k8s.io" => {
            let mut group = group();
            group["kind"] = json!("APIGroup");
            group["apiVersion"] = json!("v1");
            group
        }
        "/api/v1" => resource_list(""),
        "/apis/coordination.k8s.io/v1" => resource_list("coordination.k8s.io"),
        "/version" => version(),
        "/openapi/v3" => openapi::index(),
        "/openapi/v3/api/v1" => openapi::document(""),
        "/openapi/v3/apis/coordination.k8s.io/v1" => openapi::document("coordination.k8s.io"),
        "" => {
            json!({"paths": ["/api", "/api/v1", "/apis", "/apis/coordination.k8s.io", "/apis/coordination.k8s.io/v1", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]})
        }
        _ if path.starts_with("/apis/coordination.k8s.io/") || path.starts_with("/api/") => {
            return Failure::no_such_resource().response();
        }
        _ => return not_found(),
    };
    json_response(200, body.to_string().into_bytes())
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "37",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "36", "gitVersion": "v1.37.2", "gitCommit": "", "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "leasehold/embedded",
    })
}

fn group() -> Value {
    let version = json!({"groupVersion": "coordination.k8s.io/v1", "version": "v1"});
    json!({"name": "coordination.k8s.io", "versions": [version], "preferredVersion": version})
}

pub(crate) fn served(group: &str) -> impl Iterator<Item = &'static Resource> {
    Kind::ALL.into_iter().map(Kind::resource).filter(move |resource| resource.group == group)
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    let all = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    all.into_iter().filter(|verb| resource.namespaced || *verb != "deletecollection").collect()
}

fn resource_list(group: &str) -> Value {
    let mut resources = Vec::new();
    for resource in served(group) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": verbs(resource),
            "storageVersionHash": resource.storage_hash,
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        resources.push(entry);
        if resource.has_status {
            resources.push(json!({
                "name": format!("{}/status", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": resource.kind, "verbs": ["get", "patch", "update"],
            }));
        }
    }
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

fn aggregate(group: &str) -> Value {
    let resources: Vec<Value> = served(group)
        .map(|resource| {
            let kind = json!({"group": "", "version": "", "kind": resource.kind});
            let mut entry = json!({
                "resource": resource.plural, "responseKind": kind,
                "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
                "singularResource": resource.singular, "verbs": verbs(resource),
            });
            if !resource.short_names.is_empty() {
                entry["shortNames"] = json!(resource.short_names);
            }
            if resource.has_status {
                let verbs = ["get", "patch", "update"];
                entry["subresources"] =
                    json!([{"subresource": "status", "responseKind": kind, "verbs": verbs}]);
            }
            entry
        })
        .collect();
    let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
        "items": [{
            "metadata": metadata,
            "versions": [{"version": "v1", "resources": resources, "freshness": "Current"}],
        }],
    })
}

fn group_list(body: &Value) -> Response<Vec<u8>> {
    let mut response = json_response(200, body.to_string().into_bytes());
    let content_type = HeaderValue::from_static(AGGREGATED);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}

fn not_found() -> Response<Vec<u8>> {
    plain(404, "404 page not found\n")
}

fn plain(code: u16, text: &str) -> Response<Vec<u8>> {
    let mut response = json_response(code, text.as_bytes().to_vec());
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
