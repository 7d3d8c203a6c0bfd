//! The service's own container, with its command run by the elector: it runs only while the Pod leads.

use serde_json::{Value, json};

use crate::Generated;
use crate::elector::{Plan, identity, resources, security};
use crate::error::InputError;
use crate::merge::replacing;
use crate::node::Node;
use crate::settings::{Election, Elector, grace_period_seconds};
use crate::workload::Workload;

/// How the service is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The container whose command is run; may be left out if there is one.
    pub container: Option<String>,
    /// The command, where the manifest does not say it. The container's args stay as they are.
    pub command: Vec<String>,
    /// The readiness probe stays the service's own: a standby is never ready.
    pub keep_readiness: bool,
    /// With a PodDisruptionBudget.
    pub budget: bool,
    /// With a topology spread constraint, if there is none.
    pub spread: bool,
}

/// The workload with its command run by the elector, and all that this needs.
///
/// # Errors
///
/// If the workload is not what it should be, or does not say its command: see [`InputError`].
pub fn exec(
    workload: &Workload,
    election: &Election,
    elector: &Elector,
    asked: &Exec,
) -> Result<Generated, InputError> {
    let mut plan = Plan::new(workload, election, elector)?;
    plan.check_ports()?;
    plan.check_volume(VOLUME)?;
    let name = container_name(&plan, asked.container.as_deref())?;
    let there = workload.containers("containers").iter().find(|found| found.text_at("name") == Some(&name));
    let command = command(&plan, &name, there, &asked.command)?;
    let mut pod = plan.pod(asked.spread, grace_period_seconds(elector.stop_timeout));
    let mut mounts = vec![json!({ "name": VOLUME, "mountPath": FOLDER, "readOnly": true })];
    let mut volumes = vec![json!({ "name": VOLUME, "emptyDir": {} })];
    if let Some((volume, mount)) = plan.token() {
        volumes.push(volume);
        mounts.push(mount);
    }
    let mut wrapped = Node::from(json!({
        "name": name,
        "command": command,
        "env": identity(),
        "volumeMounts": mounts,
    }));
    probes(&mut plan, &mut wrapped, there, asked.keep_readiness);
    *pod.entry("initContainers") = Node::List(vec![install(elector)]);
    *pod.entry("containers") = Node::List(vec![wrapped]);
    *pod.entry("volumes") = Node::from(Value::from(volumes));
    if there.and_then(|container| container.at(&["lifecycle", "preStop"])).is_some() {
        plan.notes.push(format!("the preStop hook of {name} runs before the elector is asked to stop, and takes from the grace period"));
    }
    plan.notes.push(format!("{name} shares its resource limits with the elector that runs it"));
    Ok(plan.finish(pod, asked.budget, "its command run by leader-elector"))
}

/// Brings the program, which the service's image does not have.
fn install(elector: &Elector) -> Node {
    Node::from(json!({
        "name": INSTALL,
        "image": elector.image,
        "args": ["install", format!("{INSTALL_FOLDER}/leader-elector")],
        "resources": resources(),
        "securityContext": security(),
        "volumeMounts": [{ "name": VOLUME, "mountPath": INSTALL_FOLDER }],
    }))
}

fn container_name(plan: &Plan<'_>, wanted: Option<&str>) -> Result<String, InputError> {
    let there =
        plan.workload.containers("containers").iter().filter_map(|container| container.text_at("name"));
    let there: Vec<&str> = there.collect();
    let object = plan.object();
    match (wanted, &there[..]) {
        (Some(name), _) if plan.workload.is_named() || there.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => {
            Err(InputError::NoContainer { object, container: name.to_owned(), found: there.join(", ") })
        }
        (None, [one]) => Ok((*one).to_owned()),
        (None, []) => {
            let found = "containers that are not known without its manifest".to_owned();
            Err(InputError::WhichContainer { object, found, what: "is to run only while its Pod leads" })
        }
        (None, _) => {
            let found = format!("{} containers, {}", there.len(), there.join(", "));
            Err(InputError::WhichContainer { object, found, what: "is to run only while its Pod leads" })
        }
    }
}

/// The elector, its flags, and the command behind them. The container's args follow.
fn command(
    plan: &Plan<'_>,
    name: &str,
    there: Option<&Node>,
    asked: &[String],
) -> Result<Vec<String>, InputError> {
    let said: Vec<String> = there.map_or(Vec::new(), |container| {
        container.items("command").iter().filter_map(Node::text).map(str::to_owned).collect()
    });
    let wrapped_already = said.first().is_some_and(|program| program == PROGRAM);
    let separator = said.iter().position(|word| word == "--").filter(|_| wrapped_already);
    let own = match separator {
        _ if !asked.is_empty() => asked,
        Some(separator) => &said[separator + 1..],
        None => &said[..],
    };
    if own.is_empty() {
        return Err(InputError::NoCommand { object: plan.object(), container: name.to_owned() });
    }
    let message = there.and_then(|container| container.text_at("terminationMessagePath"));
    let message = message.filter(|path| *path != TERMINATION_LOG && plan.election.evidence.is_some());
    let message = message.map(|path| format!("--termination-log={path}"));
    let head = [PROGRAM.to_owned()].into_iter().chain(plan.flags()).chain(message);
    Ok(head.chain(["--".to_owned()]).chain(own.iter().cloned()).collect())
}

/// A standby does not run the service: a probe of the service would kill it, or never let it be ready.
fn probes(plan: &mut Plan<'_>, wrapped: &mut Node, there: Option<&Node>, keep_readiness: bool) {
    let own = |probe: &str| there.and_then(|container| container.get(probe)).cloned();
    let mut moved = Vec::new();
    let mut change = |probe: &'static str, elector: Option<Node>| {
        let there = own(probe);
        let already = elector.is_some() && there == elector;
        if there.is_some() && !already {
            moved.push(probe);
        }
        match elector {
            Some(elector) if there.is_some() && !already => *wrapped.entry(probe) = replacing(elector),
            Some(elector) => *wrapped.entry(probe) = elector,
            None if there.is_some() => *wrapped.entry(probe) = Node::Null,
            None => {}
        }
    };
    let ports = plan.ports();
    let elector = |path: &str| ports.as_ref().map(|_| Node::from(Plan::probe(path)));
    change("startupProbe", None);
    change("livenessProbe", elector("/livez"));
    if !keep_readiness {
        change("readinessProbe", elector("/readyz"));
    }
    if let Some(ports) = ports {
        *wrapped.entry("ports") = Node::from(ports);
    }
    if !moved.is_empty() {
        plan.notes.push(format!(
            "a standby does not run the command, and would fail them: replaced or left out the {}",
            moved.join(", ")
        ));
    }
    plan.notes.push(if keep_readiness {
        "only the leader is ready: a roll-out must not wait for standbys (StatefulSet: podManagementPolicy Parallel; Deployment: maxUnavailable)".to_owned()
    } else {
        "standbys are ready, too: a Service sends them traffic that nobody takes; --keep-readiness makes only the leader ready".to_owned()
    });
}

const VOLUME: &str = "leader-elector";
const FOLDER: &str = "/leader-elector";
/// Where the kubelet looks, and the elector writes, unless they are told otherwise.
const TERMINATION_LOG: &str = "/dev/termination-log";
const PROGRAM: &str = "/leader-elector/leader-elector";
/// Not `FOLDER`: in the elector's own image the program itself is called that, and nothing can be mounted on a file.
const INSTALL_FOLDER: &str = "/install";
const INSTALL: &str = "leader-elector-install";
