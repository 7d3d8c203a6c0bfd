//! What a person can do about a refusal of the API server, or about none being reached.

use leasehold_election::{LeaseName, Operation, Reason, Refusal};

/// A sentence, or a manifest, that mends the cause of `refusal`; `None` where waiting is all there is to do. `server`:
/// the address that was asked, since none of the messages tells it.
pub(crate) fn hint(
    refusal: &Refusal,
    operation: Operation,
    lease: &LeaseName,
    server: &str,
) -> Option<String> {
    let (namespace, name) = (lease.namespace(), lease.name());
    match refusal.reason {
        Reason::Forbidden => Some(forbidden(&refusal.message, operation, lease)),
        Reason::Unauthorized => Some(format!(
            "the API server {server} does not accept the credentials: is the token expired, withdrawn with its Pod, or of \
             another cluster?"
        )),
        Reason::Missing => Some(format!(
            "there is no Lease {name} in namespace {namespace}; a candidate whose on-missing is `create` makes it after one \
             lease duration, otherwise apply one with an empty spec"
        )),
        Reason::NamespaceMissing => Some(format!(
            "there is no namespace {namespace} at {server}: is it spelled as in `kubectl get namespaces`, and is this the \
             right cluster?"
        )),
        Reason::NamespaceTerminating => {
            Some(format!("namespace {namespace} is being deleted; nothing can be made in it"))
        }
        Reason::Unreachable => Some(unreachable(&refusal.message, server)),
        Reason::Timeout if refusal.code == 0 => Some(format!(
            "{server} took the request and did not answer in time, or drops what is sent to it: do a firewall, a \
             NetworkPolicy or a proxy stand between?"
        )),
        Reason::Invalid if refusal.message.contains(PLAIN_HTTP_ON_TLS_PORT) => Some(plain_http(server)),
        Reason::Unexpected => Some(format!(
            "this is no answer of a Kubernetes API server: is {server} the right address and port?"
        )),
        Reason::Coordinated => {
            Some(format!("leases/{name} is managed by the control plane; choose another lease name"))
        }
        _ => None,
    }
}

/// The server says 403 before it looks whether the namespace exists, so a name misspelled looks like a missing Role.
fn forbidden(message: &str, operation: Operation, lease: &LeaseName) -> String {
    let (namespace, name) = (lease.namespace(), lease.name());
    let verb = operation.rbac_verb();
    let account = message.split("system:serviceaccount:").nth(1).and_then(|rest| {
        let (home, rest) = rest.split_once(':')?;
        Some((home, rest.split('"').next()?))
    });
    let who = match account {
        Some((home, account)) => format!("service account {account} of namespace {home}"),
        None => "the candidate's user".to_owned(),
    };
    let meant = match account {
        Some((home, _)) if home != namespace => {
            format!(" is that the namespace that is meant, and not {home}? If so,")
        }
        _ => String::new(),
    };
    format!(
        "{who} may not {verb} leases/{name} in namespace {namespace};{meant} this Role allows all that is needed, bind it to \
         the account:\n{}",
        role(lease)
    )
}

/// Told apart by the words of rustls, hyper and the system, which carry no codes.
fn unreachable(message: &str, server: &str) -> String {
    let has = |words: &str| message.contains(words);
    if has("UnknownIssuer") {
        format!(
            "the certificate of {server} is signed by an authority that this candidate does not trust: does the \
             kubeconfig's certificate-authority belong to this cluster?"
        )
    } else if has("not valid for name") || has("NotValidForName") {
        format!(
            "the certificate of {server} is made out for other names: use one of them as the server's address, or as \
             tls-server-name in the kubeconfig"
        )
    } else if ["certificate expired", "certificate not valid yet", "Expired", "NotValidYet"]
        .into_iter()
        .any(has)
    {
        format!("the certificate of {server} is out of date, or the clock of this machine is wrong")
    } else if has("certificate") {
        format!(
            "the certificate of {server} does not fit, or does its certificate-authority in the kubeconfig?"
        )
    } else if has("corrupt message") || has("excess record size") {
        format!("what listens at {server} does not speak TLS: is the port that of the API server?")
    } else if has("lookup address") || has("dns error") {
        format!(
            "the name in {server} cannot be resolved: is it spelled right, and does this Pod reach its DNS?"
        )
    } else if has("onnection refused") {
        format!(
            "nobody listens at {server}: is that the address and port of the API server, and does it run?"
        )
    } else if server.starts_with("http://") {
        // The API server resets the connection, and with it often its own answer.
        plain_http(server)
    } else {
        format!(
            "no connection to {server}: is that the address of the API server, and is it reached from here?"
        )
    }
}

fn plain_http(server: &str) -> String {
    format!("does the port of {server} speak TLS? Then begin the server's address with https://")
}

/// The least that a candidate needs: one rule, one name. `create` by name works because a missing Lease is made by PUT.
fn role(lease: &LeaseName) -> String {
    format!(
        "apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {name}-candidate
  namespace: {namespace}
rules:
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{name}]
  verbs: [get, watch, create, update, patch]",
        name = lease.name(),
        namespace = lease.namespace()
    )
}

/// What Go's HTTP server answers, with code 400.
const PLAIN_HTTP_ON_TLS_PORT: &str = "HTTP request to an HTTPS server";

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://10.0.0.1:6443/";

    fn hint_for(reason: Reason, code: u16, message: &str) -> Option<String> {
        let refusal = Refusal { reason, code, message: message.to_owned(), retry_after: None };
        hint(&refusal, Operation::Renew, &LeaseName::new("prod", "db").unwrap(), SERVER)
    }

    #[test]
    fn a_missing_permission_is_answered_with_who_lacks_what_and_the_role_that_gives_it() {
        let message = r#"leases.coordination.k8s.io "db" is forbidden: User "system:serviceaccount:prod:app" cannot patch resource "leases""#;
        let hint = hint_for(Reason::Forbidden, 403, message).unwrap();
        assert!(
            hint.starts_with(
                "service account app of namespace prod may not patch leases/db in namespace prod; this Role"
            ),
            "{hint}"
        );
        assert!(hint.contains("resourceNames: [db]"), "{hint}");
    }

    #[test]
    fn an_account_of_another_namespace_is_asked_whether_the_namespace_is_meant() {
        let message = r#"User "system:serviceaccount:production:app" cannot patch resource "leases""#;
        let hint = hint_for(Reason::Forbidden, 403, message).unwrap();
        assert!(hint.contains("is that the namespace that is meant, and not production?"), "{hint}");
        let person = hint_for(Reason::Forbidden, 403, r#"User "jane" cannot patch"#).unwrap();
        assert!(person.starts_with("the candidate's user may not patch"), "{person}");
    }

    #[test]
    fn what_keeps_a_connection_from_being_made_is_told_apart_and_says_where() {
        for (message, wanted) in [
            ("invalid peer certificate: UnknownIssuer", "authority that this candidate does not trust"),
            ("invalid peer certificate: certificate not valid for name \"a\"", "made out for other names"),
            ("invalid peer certificate: certificate expired: verification", "is out of date"),
            ("invalid peer certificate: BadSignature", "does not fit"),
            ("received corrupt message of type InvalidContentType", "does not speak TLS"),
            ("dns error: failed to lookup address information", "cannot be resolved"),
            ("tcp connect error: Connection refused (os error 111)", "nobody listens at"),
            ("tcp connect error: No route to host (os error 113)", "no connection to"),
        ] {
            let hint = hint_for(Reason::Unreachable, 0, message).unwrap();
            assert!(hint.contains(wanted) && hint.contains(SERVER), "{message}: {hint}");
        }
    }

    #[test]
    fn a_timeout_of_the_server_needs_patience_and_one_without_an_answer_needs_a_look_at_the_network() {
        assert_eq!(hint_for(Reason::Timeout, 504, "request did not complete"), None);
        assert!(hint_for(Reason::Timeout, 0, "no answer").unwrap().contains("NetworkPolicy"));
    }

    #[test]
    fn plain_http_to_a_tls_port_is_told_from_a_field_that_is_not_valid() {
        let answer = "HTTP 400: Client sent an HTTP request to an HTTPS server.";
        assert!(hint_for(Reason::Invalid, 400, answer).unwrap().contains("https://"));
        let reset = "error reading a body from connection: Connection reset by peer";
        assert!(unreachable(reset, "http://10.0.0.1:6443/").contains("https://"));
        assert_eq!(hint_for(Reason::Invalid, 422, "spec.leaseDurationSeconds: must be above 0"), None);
    }

    #[test]
    fn where_waiting_is_all_there_is_to_do_nothing_is_asked_for() {
        for reason in [Reason::Throttled, Reason::Server, Reason::PolicyNotReady, Reason::Conflict] {
            assert_eq!(hint_for(reason, 500, "later"), None, "{reason}");
        }
    }
}
