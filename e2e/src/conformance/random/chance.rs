//! The script of a seed: which request comes next, and with what in it, is chance.

use fastrand::Rng;
use serde_json::{Value, json};

use super::super::script::{
    Case, Step, apply, delete, delete_with, get, json_patch, merge_patch, post, put, put_read,
    strategic_patch,
};

/// The script of a seed.
pub fn script(seed: u64) -> Case {
    let mut chance = Chance(Rng::with_seed(seed));
    let mut kinds = KINDS;
    chance.0.shuffle(&mut kinds);
    let mut objects = vec![format!("{}/a", kinds[0]), format!("{}/a", kinds[1])];
    if chance.0.bool() {
        objects.push(format!("{}/b", kinds[chance.0.usize(0..2)]));
    }
    let mut steps: Vec<Step> = Vec::new();
    for object in &objects {
        if chance.0.u8(0..4) > 0 {
            steps.push(chance.create(object));
        }
    }
    for _ in 0..chance.0.usize(STEPS) {
        let object = chance.any(&objects);
        steps.push(chance.step(&object));
    }
    steps.extend(chance.conflict(&objects));
    steps.extend(objects.iter().map(|object| get(object)));
    let written = |step: Step, chance: &mut Chance| {
        let writer = chance.any(&WRITERS);
        step.by(writer)
    };
    let steps = steps.into_iter().map(|step| written(step, &mut chance)).collect();
    Case::new(&format!("the script of seed {seed}"), steps)
}

/// The choices of one script.
struct Chance(Rng);

impl Chance {
    fn any<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(0..choices.len())].clone()
    }

    fn step(&mut self, object: &str) -> Step {
        match self.0.u8(0..22) {
            0 => get(object),
            1 | 2 => self.create(object),
            3..=5 => self.put(object),
            6..=8 => {
                let change = self.change(object);
                put_read(&self.optional_dry_run(object), change)
            }
            9..=12 => self.json_patch(object),
            13 | 14 => {
                let change = self.versioned_change(object);
                merge_patch(&self.optional_dry_run(object), &change)
            }
            15 => {
                let change = self.versioned_change(object);
                strategic_patch(object, &change)
            }
            20 | 21 if kind_of(object) == "leases" => self.apply(object),
            16 | 17 => self.delete(object),
            18 => get(&format!("{}?labelSelector=app%3D{}", kind_of(object), self.any(&VALUES))),
            _ => get(kind_of(object)),
        }
    }

    fn create(&mut self, object: &str) -> Step {
        let body = self.object(object);
        post(&self.optional_dry_run(kind_of(object)), &body)
    }

    fn put(&mut self, object: &str) -> Step {
        let mut body = self.object(object);
        if let Some(version) = self.version(object) {
            body["metadata"]["resourceVersion"] = json!(version);
        }
        if let Some(uid) = self.uid(object) {
            body["metadata"]["uid"] = json!(uid);
        }
        put(&self.optional_dry_run(object), &body)
    }

    fn json_patch(&mut self, object: &str) -> Step {
        let (field, value) = self.field(object);
        let mut patch = Vec::new();
        for _ in 0..self.0.usize(0..3) {
            patch.push(match self.0.u8(0..5) {
                0 => json!({"op": "test", "path": "/metadata/uid", "value": format!("${{{object}:uid}}")}),
                1 => json!({"op": "test", "path": "/metadata/uid", "value": format!("${{{object}:old-uid}}")}),
                2 => json!({"op": "test", "path": field, "value": self.field_value(object)}),
                3 => json!({"op": "test", "path": "/metadata/annotations", "value": null}),
                _ => json!({"op": "add", "path": "/metadata/annotations", "value": {"mark": self.any(&VALUES)}}),
            });
        }
        if self.0.u8(0..8) == 0 {
            let version = self.version(object).unwrap_or_default();
            patch.push(json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version}));
        }
        patch.push(match self.0.u8(0..6) {
            0 => json!({"op": "remove", "path": field}),
            1 => json!({"op": "replace", "path": field, "value": value}),
            _ => json!({"op": "add", "path": field, "value": value}),
        });
        json_patch(&self.optional_dry_run(object), &Value::Array(patch))
    }

    fn apply(&mut self, object: &str) -> Step {
        let mut body = self.object(object);
        body["apiVersion"] = json!("coordination.k8s.io/v1");
        body["kind"] = json!("Lease");
        let force = if self.0.u8(0..3) == 0 { "&force=true" } else { "" };
        apply(&format!("{object}?fieldManager={}{force}", self.any(&VALUES)), &body)
    }

    fn delete(&mut self, object: &str) -> Step {
        let mut conditions = json!({});
        if let Some(uid) = self.uid(object) {
            conditions["uid"] = json!(uid);
        }
        if self.0.bool()
            && let Some(version) = self.version(object)
        {
            conditions["resourceVersion"] = json!(version);
        }
        match self.0.u8(0..3) {
            0 => delete(object),
            _ => delete_with(object, &json!({"preconditions": conditions})),
        }
    }

    /// Ends with a refusal whatever was there before: the object exists, is written, and is written again from
    /// the version before.
    fn conflict(&mut self, objects: &[String]) -> [Step; 4] {
        let object = self.any(objects);
        let name = object.rsplit('/').next().unwrap_or_default();
        let plain = json!({"metadata": {"name": name}});
        let stale =
            json!({"metadata": {"name": name, "resourceVersion": format!("${{{object}:old-version}}")}});
        let fresh = json!({"metadata": {"annotations": {"turn": "last"}}});
        [post(kind_of(&object), &plain), get(&object), put_read(&object, fresh), put(&object, &stale)]
    }

    fn object(&mut self, object: &str) -> Value {
        let (kind, name) = object.split_once('/').expect("objects are named KIND/NAME");
        let mut metadata = json!({"name": name});
        if self.0.u8(0..3) == 0 {
            metadata["labels"] = json!({"app": self.any(&VALUES)});
        }
        match kind {
            "leases" => json!({"metadata": metadata, "spec": self.lease_spec()}),
            "configmaps" => json!({"metadata": metadata, "data": {"holder": self.any(&VALUES)}}),
            _ => {
                metadata["annotations"] = json!({"holder": self.any(&VALUES)});
                json!({"metadata": metadata})
            }
        }
    }

    fn lease_spec(&mut self) -> Value {
        let mut spec = json!({"holderIdentity": self.any(&VALUES)});
        if self.0.u8(0..3) > 0 {
            spec["leaseDurationSeconds"] = json!(self.any(&[15, 15, 15, 3, 0]));
        }
        if self.0.bool() {
            spec["renewTime"] = json!(self.any(&TIMES));
        }
        if self.0.bool() {
            spec["leaseTransitions"] = json!(self.any(&[0, 1, 2, 2, -1]));
        }
        spec
    }

    fn change(&mut self, object: &str) -> Value {
        let (field, value) = self.field(object);
        let mut parts = field.trim_start_matches('/').rsplit('/');
        let leaf = parts.next().expect("a pointer has a last part");
        let mut change = json!({ leaf: if self.0.u8(0..5) == 0 { Value::Null } else { value } });
        for part in parts {
            change = json!({ part: change });
        }
        change
    }

    fn versioned_change(&mut self, object: &str) -> Value {
        let mut change = self.change(object);
        if self.0.u8(0..3) == 0 {
            let version = self.version(object).unwrap_or_else(|| "0".to_owned());
            change["metadata"]["resourceVersion"] = json!(version);
        }
        change
    }

    /// A field that writers change, and a value for it.
    fn field(&mut self, object: &str) -> (&'static str, Value) {
        match (kind_of(object), self.0.u8(0..6)) {
            (_, 0) => ("/metadata/labels/app", json!(self.any(&VALUES))),
            (_, 1) => ("/metadata/annotations/mark", json!(self.any(&VALUES))),
            ("leases", 2) => ("/spec/renewTime", json!(self.any(&TIMES))),
            ("leases", 3) => ("/spec/leaseTransitions", json!(self.0.i32(-1..4))),
            ("leases", _) => ("/spec/holderIdentity", self.field_value(object)),
            ("configmaps", _) => ("/data/holder", self.field_value(object)),
            _ => ("/metadata/annotations/holder", self.field_value(object)),
        }
    }

    fn field_value(&mut self, _object: &str) -> Value {
        json!(self.any(&VALUES))
    }

    fn version(&mut self, object: &str) -> Option<String> {
        match self.0.u8(0..8) {
            0..=3 => Some(format!("${{{object}:version}}")),
            4 | 5 => Some(format!("${{{object}:old-version}}")),
            _ => None,
        }
    }

    fn uid(&mut self, object: &str) -> Option<String> {
        match self.0.u8(0..6) {
            0 | 1 => Some(format!("${{{object}:uid}}")),
            2 => Some(format!("${{{object}:old-uid}}")),
            _ => None,
        }
    }

    fn optional_dry_run(&mut self, path: &str) -> String {
        if self.0.u8(0..12) == 0 { format!("{path}?dryRun=All") } else { path.to_owned() }
    }
}

fn kind_of(object: &str) -> &str {
    object.split('/').next().unwrap_or(object)
}

const KINDS: [&str; 3] = ["leases", "configmaps", "endpoints"];
const WRITERS: [&str; 3] = ["writer-a", "writer-b", "writer-c"];
const VALUES: [&str; 3] = ["one", "two", "three"];
const TIMES: [&str; 3] =
    ["2026-01-02T03:04:05.000000Z", "2026-01-02T03:04:06.500000Z", "2026-01-02T03:04:07Z"];
const STEPS: std::ops::Range<usize> = 5..14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_is_the_same_script() {
        let text = |seed| format!("{:?}", script(seed));
        assert_eq!(text(7), text(7));
        assert_ne!(text(7), text(8));
    }
}
