//! The types of the served kinds. What nothing here reads (most of a Pod) is kept as it is given.

use super::shape::{Field, Merge, Shape, Struct};

/// `metadata` of every object.
static OBJECT_META: Struct = Struct {
    name: "ObjectMeta",
    atomic: false,
    fields: &[
        Field::of("name", Shape::Text),
        Field::of("generateName", Shape::Text),
        Field::of("namespace", Shape::Text),
        Field::of("selfLink", Shape::Text),
        Field::of("uid", Shape::Text),
        Field::of("resourceVersion", Shape::Text),
        Field::of("generation", Shape::Int64),
        Field::of("creationTimestamp", Shape::Time),
        Field::pointer("deletionTimestamp", Shape::Time),
        Field::pointer("deletionGracePeriodSeconds", Shape::Int64),
        Field::of("labels", Shape::Map(&Shape::Text)),
        Field::of("annotations", Shape::Map(&Shape::Text)),
        Field::of("ownerReferences", OWNER_REFERENCES),
        Field::of("finalizers", Shape::List(&Shape::Text, Merge::Set)),
        Field::of("managedFields", Shape::List(&Shape::Struct(&MANAGED_FIELDS), Merge::Atomic)).tagged(17),
    ],
};

/// `metadata.ownerReferences`.
pub(crate) const OWNER_REFERENCES: Shape =
    Shape::List(&Shape::Struct(&OWNER_REFERENCE), Merge::Keys(&["uid"]));

static OWNER_REFERENCE: Struct = Struct {
    name: "OwnerReference",
    atomic: true,
    fields: &[
        Field::written("apiVersion", Shape::Text).tagged(5),
        Field::written("kind", Shape::Text).tagged(1),
        Field::written("name", Shape::Text).tagged(3),
        Field::written("uid", Shape::Text).tagged(4),
        Field::pointer("controller", Shape::Bool).tagged(6),
        Field::pointer("blockOwnerDeletion", Shape::Bool).tagged(7),
    ],
};

static MANAGED_FIELDS: Struct = Struct {
    name: "ManagedFieldsEntry",
    atomic: false,
    fields: &[
        Field::of("manager", Shape::Text),
        Field::of("operation", Shape::Text),
        Field::of("apiVersion", Shape::Text),
        Field::pointer("time", Shape::Time),
        Field::of("fieldsType", Shape::Text).tagged(6),
        Field::pointer("fieldsV1", Shape::Any).tagged(7),
        Field::of("subresource", Shape::Text).tagged(8),
    ],
};

macro_rules! object {
    ($name:literal, $($field:expr),* $(,)?) => {
        Shape::Struct(&Struct {
            name: $name,
            atomic: false,
            fields: &[Field::written("metadata", Shape::Struct(&OBJECT_META)), $($field),*],
        })
    };
}

pub(crate) static LEASE: Shape = object!(
    "Lease",
    Field::written(
        "spec",
        Shape::Struct(&Struct {
            name: "LeaseSpec",
            atomic: false,
            fields: &[
                Field::pointer("holderIdentity", Shape::Text),
                Field::pointer("leaseDurationSeconds", Shape::Int32),
                Field::pointer("acquireTime", Shape::MicroTime),
                Field::pointer("renewTime", Shape::MicroTime),
                Field::pointer("leaseTransitions", Shape::Int32),
                Field::pointer("strategy", Shape::Text),
                Field::pointer("preferredHolder", Shape::Text),
            ],
        })
    ),
);

pub(crate) static CONFIG_MAP: Shape = object!(
    "ConfigMap",
    Field::of("data", Shape::Map(&Shape::Text)),
    Field::of("binaryData", Shape::Map(&Shape::Bytes)),
    Field::pointer("immutable", Shape::Bool),
);

pub(crate) static NAMESPACE: Shape = object!(
    "Namespace",
    Field::written(
        "spec",
        Shape::Struct(&Struct {
            name: "NamespaceSpec",
            atomic: false,
            fields: &[Field::of("finalizers", Shape::List(&Shape::Text, Merge::Atomic))],
        })
    ),
    Field::written("status", Shape::Open(&[("conditions", Merge::Keys(&["type"]))])),
);

static OBJECT_REFERENCE: Struct = Struct {
    name: "ObjectReference",
    atomic: true,
    fields: &[
        Field::of("kind", Shape::Text),
        Field::of("namespace", Shape::Text),
        Field::of("name", Shape::Text),
        Field::of("uid", Shape::Text),
        Field::of("apiVersion", Shape::Text),
        Field::of("resourceVersion", Shape::Text),
        Field::of("fieldPath", Shape::Text),
    ],
};

pub(crate) static EVENT: Shape = object!(
    "Event",
    Field::written("involvedObject", Shape::Struct(&OBJECT_REFERENCE)),
    Field::of("reason", Shape::Text),
    Field::of("message", Shape::Text),
    Field::written(
        "source",
        Shape::Struct(&Struct {
            name: "EventSource",
            atomic: false,
            fields: &[Field::of("component", Shape::Text), Field::of("host", Shape::Text)],
        })
    ),
    Field::written("firstTimestamp", Shape::Time),
    Field::written("lastTimestamp", Shape::Time),
    Field::of("count", Shape::Int32),
    Field::of("type", Shape::Text),
    Field::written("eventTime", Shape::MicroTime),
    Field::pointer(
        "series",
        Shape::Struct(&Struct {
            name: "EventSeries",
            atomic: false,
            fields: &[Field::of("count", Shape::Int32), Field::of("lastObservedTime", Shape::MicroTime)],
        })
    ),
    Field::of("action", Shape::Text),
    Field::pointer("related", Shape::Struct(&OBJECT_REFERENCE)),
    Field::written("reportingComponent", Shape::Text),
    Field::written("reportingInstance", Shape::Text),
);

static ENDPOINT_ADDRESS: Struct = Struct {
    name: "EndpointAddress",
    atomic: true,
    fields: &[
        Field::written("ip", Shape::Text),
        Field::of("hostname", Shape::Text).tagged(3),
        Field::pointer("nodeName", Shape::Text).tagged(4),
        Field::pointer("targetRef", Shape::Struct(&OBJECT_REFERENCE)).tagged(2),
    ],
};

static ENDPOINT_PORT: Struct = Struct {
    name: "EndpointPort",
    atomic: true,
    fields: &[
        Field::of("name", Shape::Text),
        Field::written("port", Shape::Int32),
        Field::of("protocol", Shape::Text),
        Field::pointer("appProtocol", Shape::Text),
    ],
};

pub(crate) static ENDPOINTS: Shape = object!(
    "Endpoints",
    Field::of(
        "subsets",
        Shape::List(
            &Shape::Struct(&Struct {
                name: "EndpointSubset",
                atomic: false,
                fields: &[
                    Field::of("addresses", Shape::List(&Shape::Struct(&ENDPOINT_ADDRESS), Merge::Atomic)),
                    Field::of(
                        "notReadyAddresses",
                        Shape::List(&Shape::Struct(&ENDPOINT_ADDRESS), Merge::Atomic)
                    ),
                    Field::of("ports", Shape::List(&Shape::Struct(&ENDPOINT_PORT), Merge::Atomic)),
                ],
            }),
            Merge::Atomic
        )
    ),
);

pub(crate) static POD: Shape = object!(
    "Pod",
    Field::written("spec", Shape::Open(POD_LISTS)),
    Field::written("status", Shape::Open(POD_LISTS)),
);

/// The lists of a Pod that are merged element by element, wherever they are.
const POD_LISTS: &[(&str, Merge)] = &[
    ("conditions", Merge::Keys(&["type"])),
    ("containers", Merge::Keys(&["name"])),
    ("env", Merge::Keys(&["name"])),
    ("ephemeralContainers", Merge::Keys(&["name"])),
    ("hostAliases", Merge::Keys(&["ip"])),
    ("hostIPs", Merge::Atomic),
    ("imagePullSecrets", Merge::Keys(&["name"])),
    ("initContainers", Merge::Keys(&["name"])),
    ("podIPs", Merge::Keys(&["ip"])),
    ("ports", Merge::Keys(&["containerPort", "protocol"])),
    ("topologySpreadConstraints", Merge::Keys(&["topologyKey", "whenUnsatisfiable"])),
    ("volumeDevices", Merge::Keys(&["devicePath"])),
    ("volumeMounts", Merge::Keys(&["mountPath"])),
    ("volumes", Merge::Keys(&["name"])),
];

/// An element of such a list.
pub(crate) static POD_PART: Shape = Shape::Open(POD_LISTS);

/// `DeleteOptions`.
pub(crate) static DELETE_OPTIONS: Shape = Shape::Struct(&Struct {
    name: "DeleteOptions",
    atomic: false,
    fields: &[
        Field::pointer("gracePeriodSeconds", Shape::Int64),
        Field::pointer(
            "preconditions",
            Shape::Struct(&Struct {
                name: "Preconditions",
                atomic: false,
                fields: &[Field::pointer("uid", Shape::Text), Field::pointer("resourceVersion", Shape::Text)],
            }),
        ),
        Field::pointer("orphanDependents", Shape::Bool),
        Field::pointer("propagationPolicy", Shape::Text),
        Field::of("dryRun", Shape::List(&Shape::Text, Merge::Atomic)),
    ],
});
