//! Tables: what kubectl prints.

use serde_json::json;

use super::super::script::{Case, get, post};
use super::{config_map, lease, lease_of};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![leases(), others()]
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// As kubectl asks.
const TABLE_OR_OBJECT: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn leases() -> Case {
    let steps = vec![
        get("leases").accept(TABLE),
        post("leases", &lease("a", "one")),
        post("leases", &lease_of("b", &json!({}))).accept(TABLE),
        get("leases").accept(TABLE),
        get("leases?limit=1").accept(TABLE_OR_OBJECT),
        get("leases/a").accept(TABLE),
        get("leases/none").accept(TABLE),
        get("leases/a?includeObject=None").accept(TABLE),
        get("leases/a?includeObject=Object").accept(TABLE),
        get("leases/a?includeObject=Odd").accept(TABLE),
        get("leases?fieldSelector=metadata.name%3Da").accept(TABLE_OR_OBJECT),
        get("leases/none?includeObject=Odd").accept(TABLE),
        get("leases?includeObject=None").accept(TABLE),
        post("leases?includeObject=Odd", &lease("c", "one")).accept(TABLE),
        get("leases/c?includeObject=Odd"),
    ];
    Case::new("tables of leases", steps)
}

fn others() -> Case {
    let steps = vec![
        post("configmaps", &config_map("a", "one")),
        get("configmaps").accept(TABLE),
        get("configmaps/a").accept(TABLE_OR_OBJECT),
        post("endpoints", &json!({"metadata": {"name": "e"}})),
        get("endpoints").accept(TABLE),
        get("/api/v1/namespaces/${ns}").accept(TABLE),
        get("pods").accept(TABLE),
        get("events").accept(TABLE),
    ];
    Case::new("tables of other kinds", steps)
}
