//! Which names are valid, and the sentences in which the real server refuses others.

/// Why a name is no DNS subdomain; empty if it is one.
pub(crate) fn subdomain(name: &str) -> Vec<String> {
    let mut errors = too_long(name, 253, "characters");
    if !is_subdomain(name) {
        errors.push(SUBDOMAIN.into());
    }
    errors
}

/// Why a name is no DNS label; empty if it is one.
pub(crate) fn label(name: &str) -> Vec<String> {
    let mut errors = too_long(name, 63, "characters");
    if !is_label(name) {
        errors.push(if is_subdomain(name) { "must not contain dots".into() } else { LABEL.into() });
    }
    errors
}

/// Why a key of a label, annotation or finalizer is not valid.
pub(crate) fn qualified(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let mut errors = Vec::new();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                errors.push("prefix part must be non-empty".into());
            } else {
                errors.extend(subdomain(prefix).into_iter().map(|error| format!("prefix part {error}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a valid label key {KEY} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push("name part must be non-empty".into());
    } else {
        errors.extend(too_long(name, 63, "bytes").into_iter().map(|error| format!("name part {error}")));
    }
    if !is_key(name) {
        errors.push(format!("name part {KEY}"));
    }
    errors
}

/// Why a value of a label is not valid.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    let mut errors = too_long(value, 63, "bytes");
    if !value.is_empty() && !is_key(value) {
        errors.push(LABEL_VALUE.into());
    }
    errors
}

/// Why a key of a ConfigMap is not valid.
pub(crate) fn config_key(key: &str) -> Vec<String> {
    let mut errors = too_long(key, 253, "characters");
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        errors.push(CONFIG_KEY.into());
    }
    if key == "." {
        errors.push("must not be '.'".into());
    } else if key == ".." {
        errors.push("must not be '..'".into());
    } else if key.starts_with("..") {
        errors.push("must not start with '..'".into());
    }
    errors
}

/// Older checks of the real server speak of characters, though they count bytes.
fn too_long(name: &str, bytes_max: usize, unit: &str) -> Vec<String> {
    let long = name.len() > bytes_max;
    long.then(|| format!("must be no more than {bytes_max} {unit}")).into_iter().collect()
}

fn is_subdomain(name: &str) -> bool {
    name.split('.').all(is_label)
}

fn is_label(name: &str) -> bool {
    let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().all(|byte| lower(byte) || byte == b'-')
        && name.bytes().next().is_some_and(lower)
        && name.bytes().last().is_some_and(lower)
}

fn is_key(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
    and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
    and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const KEY: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
    character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
    validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  \
    or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_the_words_of_the_real_server() {
        assert!(subdomain("my-lease.v1").is_empty());
        assert_eq!(subdomain("My_Lease").len(), 1);
        assert_eq!(subdomain(&"a".repeat(254)), ["must be no more than 253 characters"]);
        assert_eq!(label("a.b"), ["must not contain dots"]);
        assert!(label("A")[0].contains("(e.g. 'my-name',  or '123-abc', regex"));
        assert!(qualified("leasehold.dev/mark").is_empty());
        assert_eq!(qualified("/a"), ["prefix part must be non-empty"]);
        assert_eq!(qualified("a/").len(), 2);
        assert!(label_value("").is_empty());
        assert_eq!(label_value("-a").len(), 1);
        assert_eq!(config_key("a b").len(), 1);
        assert_eq!(config_key("..a"), ["must not start with '..'"]);
    }
}
