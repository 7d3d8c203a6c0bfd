//! OpenAPI v3, generated from the shapes: enough for kubectl to validate on the server and to explain fields.

use serde_json::{Map, Value, json};

use super::discovery::served;
use super::kind::Resource;
use super::shape::{Shape, Struct};

/// Where the documents are.
pub(crate) fn index() -> Value {
    let at = |path: &str| json!({"serverRelativeURL": format!("/openapi/v3/{path}")});
    json!({"paths": {
        "api/v1": at("api/v1"),
        "apis/coordination.k8s.io/v1": at("apis/coordination.k8s.io/v1"),
    }})
}

/// The document of a group.
pub(crate) fn document(group: &str) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for resource in served(group) {
        let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        let collection = format!("{root}{scope}/{}", resource.plural);
        paths.insert(
            format!("{collection}/{{name}}"),
            operations(resource, &["get", "put", "patch", "delete"]),
        );
        paths.insert(collection, operations(resource, &["get", "post", "delete"]));
        add_schema(resource, &mut schemas);
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths, "components": {"schemas": schemas},
    })
}

fn operations(resource: &Resource, methods: &[&str]) -> Value {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
    let parameters: Vec<Value> =
        ["dryRun", "fieldManager", "fieldValidation"].into_iter().map(parameter).collect();
    let reference = json!({"$ref": format!("#/components/schemas/{}", name(resource, resource.kind))});
    let operation = |method: &&str| {
        let action = match *method {
            "get" => "list",
            method => method,
        };
        let operation = json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource),
        });
        ((*method).to_owned(), operation)
    };
    Value::Object(methods.iter().map(operation).collect())
}

fn add_schema(resource: &Resource, schemas: &mut Map<String, Value>) {
    let Shape::Struct(object) = resource.shape else { return };
    let mut schema = struct_schema(resource, object, schemas);
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["x-kubernetes-group-version-kind"] = json!([gvk(resource)]);
    schemas.insert(name(resource, object.name), schema);
}

fn struct_schema(resource: &Resource, object: &Struct, schemas: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in object.fields {
        properties.insert(field.name.into(), schema(resource, &field.shape, schemas));
    }
    json!({"type": "object", "properties": properties})
}

fn schema(resource: &Resource, shape: &Shape, schemas: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Any | Shape::Open(_) => {
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
        }
        Shape::Text => json!({"type": "string"}),
        Shape::Bytes => json!({"type": "string", "format": "byte"}),
        Shape::Time | Shape::MicroTime => json!({"type": "string", "format": "date-time"}),
        Shape::Int32 => json!({"type": "integer", "format": "int32"}),
        Shape::Int64 => json!({"type": "integer", "format": "int64"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Map(element) => {
            json!({"type": "object", "additionalProperties": schema(resource, element, schemas)})
        }
        Shape::List(element, _) => json!({"type": "array", "items": schema(resource, element, schemas)}),
        Shape::Struct(object) => {
            let name = name(resource, object.name);
            if !schemas.contains_key(&name) {
                let schema = struct_schema(resource, object, schemas);
                schemas.insert(name.clone(), schema);
            }
            json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]})
        }
    }
}

/// As the real server names its types.
fn name(resource: &Resource, kind: &str) -> String {
    let group = if resource.group.is_empty() { "core" } else { "coordination" };
    format!("io.k8s.api.{group}.v1.{kind}")
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}
