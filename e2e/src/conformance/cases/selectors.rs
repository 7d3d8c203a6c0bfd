//! Selectors, and lists in pieces.

use serde_json::json;

use super::super::script::{Case, get, post};
use super::{config_map, lease, with_metadata};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![labels(), fields(), pieces(), across_kinds()]
}

fn labels() -> Case {
    let labelled =
        |name: &str, labels| post("leases", &with_metadata(lease(name, "x"), &json!({"labels": labels})));
    let mut steps = vec![
        labelled("a", json!({"app": "db", "tier": "one"})),
        labelled("b", json!({"app": "web"})),
        labelled("c", json!({"tier": "two", "example.com/odd": "", "n": "5"})),
        post("leases", &lease("d", "x")),
    ];
    let selectors = [
        "app",
        "!app",
        "app=db",
        "app==db",
        "app!=db",
        "app in (db,web)",
        "app notin (db)",
        "app,tier",
        "n>4",
        "n<4",
        "example.com/odd=",
        "app=db,tier=two",
        "",
        "app in ()",
        "app=a b",
        "=a",
        "app in (db",
        "!app=db",
        "A B",
    ];
    let list = |selector: &&str| get(&format!("leases?labelSelector={}", encoded(selector)));
    steps.extend(selectors.iter().map(list));
    Case::new("label selectors", steps)
}

fn fields() -> Case {
    let mut steps = vec![post("leases", &lease("a", "x")), post("leases", &lease("b", "x"))];
    let selectors = [
        "metadata.name=a",
        "metadata.name==a",
        "metadata.name!=a",
        "metadata.namespace=${ns}",
        "metadata.namespace=other",
        "metadata.name=a,metadata.name=b",
        "metadata.name=none",
        "",
        "metadata.uid=x",
        "metadata.name in (a)",
        "a",
    ];
    let list = |selector: &&str| {
        // The namespace's reference is filled in later: its braces are not part of the value.
        get(&format!("leases?fieldSelector={}", encoded(selector).replace("%24%7Bns%7D", "${ns}")))
    };
    steps.extend(selectors.iter().map(list));
    Case::new("field selectors", steps)
}

fn pieces() -> Case {
    let mut steps: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| post("leases", &lease(name, "x"))).into();
    steps.extend([
        get("leases?limit=2"),
        get("leases?limit=2&continue=${continue}"),
        post("leases", &lease("aa", "x")),
        get("leases?limit=2&continue=${continue}"),
        get("leases?limit=500"),
        get("leases?limit=5&resourceVersion=0"),
        get("leases?limit=1&labelSelector=none"),
    ]);
    Case::new("a list in pieces", steps)
}

fn across_kinds() -> Case {
    let steps = vec![
        post("configmaps", &with_metadata(config_map("a", "x"), &json!({"labels": {"app": "db"}}))),
        post("configmaps", &config_map("b", "x")),
        get("configmaps?labelSelector=app%3Ddb"),
        get("configmaps?fieldSelector=metadata.name%3Db"),
        get("/api/v1/configmaps?fieldSelector=metadata.namespace%3D${ns}"),
        get("configmaps?fieldSelector=data.holder%3Dx"),
        get("endpoints?labelSelector=app%3Ddb"),
        get("endpoints?fieldSelector=odd%3Dx"),
    ];
    Case::new("selectors of other kinds", steps)
}

/// Percent-encoded as a query needs it.
fn encoded(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
