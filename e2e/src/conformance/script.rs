//! A script: requests as data, whose values may refer to earlier answers.
//!
//! `${NAME}` in a path or body stands for:
//!
//! | name | value |
//! |---|---|
//! | `ns` | the script's namespace |
//! | `KIND/NAME:uid`, `KIND/NAME:version` | uid and resourceVersion of the object as last answered |
//! | `KIND/NAME:old-uid`, `KIND/NAME:old-version` | the uid or version before that one |
//! | `continue` | the token of the last list that was not complete |
//! | `generated` | the last name that the server made |
//!
//! What no answer has shown yet is a value that no object has: a step can be dropped from a script without
//! making the others meaningless.

use std::fmt;

use serde_json::Value;

/// A named script.
#[derive(Clone, Debug)]
pub struct Case {
    /// A sentence; listed differences refer to it.
    pub name: String,
    /// The requests, in order.
    pub steps: Vec<Step>,
}

impl Case {
    /// A case of these steps.
    pub fn new(name: &str, steps: Vec<Step>) -> Self {
        Self { name: name.to_owned(), steps }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Step {
    /// The method.
    pub method: String,
    /// `KIND`, `KIND/NAME` (with anything behind it) in the script's namespace, or an absolute path.
    pub path: String,
    /// Who writes: the name in `User-Agent`, which the server takes as field manager.
    pub writer: &'static str,
    /// `Accept`, if not JSON.
    pub accept: Option<&'static str>,
    /// `Content-Type`.
    pub content_type: Option<&'static str>,
    /// What is sent.
    pub content: Content,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Content {
    /// No body.
    Empty,
    /// This text, its references filled in.
    Text(String),
    /// The object as it was last answered, merged with this: what a client does that reads, changes and writes.
    LastRead {
        /// `KIND/NAME`.
        object: String,
        /// A merge patch.
        change: Value,
    },
}

impl Step {
    /// A request without a body.
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            writer: "writer-a",
            accept: None,
            content_type: None,
            content: Content::Empty,
        }
    }

    /// By another writer.
    pub fn by(mut self, writer: &'static str) -> Self {
        self.writer = writer;
        self
    }

    /// With this `Accept`.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = Some(accept);
        self
    }

    /// With this `Content-Type`.
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        self.content_type = Some(content_type);
        self
    }

    /// With this text as body.
    pub fn text(mut self, text: &str) -> Self {
        self.content = Content::Text(text.to_owned());
        self
    }

    fn json(self, body: &Value, content_type: &'static str) -> Self {
        self.text(&body.to_string()).content_type(content_type)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} by {}", self.method, self.path, self.writer)?;
        if let Some(accept) = self.accept {
            write!(f, " accept={accept}")?;
        }
        if let Some(content_type) = self.content_type {
            write!(f, " [{content_type}]")?;
        }
        match &self.content {
            Content::Empty => Ok(()),
            Content::Text(text) => write!(f, " {text}"),
            Content::LastRead { object, change } => write!(f, " {object} as last read, with {change}"),
        }
    }
}

/// GET.
pub fn get(path: &str) -> Step {
    Step::new("GET", path)
}

/// POST of an object.
pub fn post(path: &str, body: &Value) -> Step {
    Step::new("POST", path).json(body, JSON)
}

/// PUT of an object.
pub fn put(path: &str, body: &Value) -> Step {
    Step::new("PUT", path).json(body, JSON)
}

/// PUT of the object as last read, changed by a merge patch.
pub fn put_read(path: &str, change: Value) -> Step {
    let mut step = Step::new("PUT", path).content_type(JSON);
    let plain = path.split('?').next().unwrap_or(path);
    // Of an absolute path, the last two parts name the object.
    let start = plain.rmatch_indices('/').nth(1).map_or(0, |(index, _)| index + 1);
    let object = plain[start..].to_owned();
    step.content = Content::LastRead { object, change };
    step
}

/// A JSON Patch.
pub fn json_patch(path: &str, body: &Value) -> Step {
    Step::new("PATCH", path).json(body, "application/json-patch+json")
}

/// A merge patch.
pub fn merge_patch(path: &str, body: &Value) -> Step {
    Step::new("PATCH", path).json(body, "application/merge-patch+json")
}

/// A strategic merge patch.
pub fn strategic_patch(path: &str, body: &Value) -> Step {
    Step::new("PATCH", path).json(body, "application/strategic-merge-patch+json")
}

/// Server-side apply; `path` carries the field manager.
pub fn apply(path: &str, body: &Value) -> Step {
    Step::new("PATCH", path).json(body, "application/apply-patch+yaml")
}

/// DELETE without options.
pub fn delete(path: &str) -> Step {
    Step::new("DELETE", path)
}

/// DELETE with options.
pub fn delete_with(path: &str, options: &Value) -> Step {
    Step::new("DELETE", path).json(options, JSON)
}

const JSON: &str = "application/json";
