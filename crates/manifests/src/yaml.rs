//! Reading and writing YAML and JSON, with comments above each document.

use serde_saphyr::{from_multiple_with_options, options, ser_options, to_string_with_options};

use crate::error::InputError;
use crate::node::Node;

/// An object, with what is said above it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Lines of the comment above it; none for what came in and goes out.
    pub comment: Vec<String>,
    /// The object.
    pub object: Node,
}

impl Document {
    pub(crate) fn new(comment: &[&str], object: Node) -> Self {
        Self { comment: comment.iter().map(|&line| line.to_owned()).collect(), object }
    }
}

/// Reads documents as `kubectl` does, which reads YAML 1.1: `0644` is octal, `on` is true. JSON is YAML.
///
/// # Errors
///
/// If the text is no YAML, with line and column, or a key is there twice.
pub fn read(text: &str) -> Result<Vec<Node>, InputError> {
    let options = options! { legacy_octal_numbers: true };
    let documents: Vec<Node> =
        from_multiple_with_options(text, options).map_err(|error| match template_line(text) {
            Some(line) => InputError::Template { line },
            None => InputError::NoYaml { error: error.to_string() },
        })?;
    Ok(documents.into_iter().filter(|document| *document != Node::Null).collect())
}

/// The first line, from 1, that a program such as Helm would still have to fill in.
pub fn template_line(text: &str) -> Option<usize> {
    let is_template = |line: &str| line.contains("{{") && !line.trim_start().starts_with('#');
    text.lines().position(is_template).map(|index| index + 1)
}

/// Writes documents as YAML, each with its comment.
pub fn write(documents: &[Document]) -> String {
    let written = documents.iter().map(|document| {
        let comment: String = document.comment.iter().map(|line| format!("# {line}\n")).collect();
        // Nothing is folded: a long argument stays on its line.
        let options = ser_options! { folded_wrap_chars: usize::MAX };
        let object = to_string_with_options(&document.object, options).expect("a tree of values is YAML");
        format!("{comment}{object}")
    });
    written.collect::<Vec<_>>().join("---\n")
}

/// Writes documents as JSON: one as it is, more as a `List`. JSON has no comments.
pub fn write_json(documents: &[Document]) -> String {
    let mut objects: Vec<Node> = documents.iter().map(|document| document.object.plain()).collect();
    let object = if objects.len() == 1 {
        objects.remove(0)
    } else {
        Node::Map(vec![
            ("apiVersion".to_owned(), "v1".into()),
            ("kind".to_owned(), "List".into()),
            ("items".to_owned(), Node::List(objects)),
        ])
    };
    let mut text = serde_json::to_string_pretty(&object).expect("a tree of values is JSON");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let documents = read(text).unwrap().into_iter().map(|object| Document::new(&[], object));
        write(&documents.collect::<Vec<_>>())
    }

    #[test]
    fn what_is_read_is_written_as_it_was_and_in_its_order() {
        let text = "zeta: 1\nalpha:\n- b\n- a: null\n  c: {}\nempty: []\nfloat: 1.5\nlarge: 9223372036854775807\nlines: |\n  one\n  two\n";
        assert_eq!(again(text), text);
    }

    #[test]
    fn what_only_looks_like_another_kind_of_value_stays_a_string() {
        for text in
            ["'on'", "'yes'", "'null'", "'0644'", "'1e3'", "'0x1f'", "'true'", "'~'", "''", "' a'", "'12:30'"]
        {
            let shown = format!("value: {text}\n");
            let once = again(&shown);
            assert_eq!(read(&once).unwrap(), read(&shown).unwrap(), "{once}");
            let quoted = once.trim_end().trim_start_matches("value: ");
            assert!(quoted.starts_with(['\'', '"']), "{once} would be read as another kind by YAML 1.1");
        }
    }

    #[test]
    fn numbers_are_read_as_kubectl_reads_them() {
        assert_eq!(again("defaultMode: 0644\n"), "defaultMode: 420\n");
    }

    #[test]
    fn documents_are_separated_and_empty_ones_are_none() {
        assert_eq!(read("---\na: 1\n---\n# nothing\n---\nb: 2\n").unwrap().len(), 2);
        assert_eq!(read("").unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_yaml_is_answered_with_its_place() {
        let message = read("a: [1\nb: 2").unwrap_err().to_string();
        assert!(message.contains("line "), "{message}");
        let template = "kind: Deployment\n# {{ a comment }}\nmetadata:\n  name: {{ .Values.name }}\n";
        assert_eq!(read(template).unwrap_err(), InputError::Template { line: 4 });
        let twice = read("a: 1\na: 2\n").unwrap_err().to_string();
        assert!(twice.contains('a') && twice.contains("uplicate"), "{twice}");
    }
}
