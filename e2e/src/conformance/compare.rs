//! One script on two servers, step by step, and what they answered differently.

use std::fmt::{self, Write as _};

use anyhow::Result;
use serde_json::Value;

use super::memory::Memory;
use super::normal::Symbols;
use super::script::{Case, Step};
use super::server::Server;

/// The two servers: the truth, and the one that is held against it.
#[derive(Clone)]
pub struct Pair {
    /// The truth.
    pub real: Server,
    /// What is held against it.
    pub embedded: Server,
}

impl Pair {
    /// Runs `case` on both, each in a new namespace of this name.
    ///
    /// # Errors
    /// When a server does not answer at all.
    pub async fn run(&self, namespace: &str, case: &Case) -> Result<Comparison> {
        let (real, embedded) = tokio::try_join!(
            answers(&self.real, namespace, &case.steps),
            answers(&self.embedded, namespace, &case.steps),
        )?;
        Ok(Comparison { case: case.clone(), real, embedded })
    }
}

/// Every answer of one server to a script, in comparable form.
///
/// # Errors
/// When there is no answer, or a step makes no request.
pub async fn answers(server: &Server, namespace: &str, steps: &[Step]) -> Result<Vec<Value>> {
    let for_pods = steps.iter().any(|step| step.path.starts_with("pods"));
    server.create_namespace(namespace, for_pods).await?;
    let mut memory = Memory::new(namespace);
    let mut symbols = Symbols::default();
    let mut answers = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let answer = server.send(memory.request(step)?).await?;
        memory.learn(&answer);
        answers.push(symbols.normal(index + 1, &answer));
    }
    Ok(answers)
}

/// What both servers answered to a script.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The script.
    pub case: Case,
    /// The answers of the real server.
    pub real: Vec<Value>,
    /// The answers of the embedded server.
    pub embedded: Vec<Value>,
}

/// A value that is not the same in the two answers to one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Deviation {
    /// The case's name.
    pub case: String,
    /// The step, counted from one.
    pub step: usize,
    /// Where in the answer: a JSON pointer, such as `/body/reason`.
    pub pointer: String,
    /// What the real server says there; `None`: nothing.
    pub real: Option<Value>,
    /// What the embedded server says there; `None`: nothing.
    pub embedded: Option<Value>,
}

impl Comparison {
    /// Every deviation, in order.
    pub fn deviations(&self) -> Vec<Deviation> {
        let mut found = Vec::new();
        for (index, (real, embedded)) in self.real.iter().zip(&self.embedded).enumerate() {
            let at = |pointer, real: Option<&Value>, embedded: Option<&Value>| Deviation {
                case: self.case.name.clone(),
                step: index + 1,
                pointer,
                real: real.cloned(),
                embedded: embedded.cloned(),
            };
            differ("", Some(real), Some(embedded), &mut |pointer, a, b| found.push(at(pointer, a, b)));
        }
        found
    }

    /// How many steps the real server refused as conflicting with what is stored.
    pub fn conflicts(&self) -> usize {
        self.real.iter().filter(|answer| is_conflict(answer)).count()
    }

    /// The whole script, with every answer of the real server and where the embedded one differs.
    pub fn transcript(&self) -> String {
        let deviations = self.deviations();
        let mut text = format!("# {}\n\n", self.case.name);
        for (index, (step, real)) in self.case.steps.iter().zip(&self.real).enumerate() {
            let _ = writeln!(text, "## {}. {step}\n{real:#}", index + 1);
            for deviation in deviations.iter().filter(|deviation| deviation.step == index + 1) {
                let _ = writeln!(text, "DIFFERS {deviation}");
            }
        }
        text
    }

    /// The script up to the first deviation among `deviations`, and both answers there.
    pub fn report(&self, deviations: &[Deviation]) -> String {
        let Some(first) = deviations.first() else { return String::new() };
        let mut text = format!("case: {}\n", self.case.name);
        for (index, step) in self.case.steps.iter().take(first.step).enumerate() {
            let _ = writeln!(text, "  {:>2}. {} <- {step}", index + 1, self.real[index]["status"]);
        }
        let _ = writeln!(text, "the real server answered\n{:#}", self.real[first.step - 1]);
        let _ = writeln!(text, "the embedded server answered\n{:#}", self.embedded[first.step - 1]);
        for deviation in deviations {
            let _ = writeln!(text, "{deviation}");
        }
        text
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show =
            |side: &Option<Value>| side.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
        let (real, embedded) = (show(&self.real), show(&self.embedded));
        write!(f, "{} step {} {}: real {real}, embedded {embedded}", self.case, self.step, self.pointer)
    }
}

/// 409, or the 422 of a JSON Patch whose test failed, which has nothing in its details.
fn is_conflict(answer: &Value) -> bool {
    let failed_test = || answer["body"]["details"].as_object().is_some_and(serde_json::Map::is_empty);
    match answer["status"].as_u64() {
        Some(409) => true,
        Some(422) => failed_test(),
        _ => false,
    }
}

/// Calls `found` for each place at which two values differ, as deep inside as possible.
fn differ<'a>(
    pointer: &str,
    real: Option<&'a Value>,
    embedded: Option<&'a Value>,
    found: &mut dyn FnMut(String, Option<&'a Value>, Option<&'a Value>),
) {
    match (real, embedded) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let only_b = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(only_b) {
                let escaped = key.replace('~', "~0").replace('/', "~1");
                differ(&format!("{pointer}/{escaped}"), a.get(key), b.get(key), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                differ(&format!("{pointer}/{index}"), a.get(index), b.get(index), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found(pointer.to_owned(), a, b),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deviation_is_named_as_deep_inside_as_possible() {
        let comparison = Comparison {
            case: Case::new("a case", vec![super::super::script::get("leases/a")]),
            real: vec![json!({"status": 200, "body": {"items": [1, 2], "a/b": {}}})],
            embedded: vec![json!({"status": 200, "body": {"items": [1, 3, 4], "a/b": {}, "more": null}})],
        };
        let deviations = comparison.deviations();
        let places: Vec<&str> = deviations.iter().map(|deviation| deviation.pointer.as_str()).collect();
        assert_eq!(places, ["/body/items/1", "/body/items/2", "/body/more"]);
        assert_eq!(deviations[2].to_string(), "a case step 1 /body/more: real nothing, embedded null");
        assert!(comparison.report(&deviations).contains("1. 200 <- GET leases/a by writer-a"));
    }
}
