//! What the real server refuses about the subsets of Endpoints (`validateEndpointSubsets` of `pkg/apis/core/validation`).

use std::net::IpAddr;

use serde_json::Value;

use super::names;
use super::status::FieldError;

/// Everything that is wrong with `subsets`.
pub(crate) fn subsets(subsets: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, subset) in items(subsets).enumerate() {
        let path = format!("subsets[{index}]");
        let lists = ["addresses", "notReadyAddresses"];
        if lists.iter().all(|list| items(&subset[*list]).next().is_none()) {
            let why = "must specify `addresses` or `notReadyAddresses`";
            errors.push(FieldError::required(path.clone(), why));
        }
        for list in lists {
            for (at, address) in items(&subset[list]).enumerate() {
                errors.extend(address_errors(address, &format!("{path}.{list}[{at}]")));
            }
        }
        let several = items(&subset["ports"]).count() > 1;
        for (at, port) in items(&subset["ports"]).enumerate() {
            errors.extend(port_errors(port, several, &format!("{path}.ports[{at}]")));
        }
    }
    errors
}

fn address_errors(address: &Value, path: &str) -> Vec<FieldError> {
    let ip = &address["ip"];
    let parsed = ip.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let refuse =
        |field: &str, why: &str| FieldError::invalid(format!("{path}.{field}"), &address[field], why);
    let mut errors = Vec::new();
    if parsed.is_none() {
        errors.push(refuse("ip", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
    }
    if let Some(hostname) = address["hostname"].as_str() {
        errors.extend(names::label(hostname).iter().map(|why| refuse("hostname", why)));
    }
    if let Some(node) = address["nodeName"].as_str() {
        errors.extend(names::subdomain(node).iter().map(|why| refuse("nodeName", why)));
    }
    match parsed {
        Some(parsed) => errors.extend(special(parsed, ip).map(|why| refuse("ip", &why))),
        None => errors.push(refuse("ip", "must be a valid IP address")),
    }
    errors
}

/// Why an address is none of another machine.
fn special(ip: IpAddr, given: &Value) -> Option<String> {
    let ip = ip.to_canonical();
    let (link_local, link_local_multicast) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), ip.segments()[0] & 0xff0f == 0xff02),
    };
    if ip.is_unspecified() {
        return Some(format!("may not be unspecified ({})", given.as_str().unwrap_or_default()));
    }
    let why = if ip.is_loopback() {
        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    } else if link_local {
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    } else if link_local_multicast {
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    } else {
        return None;
    };
    Some(why.into())
}

fn port_errors(port: &Value, needs_name: bool, path: &str) -> Vec<FieldError> {
    let place = |field: &str| format!("{path}.{field}");
    let mut errors = Vec::new();
    match port["name"].as_str() {
        Some(name) => errors.extend(
            names::label(name).iter().map(|why| FieldError::invalid(place("name"), &port["name"], why)),
        ),
        None if needs_name => errors.push(FieldError::required(place("name"), "")),
        None => {}
    }
    if !port["port"].as_i64().is_some_and(|number| (1..=65_535).contains(&number)) {
        let why = "must be between 1 and 65535, inclusive";
        errors.push(FieldError::invalid(place("port"), &port["port"], why));
    }
    if port["protocol"].as_str().is_some_and(|protocol| !PROTOCOLS.contains(&protocol)) {
        errors.push(FieldError::unsupported(place("protocol"), &port["protocol"], &PROTOCOLS));
    }
    if let Some(protocol) = port["appProtocol"].as_str() {
        let wrong = names::qualified(protocol);
        errors.extend(
            wrong.iter().map(|why| FieldError::invalid(place("appProtocol"), &port["appProtocol"], why)),
        );
    }
    errors
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::status::Failure;

    fn refusal(subset: &Value) -> String {
        Failure::invalid("", "Endpoints", "e", &subsets(&json!([subset]))).message
    }

    #[test]
    fn an_address_is_that_of_another_machine() {
        let of = |ip: &str| refusal(&json!({"addresses": [{"ip": ip}]}));
        assert_eq!(of("10.0.0.1"), "Endpoints \"e\" is invalid");
        assert!(of("0.0.0.0").ends_with("may not be unspecified (0.0.0.0)"));
        assert!(of("127.9.9.9").ends_with("may not be in the loopback range (127.0.0.0/8, ::1/128)"));
        assert!(of("fe80::1").ends_with("may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
        assert!(of("224.0.0.9").ends_with("multicast range (224.0.0.0/24, ff02::/10)"));
    }

    #[test]
    fn a_port_has_a_number_a_protocol_and_among_several_a_name() {
        let with = |ports: Value| refusal(&json!({"addresses": [{"ip": "10.0.0.1"}], "ports": ports}));
        let fine = json!({"port": 80, "protocol": "TCP"});
        assert_eq!(with(json!([fine])), "Endpoints \"e\" is invalid");
        assert!(
            with(json!([fine, {"name": "b", "port": 81, "protocol": "UDP"}]))
                .ends_with("subsets[0].ports[0].name: Required value")
        );
        assert!(with(json!([{"port": 70_000, "protocol": "TCP"}])).ends_with("1 and 65535, inclusive"));
        assert!(
            with(json!([{"port": 80, "protocol": "X"}]))
                .ends_with("Unsupported value: \"X\": supported values: \"SCTP\", \"TCP\", \"UDP\"")
        );
    }
}
