//! The elector as one more container, which the service asks whether its Pod leads.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Generated;
use crate::elector::{CONTAINER, Plan, identity, resources, security};
use crate::error::InputError;
use crate::node::Node;
use crate::settings::{Asked, Election, Elector, grace_period_seconds};
use crate::workload::Workload;

/// How the elector stands beside the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sidecar {
    /// How the service asks.
    pub asked: Asked,
    /// Which containers see the file; none means all.
    pub containers: Vec<String>,
    /// A plain container instead of a native sidecar, for servers before 1.29.
    pub classic: bool,
    /// With a PodDisruptionBudget.
    pub budget: bool,
    /// With a topology spread constraint, if there is none.
    pub spread: bool,
}

/// The workload with the sidecar, and all that this needs.
///
/// # Errors
///
/// If the workload is not what it should be, or stands in the way: see [`InputError`].
pub fn sidecar(
    workload: &Workload,
    election: &Election,
    elector: &Elector,
    asked: &Sidecar,
) -> Result<Generated, InputError> {
    let mut plan = Plan::new(workload, election, elector)?;
    plan.check_ports()?;
    check_form(&plan, asked.classic)?;
    // The lease of a plain container may be given back only when nobody can believe it any more, a lease duration later.
    let waits = if asked.classic { elector.timing.lease_duration() } else { Duration::ZERO };
    let mut pod = plan.pod(asked.spread, grace_period_seconds(elector.stop_timeout.max(waits)));
    let mut volumes = Vec::new();
    let mut mounts = Vec::new();
    let mut flags = plan.flags();
    if !asked.classic && !elector.flags.iter().any(|flag| flag.starts_with("--app-done")) {
        flags.push("--app-done=native".to_owned());
    }
    let done = Done::of(&elector.flags);
    if done.is_seen {
        *pod.entry("shareProcessNamespace") = Node::Bool(true);
    }
    match &asked.asked {
        Asked::File { folder, name } => {
            let place = Place::find(&plan, folder, &asked.containers, done)?;
            flags.push(format!("--file={ELECTOR_FOLDER}/{name}"));
            mounts.push(json!({ "name": place.volume, "mountPath": ELECTOR_FOLDER }));
            if place.volume == VOLUME {
                volumes.push(json!({ "name": VOLUME, "emptyDir": {} }));
            }
            if !place.mounts.is_empty() {
                *pod.entry("containers") = Node::List(place.mounts);
            }
        }
        Asked::Http => flags.push("--file=off".to_owned()),
    }
    if let Some((volume, mount)) = plan.token() {
        volumes.push(volume);
        mounts.push(mount);
    }
    let container = container(&plan, asked.classic, flags, mounts);
    let list = if asked.classic { "containers" } else { "initContainers" };
    let mut containers = pod.get(list).map_or(Vec::new(), |_| pod.items(list).to_vec());
    containers.push(container);
    *pod.entry(list) = Node::List(containers);
    if !volumes.is_empty() {
        *pod.entry("volumes") = Node::from(Value::from(volumes));
    }
    let what = if asked.classic {
        "the sidecar leader-elector as a plain container"
    } else {
        "the native sidecar leader-elector"
    };
    if asked.classic {
        plan.notes.push(CLASSIC.to_owned());
    }
    Ok(plan.finish(pod, asked.budget, what))
}

/// What the Pod must allow, so that the service can show that it has done.
#[derive(Clone, Copy, Debug)]
struct Done {
    /// It writes a file into the folder of the is-leader file.
    writes: bool,
    /// The elector has to see its process: to who does not share its namespace, it has ended always.
    is_seen: bool,
}

impl Done {
    fn of(flags: &[String]) -> Self {
        let said = flags.iter().find_map(|flag| flag.strip_prefix("--app-done=")?.split_once(':'));
        let (by, what) = said.unwrap_or_default();
        let writes = matches!(by, "file" | "pid-file") && what.starts_with(ELECTOR_FOLDER);
        Self { writes, is_seen: matches!(by, "pid-file" | "process") }
    }
}

fn container(plan: &Plan<'_>, classic: bool, flags: Vec<String>, mounts: Vec<Value>) -> Node {
    let mut container = json!({
        "name": CONTAINER,
        "image": plan.elector.image,
        "args": flags,
        "env": identity(),
        "resources": resources(),
        "securityContext": security(),
    });
    if !classic {
        container["restartPolicy"] = "Always".into();
    }
    if !mounts.is_empty() {
        container["volumeMounts"] = mounts.into();
    }
    if let Some(ports) = plan.ports() {
        container["ports"] = ports;
        container["livenessProbe"] = Plan::probe("/livez");
        container["readinessProbe"] = Plan::probe("/readyz");
    }
    Node::from(container)
}

/// One elector for a Pod, in one form, and none of another make.
fn check_form(plan: &Plan<'_>, classic: bool) -> Result<(), InputError> {
    let there = |list: &str| {
        let mut containers = plan.workload.containers(list).iter();
        containers.find(|container| container.text_at("name") == Some(CONTAINER))
    };
    let native = there("initContainers");
    let plain = there("containers");
    let foreign = [native, plain].into_iter().flatten().find(|container| !is_ours(container));
    if let Some(container) = foreign {
        let image = container.text_at("image").unwrap_or("not said").to_owned();
        return Err(InputError::ForeignElector { object: plan.object(), image });
    }
    match (native, plain, classic) {
        (_, Some(_), false) => Err(InputError::OtherForm {
            object: plan.object(),
            there: "as a plain container",
            flag: "--classic",
        }),
        (Some(_), _, true) => Err(InputError::OtherForm {
            object: plan.object(),
            there: "as a native sidecar",
            flag: "no --classic",
        }),
        _ => Ok(()),
    }
}

/// An elector of ours names its Lease in its arguments.
fn is_ours(container: &Node) -> bool {
    container.items("args").iter().filter_map(Node::text).any(|arg| arg.starts_with("--lease="))
}

/// Where the file lies: the volume, and what the service's containers must mount.
struct Place {
    volume: String,
    mounts: Vec<Node>,
}

impl Place {
    /// A volume of the elector's own, unless the folder is an emptyDir of the service already.
    fn find(plan: &Plan<'_>, folder: &str, wanted: &[String], done: Done) -> Result<Self, InputError> {
        let containers = chosen(plan, wanted)?;
        let mounted = |container: &Node| {
            let mut mounts = container.items("volumeMounts").iter();
            let mount = mounts.find(|mount| mount.text_at("mountPath").map(trimmed) == Some(folder))?;
            mount.text_at("name").map(str::to_owned)
        };
        let mut there = plan
            .workload
            .containers("containers")
            .iter()
            .filter(|container| containers.iter().any(|name| container.text_at("name") == Some(name)));
        let volume = there.clone().find_map(mounted);
        if let Some(volume) = &volume {
            let other = there.find(|container| mounted(container).is_some_and(|found| found != *volume));
            let volumes = plan.workload.containers("volumes");
            let is_empty_dir = volumes
                .iter()
                .any(|found| found.text_at("name") == Some(volume) && found.get("emptyDir").is_some());
            if other.is_some() || !is_empty_dir {
                let container = other.and_then(|container| container.text_at("name"));
                return Err(InputError::FolderTaken {
                    object: plan.object(),
                    container: container.unwrap_or(&containers[0]).to_owned(),
                    path: folder.to_owned(),
                    volume: volume.clone(),
                });
            }
        }
        let volume = volume.unwrap_or_else(|| VOLUME.to_owned());
        plan.check_volume(&volume)?;
        let needs = |name: &String| volume == VOLUME || !has_mount(plan, name, folder);
        let mounts = containers.iter().filter(|name| needs(name)).map(|name| {
            let mut mount = json!({ "name": volume, "mountPath": folder });
            // A service that writes its own files there must go on doing so.
            if folder != "/tmp" && volume == VOLUME && !done.writes {
                mount["readOnly"] = true.into();
            }
            Node::from(json!({ "name": name, "volumeMounts": [mount] }))
        });
        Ok(Self { mounts: mounts.collect(), volume })
    }
}

fn has_mount(plan: &Plan<'_>, container: &str, folder: &str) -> bool {
    let mut containers = plan.workload.containers("containers").iter();
    let found = containers.find(|found| found.text_at("name") == Some(container));
    found.is_some_and(|container| {
        container
            .items("volumeMounts")
            .iter()
            .any(|mount| mount.text_at("mountPath").map(trimmed) == Some(folder))
    })
}

/// The names of the containers that see the file.
fn chosen(plan: &Plan<'_>, wanted: &[String]) -> Result<Vec<String>, InputError> {
    let there =
        plan.workload.containers("containers").iter().filter_map(|container| container.text_at("name"));
    let there: Vec<&str> = there.filter(|name| *name != CONTAINER).collect();
    if plan.workload.is_named() {
        return if wanted.is_empty() {
            let found = "containers that are not known without its manifest".to_owned();
            Err(InputError::WhichContainer { object: plan.object(), found, what: "reads the file" })
        } else {
            Ok(wanted.to_vec())
        };
    }
    if let Some(missing) = wanted.iter().find(|name| !there.contains(&name.as_str())) {
        return Err(InputError::NoContainer {
            object: plan.object(),
            container: missing.clone(),
            found: there.join(", "),
        });
    }
    let all = || there.iter().map(|&name| name.to_owned()).collect();
    Ok(if wanted.is_empty() { all() } else { wanted.to_vec() })
}

fn trimmed(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// Of its own, so that nothing else lies there.
const VOLUME: &str = "leader";
/// Where the elector's own container sees the folder, whatever it is called in the service's.
const ELECTOR_FOLDER: &str = "/run/leader";

const CLASSIC: &str = "a plain container is asked to end together with the service, and gives the lease back when nobody can \
                       believe the file any more; --flag=--app-done=WHAT may tell sooner that the service has ended";
