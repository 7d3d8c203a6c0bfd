//! `DeleteOptions`: what a DELETE is to do, from its body or else from its query, and its conditions.

use serde_json::{Value, json};

use super::body::{self, PROTOBUF};
use super::kind::Kind;
use super::object::Object;
use super::proto;
use super::request::Call;
use super::shape::normalise;
use super::shapes::DELETE_OPTIONS;
use super::status::{Failure, FieldError};

/// The options of a deletion.
#[derive(Debug, Default)]
pub(crate) struct Options {
    uid: Option<String>,
    resource_version: Option<String>,
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) dry_run: bool,
}

impl Options {
    /// Reads them. A body is all that counts if there is one.
    ///
    /// # Errors
    ///
    /// A body that is none, or options that do not go together: nothing is deleted then.
    pub(crate) fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let given = if call.body.is_empty() { from_query(call)? } else { from_body(call)? };
        check(&given)?;
        let orphan = (given["orphanDependents"] == json!(true)).then(|| "Orphan".to_owned());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Ok(Self {
            uid: text(&given["preconditions"]["uid"]),
            resource_version: text(&given["preconditions"]["resourceVersion"]),
            grace_period_seconds: given["gracePeriodSeconds"].as_i64(),
            propagation: text(&given["propagationPolicy"]).or(orphan),
            dry_run: given["dryRun"].as_array().is_some_and(|list| !list.is_empty()),
        })
    }

    /// Whether an object is the one that is to be deleted.
    ///
    /// # Errors
    ///
    /// If it has another uid or version.
    pub(crate) fn check(&self, object: &Object) -> Result<(), Failure> {
        let resource = object.kind.resource();
        let revision = object.revision.to_string();
        let refuse = |why: String| {
            let mut failure = Failure::conflict(resource, object.name(), &why);
            failure.message = format!(
                "Operation cannot be fulfilled on {} \"{}\": {why}",
                kind_and_group(object.kind),
                object.name()
            );
            failure.detail("kind", json!(resource.kind));
            failure
        };
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != object.uid()) {
            return Err(refuse(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                object.uid()
            )));
        }
        if let Some(version) = self.resource_version.as_deref().filter(|version| *version != revision) {
            return Err(refuse(format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
            )));
        }
        Ok(())
    }
}

fn from_query(call: &Call<'_>) -> Result<Value, Failure> {
    Ok(json!({
        "gracePeriodSeconds": call.query.number("gracePeriodSeconds")?,
        "propagationPolicy": call.query.first("propagationPolicy"),
        "dryRun": call.query.all("dryRun").collect::<Vec<_>>(),
    }))
}

fn from_body(call: &Call<'_>) -> Result<Value, Failure> {
    if call.content_type == PROTOBUF {
        let message =
            proto::open(call.body).and_then(|envelope| proto::read(&DELETE_OPTIONS, envelope.message));
        return message
            .ok_or_else(|| Failure::bad_request("the body is no protobuf message of type DeleteOptions"));
    }
    if !body::is_json(call) {
        return Err(body::unsupported(call));
    }
    let mut options = body::parse(call.body)
        .map_err(|why| Failure::bad_request(format!("couldn't get version/kind; json parse error: {why}")))?;
    let (kind, version) = body::take_type(&mut options);
    // Any group may call the options its own (`AddUnversionedTypes` of apimachinery's internalversion).
    if let Some(kind) = kind.filter(|kind| kind != KIND) {
        let version = version.unwrap_or_else(|| "meta.k8s.io/v1".into());
        return Err(Failure::bad_request(body::unregistered(&kind, &version)));
    }
    normalise(&DELETE_OPTIONS, &mut options).map_err(Failure::bad_request)?;
    Ok(options)
}

fn check(options: &Value) -> Result<(), Failure> {
    let mut errors = Vec::new();
    let propagation = &options["propagationPolicy"];
    if !options["orphanDependents"].is_null() && !propagation.is_null() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(FieldError::invalid("propagationPolicy", propagation, why));
    }
    if propagation.as_str().is_some_and(|propagation| !PROPAGATIONS.contains(&propagation)) {
        let supported = ["Foreground", "Background", "Orphan", "nil"];
        errors.push(FieldError::unsupported("propagationPolicy", propagation, &supported));
    }
    let dry_run = &options["dryRun"];
    if dry_run.as_array().is_some_and(|list| list.iter().any(|value| *value != json!("All"))) {
        errors.push(FieldError::unsupported("dryRun", dry_run, &["All"]));
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::invalid("meta.k8s.io", KIND, "", &errors)) }
}

fn kind_and_group(kind: Kind) -> String {
    let resource = kind.resource();
    if resource.group.is_empty() {
        resource.kind.into()
    } else {
        format!("{}.{}", resource.kind, resource.group)
    }
}

const KIND: &str = "DeleteOptions";
const PROPAGATIONS: [&str; 3] = ["Foreground", "Background", "Orphan"];

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn read(body: &str) -> Result<Options, Failure> {
        let request = Request::delete("/apis/coordination.k8s.io/v1/namespaces/prod/leases/db");
        let request = request.body(body.as_bytes().to_vec()).unwrap();
        Options::read(&Call::read(&request).unwrap().unwrap())
    }

    #[test]
    fn a_body_that_is_no_options_is_refused() {
        for body in ["[]", "5", "{", r#"{"preconditions": 5}"#, r#"{"kind": "Lease"}"#, r#"{"kind": 1}"#] {
            assert_eq!(read(body).unwrap_err().code, 400, "{body}");
        }
        assert_eq!(read(r#"{"dryRun": ["Some"]}"#).unwrap_err().code, 422);
        assert_eq!(read(r#"{"propagationPolicy": "Odd"}"#).unwrap_err().code, 422);
        assert!(read("null").is_ok());
        assert!(read(r#"{"kind": "DeleteOptions", "apiVersion": "v1", "unknown": 1}"#).is_ok());
        assert!(read(r#"{"dryRun": ["All"]}"#).unwrap().dry_run);
    }
}
