//! Label and field selectors: equality and sets.

use serde_json::Value;

use super::kind::Kind;
use super::labels::{self, Requirement};

/// Which objects a request is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug)]
struct FieldTerm {
    path: String,
    equal: bool,
    value: String,
}

impl Selector {
    /// Reads both query parameters.
    ///
    /// # Errors
    ///
    /// Why one of them is refused.
    pub(crate) fn parse(kind: Kind, labels: &str, fields: &str) -> Result<Self, String> {
        let labels = labels::parse(labels)?;
        let fields = fields
            .split(',')
            .filter(|term| !term.is_empty())
            .map(|term| field_term(kind, term))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// The one name that can match, if the selector says so.
    pub(crate) fn name(&self) -> Option<&str> {
        let exact = |term: &&FieldTerm| term.equal && term.path == "metadata.name";
        self.fields.iter().find(exact).map(|term| term.value.as_str())
    }

    pub(crate) fn add_name(&mut self, name: &str) {
        self.fields.push(FieldTerm { path: "metadata.name".into(), equal: true, value: name.into() });
    }

    pub(crate) fn matches(&self, kind: Kind, object: &Value) -> bool {
        self.labels.iter().all(|term| term.matches(object))
            && self.fields.iter().all(|term| (field(kind, object, &term.path) == term.value) == term.equal)
    }
}

fn field_term(kind: Kind, term: &str) -> Result<FieldTerm, String> {
    let (path, equal, value) = if let Some((path, value)) = term.split_once("!=") {
        (path, false, value)
    } else if let Some((path, value)) = term.split_once("==") {
        (path, true, value)
    } else if let Some((path, value)) = term.split_once('=') {
        (path, true, value)
    } else {
        return Err(format!("invalid selector: '{term}'; can't understand '{term}'"));
    };
    if !fields(kind).contains(&path) && !["metadata.name", "metadata.namespace"].contains(&path) {
        let known = matches!(kind, Kind::Pod | Kind::Event | Kind::Namespace);
        return Err(if known {
            format!("field label not supported: {path}")
        } else {
            format!(
                "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )
        });
    }
    Ok(FieldTerm { path: path.into(), equal, value: value.into() })
}

/// The fields that can be selected, beside name and namespace.
fn fields(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Kind::Namespace => &["status.phase", "name"],
        Kind::ConfigMap | Kind::Endpoints | Kind::Lease => &[],
    }
}

/// The value of a selectable field; absent is empty.
fn field(kind: Kind, object: &Value, path: &str) -> String {
    let path = match (kind, path) {
        (Kind::Event, "source") => {
            let component = at(object, "source.component");
            return if component.is_empty() { at(object, "reportingComponent") } else { component };
        }
        (Kind::Namespace, "name") => "metadata.name",
        (_, path) => path,
    };
    let found = at(object, path);
    if path == "spec.hostNetwork" && found.is_empty() { "false".into() } else { found }
}

fn at(object: &Value, path: &str) -> String {
    match path.split('.').try_fold(object, |value, part| value.get(part)) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_selectors_are_limited_to_what_the_real_server_indexes() {
        let selector = Selector::parse(Kind::Lease, "", "metadata.name=db").unwrap();
        assert_eq!(selector.name(), Some("db"));
        assert!(selector.matches(Kind::Lease, &json!({"metadata": {"name": "db"}})));
        assert!(!selector.matches(Kind::Lease, &json!({"metadata": {"name": "other"}})));
        assert_eq!(
            Selector::parse(Kind::Lease, "", "spec.holderIdentity=a").unwrap_err(),
            r#""spec.holderIdentity" is not a known field selector: only "metadata.name", "metadata.namespace""#
        );
        let event = json!({"involvedObject": {"name": "db", "kind": "Lease"}, "source": {"component": "me"}});
        let selector =
            Selector::parse(Kind::Event, "", "involvedObject.name=db,source=me,type!=Warning").unwrap();
        assert!(selector.matches(Kind::Event, &event));
    }
}
