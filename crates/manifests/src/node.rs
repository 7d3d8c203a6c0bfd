//! A manifest as a tree that keeps what it does not know: fields, their order, and numbers as they were written.
//!
//! The types of k8s-openapi drop fields of other versions and of other people, so a manifest that comes in is never one
//! of them. Comments of a manifest that comes in are lost.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Number, Value};
use serde_saphyr::Commented;

/// A value of YAML or JSON.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
    /// A string with a comment behind it.
    Explained(String, &'static str),
    /// A list.
    List(Vec<Self>),
    /// Fields in their order.
    Map(Vec<(String, Self)>),
}

impl Node {
    /// An object of ours; what people look for first comes first.
    pub(crate) fn of<T: Serialize>(object: &T) -> Self {
        Self::from(serde_json::to_value(object).expect("objects of Kubernetes are JSON"))
    }

    /// The field `key`; `None` also where it is null.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find(|(name, _)| name == key).map(|(_, node)| node).filter(|node| **node != Self::Null)
    }

    /// The field at the end of a path.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The string that it is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Explained(text, _) => Some(text),
            _ => None,
        }
    }

    /// The string in field `key`.
    pub(crate) fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The items in field `key`; none if there is no list.
    pub(crate) fn items(&self, key: &str) -> &[Self] {
        match self.get(key) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The field `key`, made null where it is missing. What is no map becomes one.
    pub(crate) fn entry(&mut self, key: &str) -> &mut Self {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(Vec::new());
        }
        let Self::Map(fields) = self else { unreachable!("made a map above") };
        let found = fields.iter().position(|(name, _)| name == key);
        let index = found.unwrap_or_else(|| {
            fields.push((key.to_owned(), Self::Null));
            fields.len() - 1
        });
        &mut fields[index].1
    }

    /// Removes the field `key`.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Self> {
        let Self::Map(fields) = self else { return None };
        let found = fields.iter().position(|(name, _)| name == key)?;
        Some(fields.remove(found).1)
    }

    /// The same without comments.
    #[must_use]
    pub fn plain(&self) -> Self {
        match self {
            Self::Explained(text, _) => Self::Text(text.clone()),
            Self::List(items) => Self::List(items.iter().map(Self::plain).collect()),
            Self::Map(fields) => {
                Self::Map(fields.iter().map(|(name, node)| (name.clone(), node.plain())).collect())
            }
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => self.clone(),
        }
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) | Self::Explained(..) => "a string",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Value> for Node {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::Text(text),
            Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let mut fields: Vec<_> =
                    fields.into_iter().map(|(name, value)| (name, Self::from(value))).collect();
                let last = FIRST.len();
                fields.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(last));
                Self::Map(fields)
            }
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Explained(text, why) => Commented(text, (*why).to_owned()).serialize(serializer),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, node) in fields {
                    map.serialize_entry(name, node)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Number::from_f64(value).map(Node::Number).ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(field) = fields.next_entry()? {
            map.push(field);
        }
        Ok(Node::Map(map))
    }
}

/// As people write objects; what is not here follows by the alphabet.
const FIRST: [&str; 12] = [
    "apiVersion",
    "kind",
    "metadata",
    "name",
    "namespace",
    "image",
    "restartPolicy",
    "command",
    "args",
    "apiGroups",
    "resources",
    "resourceNames",
];
