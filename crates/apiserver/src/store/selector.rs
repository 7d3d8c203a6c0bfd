//! Label and field selectors: equality and sets.

use serde_json::Value;

use super::kind::Kind;

/// Which objects a request is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug)]
struct LabelTerm {
    key: String,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Present,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
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
        let labels = split_terms(labels)
            .into_iter()
            .map(|term| label_term(&term).map_err(|why| format!("unable to parse requirement: {why}")))
            .collect::<Result<_, _>>()?;
        let fields =
            split_terms(fields).into_iter().map(|term| field_term(kind, &term)).collect::<Result<_, _>>()?;
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

impl LabelTerm {
    fn matches(&self, object: &Value) -> bool {
        let value = object["metadata"]["labels"].get(&self.key).and_then(Value::as_str);
        match &self.wanted {
            Wanted::Present => value.is_some(),
            Wanted::Absent => value.is_none(),
            Wanted::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Wanted::NotIn(values) => value.is_none_or(|value| values.iter().all(|wanted| wanted != value)),
        }
    }
}

/// Splits at commas outside parentheses.
fn split_terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut depth = 0_u32;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(String::new());
                continue;
            }
            _ => {}
        }
        terms.last_mut().expect("starts with one").push(letter);
    }
    terms.into_iter().map(|term| term.trim().to_owned()).filter(|term| !term.is_empty()).collect()
}

fn label_term(term: &str) -> Result<LabelTerm, String> {
    let of = |key: &str, wanted| valid_key(key.trim()).map(|key| LabelTerm { key, wanted });
    if !term.contains('(')
        && let Some(at) = term.find(['=', '!']).filter(|at| *at > 0)
    {
        let (key, rest) = term.split_at(at);
        return match (rest.strip_prefix("!="), rest.strip_prefix("==").or(rest.strip_prefix('='))) {
            (Some(value), _) => of(key, Wanted::NotIn(vec![valid_value(value.trim())?])),
            (None, Some(value)) => of(key, Wanted::In(vec![valid_value(value.trim())?])),
            (None, None) => Err(unexpected(rest)),
        };
    }
    if let Some(key) = term.strip_prefix('!') {
        return of(key, Wanted::Absent);
    }
    let Some((key, rest)) = term.split_once(char::is_whitespace) else { return of(term, Wanted::Present) };
    let rest = rest.trim();
    let (operator, values) = rest.split_at(rest.find([' ', '(']).unwrap_or(rest.len()));
    if !matches!(operator, "in" | "notin") {
        return Err(unexpected(operator));
    }
    let values = values.trim();
    let Some(inner) = values.strip_prefix('(').and_then(|values| values.strip_suffix(')')) else {
        return Err(format!("found '{values}' expected: '('"));
    };
    let values = inner.split(',').map(|value| valid_value(value.trim())).collect::<Result<_, _>>()?;
    of(key, if operator == "in" { Wanted::In(values) } else { Wanted::NotIn(values) })
}

fn unexpected(found: &str) -> String {
    format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt")
}

fn valid_key(key: &str) -> Result<String, String> {
    match super::names::qualified(key).as_slice() {
        [] => Ok(key.to_owned()),
        [why, ..] => Err(format!("<nil>: Invalid value: {key:?}: {why}")),
    }
}

fn valid_value(value: &str) -> Result<String, String> {
    match super::names::label_value(value).as_slice() {
        [] => Ok(value.to_owned()),
        [why, ..] => Err(format!("values[0][0]: Invalid value: {value:?}: {why}")),
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

    fn selects(labels: &str, object: &Value) -> bool {
        Selector::parse(Kind::Lease, labels, "").unwrap().matches(Kind::Lease, object)
    }

    #[test]
    fn label_selectors_know_equality_sets_and_presence() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "a"}}});
        for yes in [
            "",
            "app=web",
            "app==web,tier",
            "app in (db, web)",
            "!zone",
            "zone!=x",
            "zone notin (a)",
            "app,tier in (a)",
        ] {
            assert!(selects(yes, &object), "{yes}");
        }
        for no in ["app=db", "app!=web", "zone", "!app", "app notin (web)", "zone in (a)"] {
            assert!(!selects(no, &object), "{no}");
        }
        assert!(Selector::parse(Kind::Lease, "a b", "").is_err());
    }

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
