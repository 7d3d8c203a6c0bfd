//! What happens before and while a watch is open, and the events that it then shows: alike on both servers.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::super::compare::{Comparison, Pair};
use super::super::memory::Memory;
use super::super::normal::Symbols;
use super::super::script::{Case, Step, delete, get, json_patch, merge_patch, post, put, put_read};
use super::super::server::Server;
use super::{Event, Watch, last_patch};

/// A watch, and the writes around it. The last write must be seen by the watch.
#[derive(Clone, Debug)]
pub struct Story {
    name: &'static str,
    before: Vec<Step>,
    /// Path and query as in a [`Step`].
    watch: &'static str,
    accept: &'static str,
    during: Vec<Step>,
    /// How many events show what was there before, in an order that nobody promises.
    initial: usize,
}

impl Story {
    /// Tells the story on both servers.
    ///
    /// # Errors
    /// When a server does not answer, or a watch ends early.
    pub async fn compare(&self, pair: &Pair, namespace: &str) -> Result<Comparison> {
        let (mut real, mut embedded) =
            tokio::try_join!(self.events(&pair.real, namespace), self.events(&pair.embedded, namespace))?;
        let length = real.len().max(embedded.len());
        real.resize(length, Value::Null);
        embedded.resize(length, Value::Null);
        let steps = (1..=length).map(|_| Step::new("WATCH", self.watch)).collect();
        Ok(Comparison { case: Case::new(self.name, steps), real, embedded })
    }

    async fn events(&self, server: &Server, namespace: &str) -> Result<Vec<Value>> {
        let for_pods = self.before.iter().any(|step| step.path.starts_with("pods"));
        server.create_namespace(namespace, for_pods).await?;
        let mut memory = Memory::new(namespace);
        run(server, &mut memory, &self.before).await?;
        let path = memory.path(self.watch)?;
        let mut watch = Watch::open(server, &path, self.accept).await?;
        run(server, &mut memory, &self.during).await?;
        let mut events = watch.until(Event::is_last).await?;
        // A bookmark may come at any time, but for the one that ends the initial events.
        events.retain(|event| event.kind != "BOOKMARK" || event.ends_initial_events());
        if let Some(initial) = events.get_mut(..self.initial) {
            initial.sort_by_key(|event| event.object["metadata"]["name"].to_string());
        }
        let mut symbols = Symbols::default();
        let normal = |(index, event): (usize, &Event)| {
            let object = symbols.normal_object(index + 1, &event.object);
            // What a bookmark says is judged by resuming from it; other writers move its version.
            let object = if event.kind == "BOOKMARK" { without_version(object) } else { object };
            json!({"type": event.kind, "object": object})
        };
        Ok(events.iter().enumerate().map(normal).collect())
    }
}

/// Sends every step. Some are meant to be refused: any answer but a failure of the server will do.
async fn run(server: &Server, memory: &mut Memory, steps: &[Step]) -> Result<()> {
    for step in steps {
        let answer = server.send(memory.request(step)?).await?;
        ensure!(answer.status < 500, "{step}: {}", String::from_utf8_lossy(&answer.body));
        memory.learn(&answer);
    }
    Ok(())
}

fn without_version(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    object
}

/// The names of all stories.
pub fn names() -> Vec<String> {
    stories().iter().map(|story| story.name.to_owned()).collect()
}

/// All stories.
pub fn stories() -> Vec<Story> {
    let mut stories = vec![life(), history(), initial(), any_version(), entering(), one_name()];
    stories.extend([
        collection(),
        initial_events(),
        tables(),
        config_maps(),
        endpoints(),
        across_namespaces(),
    ]);
    stories.extend([candidate(), events_of_elections(), pods()]);
    stories
}

const JSON: &str = "application/json";

fn story(name: &'static str, before: Vec<Step>, watch: &'static str, during: Vec<Step>) -> Story {
    Story { name, before, watch, accept: JSON, during, initial: 0 }
}

fn lease(name: &str, holder: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}, "spec": {"holderIdentity": holder}})
}

fn last(path: &str) -> Step {
    merge_patch(path, &last_patch())
}

fn life() -> Story {
    let before = vec![post("leases", &lease("old", "one", "db"))];
    let during = vec![
        post("leases", &lease("a", "one", "db")),
        put_read("leases/a", json!({"spec": {"holderIdentity": "two"}})),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        put("leases/a", &lease("a", "without a version", "db")),
        json_patch("leases/a", &json!([{"op": "test", "path": "/spec/holderIdentity", "value": "nobody"}])),
        json_patch("leases/a", &json!([{"op": "add", "path": "/spec/holderIdentity", "value": "three"}])),
        merge_patch("leases/a?dryRun=All", &json!({"spec": {"holderIdentity": "four"}})),
        delete("leases/a"),
        delete("leases/a"),
        put("leases/a", &lease("a", "five", "db")),
        last("leases/a"),
    ];
    story(
        "each change is one event",
        before,
        "leases?watch=true&resourceVersion=${leases/old:version}",
        during,
    )
}

fn history() -> Story {
    let before = vec![
        post("leases", &lease("a", "one", "db")),
        post("leases", &lease("b", "one", "db")),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        delete("leases/b"),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "three"}})),
    ];
    let watch = "leases?watch=true&resourceVersion=${leases/b:version}";
    story("a watch from a version shows what came after it", before, watch, vec![last("leases/a")])
}

fn initial() -> Story {
    let before = vec![
        post("leases", &lease("b", "one", "db")),
        post("leases", &lease("a", "one", "db")),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        post("leases", &lease("c", "one", "db")),
        delete("leases/c"),
    ];
    let story = story(
        "a watch without a version begins with what is there",
        before,
        "leases?watch=1",
        vec![last("leases/a")],
    );
    Story { initial: 2, ..story }
}

fn any_version() -> Story {
    let before = vec![post("leases", &lease("a", "one", "db")), get("leases")];
    let story = story(
        "a watch from version 0 begins with what is there",
        before,
        "leases?watch=true&resourceVersion=0",
        vec![last("leases/a")],
    );
    Story { initial: 1, ..story }
}

fn entering() -> Story {
    let label = |app: &str| merge_patch("leases/a", &json!({"metadata": {"labels": {"app": app}}}));
    let before = vec![post("leases", &lease("a", "one", "web")), post("leases", &lease("z", "one", "db"))];
    let during = vec![
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        label("db"),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "three"}})),
        label("web"),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "four"}})),
        label("db"),
        delete("leases/a"),
        post("leases", &lease("a", "five", "web")),
        delete("leases/a"),
        last("leases/z"),
    ];
    let watch = "leases?watch=true&labelSelector=app%3Ddb&resourceVersion=${leases/z:version}";
    story("an object enters and leaves a selection", before, watch, during)
}

fn one_name() -> Story {
    let before = vec![post("leases", &lease("a", "one", "db")), post("leases", &lease("b", "one", "db"))];
    let during = vec![
        merge_patch("leases/b", &json!({"spec": {"holderIdentity": "two"}})),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        delete("leases/b"),
        delete("leases/a"),
        post("leases", &lease("a", "three", "db")),
        last("leases/a"),
    ];
    let watch = "leases?watch=true&fieldSelector=metadata.name%3Da&resourceVersion=${leases/b:version}";
    story("a watch of one name sees no other", before, watch, during)
}

fn collection() -> Story {
    let before = vec![
        post("leases", &lease("a", "one", "db")),
        post("leases", &lease("b", "one", "db")),
        post("leases", &lease("z", "one", "web")),
    ];
    let during = vec![delete("leases?labelSelector=app%3Ddb"), last("leases/z")];
    let watch = "leases?watch=true&resourceVersion=${leases/z:version}";
    // The two deletions happen at once.
    Story { initial: 2, ..story("a deleted collection is one event for each", before, watch, during) }
}

fn initial_events() -> Story {
    let before = vec![post("leases", &lease("a", "one", "db")), post("leases", &lease("b", "one", "db"))];
    let watch =
        "leases?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    Story { initial: 2, ..story("initial events end with a bookmark", before, watch, vec![last("leases/a")]) }
}

fn tables() -> Story {
    let before = vec![post("leases", &lease("a", "one", "db"))];
    let during = vec![
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        delete("leases/a"),
        post("leases", &lease("a", "three", "db")),
        last("leases/a"),
    ];
    let watch = "leases?watch=true&resourceVersion=${leases/a:version}";
    Story {
        accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        ..story("kubectl's watch shows tables", before, watch, during)
    }
}

fn config_maps() -> Story {
    let map = |name: &str| json!({"metadata": {"name": name}, "data": {"holder": "one"}});
    let before = vec![post("configmaps", &map("a"))];
    let during = vec![
        put("configmaps/a", &json!({"metadata": {"name": "a"}, "data": {"holder": "two"}})),
        post("leases", &lease("a", "one", "db")),
        delete("configmaps/a"),
        post("configmaps", &map("a")),
        last("configmaps/a"),
    ];
    story(
        "config maps are watched",
        before,
        "configmaps?watch=true&resourceVersion=${configmaps/a:version}",
        during,
    )
}

fn endpoints() -> Story {
    let before = vec![post("endpoints", &json!({"metadata": {"name": "a"}}))];
    let during = vec![
        merge_patch("endpoints/a", &json!({"metadata": {"annotations": {"holder": "one"}}})),
        last("endpoints/a"),
    ];
    story(
        "endpoints are watched",
        before,
        "endpoints?watch=true&resourceVersion=${endpoints/a:version}",
        during,
    )
}

/// The watch of a candidate of leasehold, from the version of its read.
fn candidate() -> Story {
    let before = vec![post("leases", &lease("a", "one", "db")), get("leases/a")];
    let renew = |holder: &str, time: &str| {
        json_patch(
            "leases/a",
            &json!([
                {"op": "test", "path": "/metadata/uid", "value": "${leases/a:uid}"},
                {"op": "test", "path": "/spec/holderIdentity", "value": holder},
                {"op": "add", "path": "/spec/renewTime", "value": time},
            ]),
        )
    };
    let during = vec![
        renew("one", "2026-01-02T03:04:05.000000Z"),
        renew("two", "2026-01-02T03:04:06.000000Z"),
        renew("one", "2026-01-02T03:04:07.000000Z"),
        last("leases/a"),
    ];
    let watch = "leases?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3Da&resourceVersion=${leases/a:version}";
    story("a candidate sees renewals, and no refused write", before, watch, during)
}

fn events_of_elections() -> Story {
    let event = |name: &str, of: &str| {
        let involved = json!({"kind": "Lease", "namespace": "${ns}", "name": of});
        let metadata = json!({"name": name, "namespace": "${ns}"});
        post("events", &json!({"metadata": metadata, "involvedObject": involved, "reason": "LeaderElection"}))
    };
    let before = vec![event("first", "a")];
    let during = vec![event("other", "b"), event("second", "a"), last("events/second")];
    let watch =
        "events?watch=true&fieldSelector=involvedObject.name%3Da&resourceVersion=${events/first:version}";
    story("events are watched by what they are about", before, watch, during)
}

fn pods() -> Story {
    let container = json!({"name": "candidate", "image": "never.invalid/pulled"});
    let spec = json!({"automountServiceAccountToken": false, "containers": [container]});
    let before =
        vec![post("pods", &json!({"metadata": {"name": "a", "labels": {"app": "db"}}, "spec": spec}))];
    let during = vec![merge_patch("pods/a/status", &json!({"status": {"phase": "Running"}})), last("pods/a")];
    let watch = "pods?watch=true&labelSelector=app%3Ddb&resourceVersion=${pods/a:version}";
    story("the status of a pod is watched", before, watch, during)
}

fn across_namespaces() -> Story {
    let before = vec![post("leases", &lease("a", "one", "db"))];
    let watch = "/apis/coordination.k8s.io/v1/leases?watch=true&fieldSelector=metadata.namespace%3D${ns}&resourceVersion=${leases/a:version}";
    let during = vec![post("leases", &lease("b", "one", "db")), last("leases/b")];
    story("a watch over all namespaces", before, watch, during)
}
