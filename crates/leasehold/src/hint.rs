//! What a person can do about a refusal of the API server.

use leasehold_election::{LeaseName, Operation, Reason, Refusal};

/// A sentence, or a manifest, that mends the cause of `refusal`; `None` where waiting is all there is to do.
pub(crate) fn hint(refusal: &Refusal, operation: Operation, lease: &LeaseName) -> Option<String> {
    let (namespace, name) = (lease.namespace(), lease.name());
    match refusal.reason {
        Reason::Forbidden => Some(format!(
            "the candidate's service account may not {} leases/{name} in namespace {namespace}; this Role allows all that \
             is needed, bind it to the service account:\n{}",
            operation.rbac_verb(),
            role(lease)
        )),
        Reason::Unauthorized => Some(
            "the API server does not accept the credentials: is the token expired, or of another cluster?".to_owned(),
        ),
        Reason::NamespaceMissing => Some(format!("there is no namespace {namespace}: is it spelled as in `kubectl get ns`?")),
        Reason::NamespaceTerminating => Some(format!("namespace {namespace} is being deleted")),
        Reason::Unreachable if refusal.message.contains("certificate") => Some(
            "the API server's certificate does not fit: does the kubeconfig's certificate-authority belong to this cluster, \
             and its server address to the certificate?"
                .to_owned(),
        ),
        Reason::Coordinated => Some(format!("leases/{name} is managed by the control plane; choose another lease name")),
        _ => None,
    }
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
  verbs: [get, list, watch, create, update, patch]",
        name = lease.name(),
        namespace = lease.namespace()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_permission_is_answered_with_the_role_that_gives_it() {
        let refusal =
            Refusal { reason: Reason::Forbidden, code: 403, message: String::new(), retry_after: None };
        let lease = LeaseName::new("prod", "db").unwrap();
        let hint = hint(&refusal, Operation::Renew, &lease).unwrap();
        assert!(
            hint.starts_with("the candidate's service account may not patch leases/db in namespace prod"),
            "{hint}"
        );
        assert!(hint.contains("resourceNames: [db]"), "{hint}");
    }
}
