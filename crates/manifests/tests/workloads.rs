//! Workloads as people have them, changed: what comes out, that a second time changes nothing, and what is refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::time::Duration;

use leasehold_election::{LeaseName, Timing};
use leasehold_manifests::{
    Asked, Election, Elector, Exec, Generated, InputError, Node, Probes, Sidecar, Workload, WorkloadName,
    exec, kustomize, lease, rbac, read, sidecar, write, write_json,
};

const STATEFUL_SET: &str = include_str!("my-service.yaml");

fn election() -> Election {
    Election::new(LeaseName::new("production", "my-service-leader").unwrap(), "my-service").unwrap()
}

fn elector() -> Elector {
    Elector {
        image: "leader-elector:test".to_owned(),
        timing: Timing::default(),
        stop_timeout: Duration::from_secs(25),
        probes: Probes::parse(":8081").unwrap(),
        flags: Vec::new(),
    }
}

fn file() -> Sidecar {
    let asked = Asked::file("/run/leader/is-leader").unwrap();
    Sidecar { asked, containers: Vec::new(), classic: false, budget: true, spread: true }
}

fn run() -> Exec {
    Exec { container: None, command: Vec::new(), keep_readiness: false, budget: true, spread: true }
}

fn find(text: &str) -> Result<Workload, InputError> {
    Workload::find(read(text)?, None)
}

fn with_sidecar(text: &str, asked: &Sidecar) -> Result<Generated, InputError> {
    sidecar(&find(text)?, &election(), &elector(), asked)
}

fn with_exec(text: &str, asked: &Exec) -> Result<Generated, InputError> {
    exec(&find(text)?, &election(), &elector(), asked)
}

fn error(result: Result<Generated, InputError>) -> String {
    result.unwrap_err().to_string()
}

/// The workload alone.
fn workload(generated: &Generated) -> String {
    write(&generated.documents[generated.companions.len()..])
}

/// The Pod's spec in it.
fn pod(generated: &Generated) -> &Node {
    generated.documents.last().unwrap().object.at(&["spec", "template", "spec"]).unwrap()
}

/// The manifest with something more in the Pod's spec.
fn with_more(lines: &str) -> String {
    STATEFUL_SET.replace("      futureField:", &format!("{lines}\n      futureField:"))
}

#[test]
fn a_lease_has_labels_only_and_each_grant_its_reason() {
    insta::assert_snapshot!("lease", write(&[lease(&election())]));
    insta::assert_snapshot!("rbac", write(&rbac(&election().events(true), true)));
}

/// Whoever may watch all Pods of a namespace reads their environment: names are told where they are known.
#[test]
fn evidence_is_of_the_pods_of_a_stateful_set_or_else_of_all() {
    let known = election().evidence(find(STATEFUL_SET).unwrap().pods()).unwrap();
    insta::assert_snapshot!("evidence", write(&rbac(&known, false)[2..]));
    let deployment = STATEFUL_SET.replace("kind: StatefulSet", "kind: Deployment");
    assert_eq!(find(&deployment).unwrap().pods(), [""; 0]);
    let start_at_5 = STATEFUL_SET.replace("  replicas: 3", "  replicas: 2\n  ordinals: {start: 5}");
    assert_eq!(find(&start_at_5).unwrap().pods(), ["my-service-5", "my-service-6"]);
    let all = write(&rbac(&election().evidence(Vec::new()).unwrap(), false));
    assert!(all.contains("- pods\n  verbs:\n  - watch # "), "{all}");
    assert!(election().evidence(vec!["no name".to_owned()]).is_err());
}

/// Without the right to watch Pods, each start would say in the log that it lacks.
#[test]
fn the_elector_is_told_to_do_without_evidence_where_it_is_not_allowed() {
    let message = "        terminationMessagePath: /run/last-words\n        volumeMounts:";
    let elsewhere = STATEFUL_SET.replace("        volumeMounts:", message);
    let run_with = |election: &Election, text: &str| {
        workload(&exec(&find(text).unwrap(), election, &elector(), &run()).unwrap())
    };
    let allowed = election().evidence(Vec::new()).unwrap();
    assert!(run_with(&election(), &elsewhere).contains("--evidence=off"));
    assert!(!run_with(&allowed, STATEFUL_SET).contains("--evidence"), "on is its default");
    assert!(run_with(&allowed, &elsewhere).contains("--termination-log=/run/last-words"));
}

#[test]
fn a_service_gets_a_native_sidecar_beside_it() {
    let generated = with_sidecar(STATEFUL_SET, &file()).unwrap();
    insta::assert_snapshot!("sidecar", workload(&generated));
    insta::assert_snapshot!("sidecar-notes", generated.notes.join("\n"));
}

#[test]
fn a_service_is_run_by_the_elector() {
    let generated = with_exec(STATEFUL_SET, &run()).unwrap();
    insta::assert_snapshot!("exec", workload(&generated));
    insta::assert_snapshot!("exec-notes", generated.notes.join("\n"));
}

#[test]
fn doing_it_twice_changes_nothing() {
    let http = Sidecar { asked: Asked::Http, ..file() };
    let classic = Sidecar { classic: true, ..file() };
    let tmp = Sidecar { asked: Asked::file("/tmp/is-leader").unwrap(), ..file() };
    for asked in [&file(), &http, &classic, &tmp] {
        let once = write(&with_sidecar(STATEFUL_SET, asked).unwrap().documents);
        let twice = write(&with_sidecar(&once, asked).unwrap().documents);
        assert_eq!(once, twice, "{asked:?}");
    }
    let once = write(&with_exec(STATEFUL_SET, &run()).unwrap().documents);
    assert_eq!(once, write(&with_exec(&once, &run()).unwrap().documents));
}

#[test]
fn json_says_the_same_and_can_come_in_again() {
    let generated = with_sidecar(STATEFUL_SET, &file()).unwrap();
    let again = with_sidecar(&write_json(&generated.documents), &file()).unwrap();
    assert_eq!(write(&again.documents), write(&generated.documents));
}

#[test]
fn the_file_may_lie_in_a_folder_that_the_service_has_already() {
    let mount = "        volumeMounts:\n        - {mountPath: /scratch, name: scratch}";
    let scratch =
        with_more("      volumes: [{name: scratch, emptyDir: {}}]").replace("        volumeMounts:", mount);
    let asked = Sidecar { asked: Asked::file("/scratch/is-leader").unwrap(), ..file() };
    let text = workload(&with_sidecar(&scratch, &asked).unwrap());
    assert!(text.contains("- name: scratch\n          mountPath: /run/leader\n"), "{text}");
    assert!(!text.contains("name: leader\n"), "no other volume is needed: {text}");
    let taken = Sidecar { asked: Asked::file("/data/is-leader").unwrap(), ..file() };
    let message = error(with_sidecar(STATEFUL_SET, &taken));
    assert!(message.contains("/data is mounted from volume \"data\" in container \"app\""), "{message}");
}

/// A file that the service cannot write says nothing, and a process that the elector cannot see has ended always.
#[test]
fn what_shows_that_the_service_has_done_can_be_shown_and_seen() {
    let told = |done: &str| {
        let elector = Elector { flags: vec![format!("--app-done={done}")], ..elector() };
        let asked = Sidecar { classic: true, ..file() };
        let once = sidecar(&find(STATEFUL_SET).unwrap(), &election(), &elector, &asked).unwrap();
        let text = workload(&once);
        let again = sidecar(&find(&write(&once.documents)).unwrap(), &election(), &elector, &asked).unwrap();
        assert_eq!(workload(&again), text);
        (text.contains("readOnly: true"), text.contains("shareProcessNamespace: true"))
    };
    assert_eq!(told("port-closed:5432"), (true, false));
    assert_eq!(told("file:/run/leader/done"), (false, false));
    assert_eq!(told("process:postgres"), (true, true));
    assert_eq!(told("pid-file:/run/leader/pid"), (false, true));
}

/// The usual 30 s were written over what was there, which may be longer.
#[test]
fn where_only_the_name_is_known_the_grace_period_is_made_longer_only_if_it_has_to_be() {
    let named = Workload::named("sts/my-service".parse().unwrap());
    let asked = Sidecar { containers: vec!["app".to_owned()], ..file() };
    let usual = sidecar(&named, &election(), &elector(), &asked).unwrap();
    assert_eq!(pod(&usual).get("terminationGracePeriodSeconds"), None);
    assert!(usual.notes.iter().any(|note| note.ends_with("it has to be 30 at least")), "{:?}", usual.notes);
    let longer = Elector { stop_timeout: Duration::from_secs(115), ..elector() };
    let longer = sidecar(&named, &election(), &longer, &asked).unwrap();
    assert_eq!(pod(&longer).get("terminationGracePeriodSeconds"), Some(&Node::Number(120.into())));
    assert!(longer.notes.iter().any(|note| note.contains("120 takes the place")), "{:?}", longer.notes);
}

#[test]
fn a_longer_grace_period_and_a_service_account_of_its_own_stay() {
    let text = with_more("      terminationGracePeriodSeconds: 300\n      serviceAccountName: own");
    let election = election().service_account("own").unwrap();
    let generated = sidecar(&find(&text).unwrap(), &election, &elector(), &file()).unwrap();
    let said = write(&generated.documents);
    assert!(said.contains("terminationGracePeriodSeconds: 300\n"), "{said}");
    assert!(said.contains("- kind: ServiceAccount\n  name: own\n") || said.contains("name: own\n"), "{said}");
    assert!(!said.contains("kind: ServiceAccount\nmetadata"), "an account that is there is not ours: {said}");
}

#[test]
fn pods_without_a_token_get_one_for_the_elector_alone() {
    let text = with_more("      automountServiceAccountToken: false");
    let generated = with_sidecar(&text, &file()).unwrap();
    let containers = serde_json::to_value(pod(&generated)).unwrap();
    let mounts = |list: &str| containers[list][0]["volumeMounts"].to_string();
    let path = "/var/run/secrets/kubernetes.io/serviceaccount";
    assert!(mounts("initContainers").contains(path) && !mounts("containers").contains(path), "{containers}");
    assert_eq!(containers["automountServiceAccountToken"], false);
}

#[test]
fn a_workload_known_by_name_only_is_changed_by_a_patch() {
    let name: WorkloadName = "sts/my-service".parse().unwrap();
    let named = Workload::named(name);
    let asked = Sidecar { containers: vec!["app".to_owned()], ..file() };
    let generated = sidecar(&named, &election(), &elector(), &asked).unwrap();
    insta::assert_snapshot!("patch", write(std::slice::from_ref(&generated.patch)));
    let unnamed = error(sidecar(&named, &election(), &elector(), &file()));
    assert!(unnamed.contains("--container"), "{unnamed}");
    assert!(kustomize(&named, &generated).is_none(), "a base is a manifest");
}

#[test]
fn a_folder_for_kustomize_holds_what_came_in_and_the_change() {
    let workload = find(STATEFUL_SET).unwrap();
    let generated = exec(&workload, &election(), &elector(), &run()).unwrap();
    let files = kustomize(&workload, &generated).unwrap();
    let text = |path: &str| files.iter().find(|file| file.path == path).unwrap().text.clone();
    insta::assert_snapshot!("kustomization", text("kustomization.yaml"));
    assert!(text("patch.yaml").contains("$patch: replace"), "a probe of the service is replaced, not merged");
    assert!(!text("base/workload.yaml").contains("status:"));
    let again = find(&write(&generated.documents)).unwrap();
    let generated = exec(&again, &election(), &elector(), &run()).unwrap();
    let base = kustomize(&again, &generated).unwrap().pop().unwrap().text;
    assert!(!base.contains("kind: Role"), "what is ours stands in one place only: {base}");
}

#[test]
fn what_cannot_be_changed_is_refused_with_what_to_do() {
    let other = Sidecar { containers: vec!["ap".to_owned()], ..file() };
    assert_eq!(
        error(with_sidecar(STATEFUL_SET, &other)),
        "StatefulSet my-service has no container \"ap\", only app; name one of these with --container"
    );
    let refused = |text: &str, says: &str| {
        let message = error(with_sidecar(text, &file()));
        assert!(message.contains(says), "{message}");
    };
    refused(&with_more("      initContainers: [{name: app}]"), "two containers named \"app\"");
    let daemon = STATEFUL_SET.replace("kind: StatefulSet", "kind: DaemonSet");
    refused(&daemon, "only apps/v1 DaemonSet my-service");
    let second = STATEFUL_SET.replace("  name: my-service\n  namespace", "  name: other\n  namespace");
    let both = format!("{STATEFUL_SET}---\n{second}");
    refused(&both, "StatefulSet my-service, StatefulSet other; name one");
    refused("", "empty");
    let elsewhere = STATEFUL_SET.replace("namespace: production", "namespace: staging");
    refused(&elsewhere, "\"staging\", and -n says \"production\"");
    let port = STATEFUL_SET.replace("containerPort: 5432", "containerPort: 8081");
    refused(&port, "port 8081 is used by container \"app\"");
    let bare = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: []}}}\n";
    refused(bare, "spec.template.spec.containers of Deployment d is a list");
}

#[test]
fn an_elector_of_another_make_or_form_is_not_run_beside_ours() {
    let old =
        "      - name: leader-elector\n        image: leader-elector:0.5\n        args: [--election=db]";
    let message = error(with_sidecar(&with_more(old), &file()));
    assert!(message.contains("image leader-elector:0.5") && message.contains("never run both"), "{message}");
    let native = write(&with_sidecar(STATEFUL_SET, &file()).unwrap().documents);
    let classic = error(with_sidecar(&native, &Sidecar { classic: true, ..file() }));
    assert!(classic.contains("already as a native sidecar"), "{classic}");
}

#[test]
fn a_command_that_the_manifest_does_not_say_is_asked_for() {
    let silent = STATEFUL_SET.replace("        command: [my-service]\n", "");
    let message = error(with_exec(&silent, &run()));
    assert!(
        message.contains("container \"app\" of StatefulSet my-service does not say its command"),
        "{message}"
    );
    assert!(message.contains("--command"), "{message}");
    let told = Exec { command: vec!["docker-entrypoint.sh".to_owned()], ..run() };
    let text = workload(&with_exec(&silent, &told).unwrap());
    assert!(text.contains("        - --\n        - docker-entrypoint.sh\n"), "{text}");
    assert!(
        text.contains("        args:\n        - --data\n        - /data\n"),
        "the args follow it: {text}"
    );
}
