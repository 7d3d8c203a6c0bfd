//! The kinds that are served, and how the real server treats each.

use super::shape::Shape;
use super::shapes;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    ConfigMap,
    Endpoints,
    Event,
    Namespace,
    Pod,
    Lease,
}

/// What is fixed about a kind.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) namespaced: bool,
    pub(crate) has_status: bool,
    /// A PUT of an absent object creates it (`AllowCreateOnUpdate` of the registry's strategy).
    pub(crate) create_on_update: bool,
    /// A PUT without resourceVersion overwrites (`AllowUnconditionalUpdate` of the registry's strategy).
    pub(crate) unconditional_update: bool,
    /// A DELETE answers with the object, not with a Status (`ReturnDeletedObject` of the registry).
    pub(crate) returns_deleted: bool,
    /// What discovery tells of the version that is stored: 8 bytes of the SHA-256 of `GROUP/VERSION/KIND` in base64
    /// (`pkg/endpoints/discovery/storageversionhash.go` of apiserver).
    pub(crate) storage_hash: &'static str,
    pub(crate) shape: &'static Shape,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::ConfigMap, Self::Endpoints, Self::Event, Self::Namespace, Self::Pod, Self::Lease];

    pub(crate) fn resource(self) -> &'static Resource {
        match self {
            Self::ConfigMap => &CONFIG_MAP,
            Self::Endpoints => &ENDPOINTS,
            Self::Event => &EVENT,
            Self::Namespace => &NAMESPACE,
            Self::Pod => &POD,
            Self::Lease => &LEASE,
        }
    }

    /// The kind behind a path of a group and a plural.
    pub(crate) fn find(group: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.resource().group == group && kind.resource().plural == plural)
    }
}

impl Resource {
    /// As `v1` or `coordination.k8s.io/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// As `pods` or `leases.coordination.k8s.io`: the words of refusals.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

const CORE: Resource = Resource {
    group: "",
    version: "v1",
    kind: "",
    plural: "",
    singular: "",
    short_names: &[],
    namespaced: true,
    has_status: false,
    create_on_update: false,
    unconditional_update: true,
    returns_deleted: false,
    storage_hash: "",
    shape: &Shape::Any,
};

static CONFIG_MAP: Resource = Resource {
    kind: "ConfigMap",
    plural: "configmaps",
    singular: "configmap",
    short_names: &["cm"],
    storage_hash: "qFsyl6wFWjQ=",
    shape: &shapes::CONFIG_MAP,
    ..CORE
};

static ENDPOINTS: Resource = Resource {
    kind: "Endpoints",
    plural: "endpoints",
    singular: "endpoints",
    short_names: &["ep"],
    create_on_update: true,
    storage_hash: "fWeeMqaN/OA=",
    shape: &shapes::ENDPOINTS,
    ..CORE
};

static EVENT: Resource = Resource {
    kind: "Event",
    plural: "events",
    singular: "event",
    short_names: &["ev"],
    create_on_update: true,
    storage_hash: "r2yiGXH7wu8=",
    shape: &shapes::EVENT,
    ..CORE
};

static NAMESPACE: Resource = Resource {
    kind: "Namespace",
    plural: "namespaces",
    singular: "namespace",
    short_names: &["ns"],
    namespaced: false,
    has_status: true,
    returns_deleted: true,
    storage_hash: "Q3oi5N2YM8M=",
    shape: &shapes::NAMESPACE,
    ..CORE
};

static POD: Resource = Resource {
    kind: "Pod",
    plural: "pods",
    singular: "pod",
    short_names: &["po"],
    has_status: true,
    returns_deleted: true,
    storage_hash: "xPOwRZ+Yhw8=",
    shape: &shapes::POD,
    ..CORE
};

static LEASE: Resource = Resource {
    group: "coordination.k8s.io",
    kind: "Lease",
    plural: "leases",
    singular: "lease",
    create_on_update: true,
    unconditional_update: false,
    storage_hash: "gqkMMb/YqFM=",
    shape: &shapes::LEASE,
    ..CORE
};
