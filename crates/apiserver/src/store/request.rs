//! What a request asks for: path, query and headers, read once.

use std::borrow::Cow;

use http::{HeaderMap, Method, Request};

use super::go_json::is_printable;
use super::kind::Kind;
use super::status::Failure;

/// A request about objects.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) verb: Verb,
    pub(crate) kind: Kind,
    /// Empty: all, or a kind without namespaces.
    pub(crate) namespace: String,
    /// Empty: the collection.
    pub(crate) name: String,
    pub(crate) subresource: Subresource,
    pub(crate) query: Query<'a>,
    pub(crate) body: &'a [u8],
    pub(crate) content_type: String,
    /// Who writes, if the query does not say.
    pub(crate) user_agent: String,
    pub(crate) accept: Accept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Create,
    Get,
    List,
    Watch,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

/// The part of an object that a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subresource {
    None,
    Status,
    /// Of namespaces.
    Finalize,
}

/// In which form answers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    Object,
    Table(Include),
    /// PartialObjectMetadata: only what is in `metadata`.
    Metadata,
}

/// What the rows of a table carry (`includeObject`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    Nothing,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Objects {
        kind: Kind,
        namespace: String,
        name: String,
        subresource: Subresource,
        watch: bool,
    },
    /// A path below a served group version that names no resource.
    NoResource,
    /// Everything else: discovery, health, or nothing.
    Other,
}

impl<'a> Call<'a> {
    /// Reads a request that leads to objects; none for other paths.
    ///
    /// # Errors
    ///
    /// A method, path or header that is refused before anything is looked at.
    pub(crate) fn read(request: &'a Request<Vec<u8>>) -> Result<Option<Self>, Failure> {
        let (kind, namespace, name, subresource, watch_path) = match route(request.uri().path()) {
            Route::Objects { kind, namespace, name, subresource, watch } => {
                (kind, namespace, name, subresource, watch)
            }
            Route::NoResource => return Err(Failure::no_such_resource()),
            Route::Other => return Ok(None),
        };
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let watch = watch_path || query.is_true("watch");
        let all = namespace.is_empty() && kind.resource().namespaced;
        let method = request.method();
        let verb = match (method, name.is_empty()) {
            _ if subresource == Subresource::Finalize && method != Method::PUT => {
                return Err(Failure::method_not_allowed());
            }
            (&Method::GET, true) if watch => Verb::Watch,
            (&Method::GET, false) if watch_path => Verb::Watch,
            (&Method::GET, true) => Verb::List,
            (&Method::GET, false) => Verb::Get,
            (&Method::POST, true) if !all => Verb::Create,
            (&Method::DELETE, true) if !all && kind != Kind::Namespace => Verb::DeleteCollection,
            (&Method::PUT, false) => Verb::Update,
            (&Method::PATCH, false) => Verb::Patch,
            (&Method::DELETE, false) if subresource == Subresource::None => Verb::Delete,
            _ => return Err(Failure::method_not_allowed()),
        };
        let headers = request.headers();
        let include = match query.text("includeObject") {
            "Object" => Include::Object,
            "None" => Include::Nothing,
            // What is none of these is refused when all else is done.
            _ => Include::Metadata,
        };
        let content_type =
            text(headers, http::header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
        Ok(Some(Self {
            verb,
            kind,
            namespace,
            name,
            subresource,
            query,
            body: request.body(),
            content_type: content_type.to_owned(),
            user_agent: text(headers, http::header::USER_AGENT).to_owned(),
            accept: accept(text(headers, http::header::ACCEPT), include)?,
        }))
    }

    /// The manager of the fields that this request writes.
    pub(crate) fn manager(&self) -> String {
        let named = self.query.first("fieldManager").filter(|manager| !manager.is_empty());
        let manager = named.map_or_else(|| from_user_agent(&self.user_agent), str::to_owned);
        if manager.is_empty() { "unknown".into() } else { manager }
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.query.all("dryRun").any(|value| value == "All")
    }
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(crate) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        });
        Self { pairs: pairs.collect() }
    }

    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// The first value, or nothing.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.first(key).unwrap_or_default()
    }

    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_ref())
    }

    /// As apimachinery reads a bool: present and neither `false` nor `0`.
    pub(crate) fn is_true(&self, key: &str) -> bool {
        self.first(key).is_some_and(|value| !matches!(value.to_lowercase().as_str(), "false" | "0"))
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.first(key).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| Failure::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
    }
}

/// Where a path leads.
pub(crate) fn route(path: &str) -> Route {
    let decoded: Vec<Cow<'_, str>> = path.split('/').skip(1).map(decode).collect();
    let parts: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
    let (group, rest) = match parts.as_slice() {
        ["api", "v1", rest @ ..] => ("", rest),
        ["apis", "coordination.k8s.io", "v1", rest @ ..] => ("coordination.k8s.io", rest),
        _ => return Route::Other,
    };
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        _ => (false, rest),
    };
    let found = match rest {
        [] | [""] => return Route::Other,
        ["namespaces"] => Some((Kind::Namespace, "", "", "")),
        ["namespaces", name] => Some((Kind::Namespace, "", *name, "")),
        ["namespaces", name, part @ ("status" | "finalize")] => Some((Kind::Namespace, "", *name, *part)),
        ["namespaces", namespace, plural, rest @ ..] => in_namespace(group, namespace, plural, rest),
        [plural] => Kind::find(group, plural).map(|kind| (kind, "", "", "")),
        _ => None,
    };
    let Some((kind, namespace, name, part)) = found.filter(|(kind, ..)| kind.resource().group == group)
    else {
        return Route::NoResource;
    };
    let subresource = match part {
        "" => Subresource::None,
        "status" => Subresource::Status,
        _ => Subresource::Finalize,
    };
    Route::Objects { kind, namespace: namespace.into(), name: name.into(), subresource, watch }
}

fn in_namespace<'a>(
    group: &str,
    namespace: &'a str,
    plural: &str,
    rest: &[&'a str],
) -> Option<(Kind, &'a str, &'a str, &'a str)> {
    let kind = Kind::find(group, plural).filter(|kind| kind.resource().namespaced)?;
    match rest {
        [] => Some((kind, namespace, "", "")),
        [name] => Some((kind, namespace, name, "")),
        [name, "status"] if kind.resource().has_status => Some((kind, namespace, name, "status")),
        _ => None,
    }
}

/// The first form that is wanted and can be had.
///
/// # Errors
///
/// If there is none.
fn accept(header: &str, include: Include) -> Result<Accept, Failure> {
    if header.is_empty() {
        return Ok(Accept::Object);
    }
    let named = |range: &str| MEDIA_RANGES.contains(&range.split(';').next().unwrap_or_default().trim());
    if !header.split(',').any(named) {
        return Err(Failure::not_routable());
    }
    for range in header.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        if !matches!(media_type, "application/json" | "application/*" | "*/*") {
            continue;
        }
        let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
        let parameter = |key: &str| parameters.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        match (parameter("as"), parameter("g"), parameter("v")) {
            (None, ..) => return Ok(Accept::Object),
            (Some("Table"), Some("meta.k8s.io"), Some("v1")) => return Ok(Accept::Table(include)),
            (
                Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
                Some("meta.k8s.io"),
                Some("v1"),
            ) => {
                return Ok(Accept::Metadata);
            }
            (Some(_), ..) => {}
        }
    }
    Err(Failure::not_acceptable())
}

/// What precedes the first slash, without what cannot be printed.
fn from_user_agent(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    let mut manager = String::new();
    for letter in name.chars().filter(|letter| is_printable(*letter)) {
        if manager.len() + letter.len_utf8() > MANAGER_BYTES_MAX {
            break;
        }
        manager.push(letter);
    }
    manager
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Percent decoding; a plus is a space.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = escaped.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        rest = if byte.is_some() { &tail[2..] } else { tail };
        bytes.push(byte.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

/// What an `Accept` must name, so that the real server finds a handler at all: `application/*` is not among it.
const MEDIA_RANGES: [&str; 4] =
    ["*/*", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
const MANAGER_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_objects_collections_and_nowhere() {
        let objects = |path: &str| match route(path) {
            Route::Objects { kind, namespace, name, .. } => Some((kind, namespace, name)),
            Route::NoResource | Route::Other => None,
        };
        let lease = |name: &str| Some((Kind::Lease, "prod".to_owned(), name.to_owned()));
        assert_eq!(objects("/apis/coordination.k8s.io/v1/namespaces/prod/leases/db"), lease("db"));
        assert_eq!(objects("/apis/coordination.k8s.io/v1/namespaces/prod/leases"), lease(""));
        assert_eq!(objects("/api/v1/namespaces/prod"), Some((Kind::Namespace, String::new(), "prod".into())));
        assert_eq!(objects("/api/v1/pods"), Some((Kind::Pod, String::new(), String::new())));
        assert_eq!(route("/api/v1/namespaces/prod/leases"), Route::NoResource);
        assert_eq!(route("/api/v1/secrets"), Route::NoResource);
        assert_eq!(route("/api/v1"), Route::Other);
        assert_eq!(route("/nothing"), Route::Other);
    }

    #[test]
    fn the_form_of_the_answer_is_the_first_that_can_be_had() {
        let accept = |header| accept(header, Include::Metadata);
        assert_eq!(
            accept("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").unwrap(),
            Accept::Table(Include::Metadata)
        );
        assert_eq!(accept("application/vnd.kubernetes.protobuf,application/json").unwrap(), Accept::Object);
        assert_eq!(accept("*/*").unwrap(), Accept::Object);
        for refused in ["application/vnd.kubernetes.protobuf", "application/*", "text/html"] {
            assert_eq!(accept(refused).unwrap_err().code, 406, "{refused}");
        }
    }

    #[test]
    fn managers_are_named_by_what_can_be_printed() {
        assert_eq!(from_user_agent("ku\u{7}be\u{a0}ctl\u{200b}e\u{301}\\/v1"), "kubectle\u{301}\\");
    }

    #[test]
    fn queries_are_decoded() {
        let query =
            Query::parse("fieldSelector=metadata.name%3Ddb&watch=1&labelSelector=a+in+(b)&watch2=false");
        assert_eq!(query.text("fieldSelector"), "metadata.name=db");
        assert_eq!(query.text("labelSelector"), "a in (b)");
        assert!(query.is_true("watch") && !query.is_true("watch2") && !query.is_true("other"));
        assert_eq!(from_user_agent("kubectl/v1.37.2 (linux)"), "kubectl");
    }
}
