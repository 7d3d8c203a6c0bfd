//! Many requests at once for one object: who wins is chance, how many win is not.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::compare::{Comparison, Pair};
use super::memory::Memory;
use super::script::{Case, Step, delete, get, json_patch, merge_patch, post, put};
use super::server::Server;

/// Requests that are sent at the same moment, after others that were answered.
#[derive(Clone, Debug)]
pub struct Race {
    name: &'static str,
    before: Vec<Step>,
    contenders: Vec<Step>,
}

impl Race {
    /// Runs the race several times on both servers, and compares how often each answer was given.
    ///
    /// # Errors
    /// When a server does not answer.
    pub async fn compare(&self, pair: &Pair, namespace: &str) -> Result<Comparison> {
        let (real, embedded) =
            tokio::try_join!(self.outcomes(&pair.real, namespace), self.outcomes(&pair.embedded, namespace))?;
        let case = Case::new(self.name, self.contenders.iter().take(1).cloned().collect());
        Ok(Comparison { case, real: vec![real], embedded: vec![embedded] })
    }

    async fn outcomes(&self, server: &Server, namespace: &str) -> Result<Value> {
        let mut answers: BTreeMap<String, usize> = BTreeMap::new();
        for round in 0..ROUNDS {
            let namespace = format!("{namespace}-{round}");
            server.create_namespace(&namespace, false).await?;
            let mut memory = Memory::new(&namespace);
            for step in &self.before {
                let answer = server.send(memory.request(step)?).await?;
                memory.learn(&answer);
            }
            let requests: Vec<_> =
                self.contenders.iter().map(|step| memory.request(step)).collect::<Result<_>>()?;
            for answer in try_join_all(requests.into_iter().map(|request| server.send(request))).await? {
                let body = answer.json().unwrap_or_default();
                let reason = body["reason"].as_str().unwrap_or("done");
                *answers.entry(format!("{} {reason}", answer.status)).or_default() += 1;
            }
            let last = server.send(memory.request(&get("leases/a"))?).await?.json().context("no JSON")?;
            let annotations = last["metadata"]["annotations"].as_object().map_or(0, serde_json::Map::len);
            *answers.entry("annotations in the end".to_owned()).or_default() += annotations;
        }
        Ok(json!({"status": answers}))
    }
}

/// All races.
pub fn races() -> Vec<Race> {
    let lease = |holder: &str| json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": holder, "leaseTransitions": 0}});
    let held = || vec![post("leases", &lease("nobody"))];
    let race = |name, before, contender: &dyn Fn(usize) -> Step| Race {
        name,
        before,
        contenders: (0..CONTENDERS).map(contender).collect(),
    };
    let acquire = |number: usize| {
        let patch = json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": "nobody"},
            {"op": "test", "path": "/spec/leaseTransitions", "value": 0},
            {"op": "replace", "path": "/spec/holderIdentity", "value": format!("candidate-{number}")},
            {"op": "replace", "path": "/spec/leaseTransitions", "value": 1},
        ]);
        json_patch("leases/a", &patch)
    };
    let annotate = |number: usize| {
        let key = format!("writer-{number}");
        merge_patch("leases/a", &json!({"metadata": {"annotations": {key: "was here"}}}))
    };
    let based = |number: usize| {
        let mut lease = lease(&format!("candidate-{number}"));
        lease["metadata"]["resourceVersion"] = json!("${leases/a:version}");
        put("leases/a", &lease)
    };
    vec![
        race("candidates that acquire by patch", held(), &acquire),
        race("candidates that create by put", Vec::new(), &|number| {
            put("leases/a", &lease(&number.to_string()))
        }),
        race("candidates that create by post", Vec::new(), &|number| {
            post("leases", &lease(&number.to_string()))
        }),
        race("patches that expect nothing", held(), &annotate),
        race("puts based on one version", held(), &based),
        race("deletions", held(), &|_| delete("leases/a")),
    ]
}

const CONTENDERS: usize = 8;
const ROUNDS: usize = 20;
