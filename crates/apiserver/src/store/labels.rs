//! Label selectors: a lexer and a parser that refuse in the words of apimachinery's `labels.Parse`.

use serde_json::Value;

use super::names;

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Requirement {
    key: String,
    wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Present,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    MoreThan(i64),
    LessThan(i64),
}

impl Requirement {
    pub(crate) fn matches(&self, object: &Value) -> bool {
        let value = object["metadata"]["labels"].get(&self.key).and_then(Value::as_str);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.wanted {
            Wanted::Present => value.is_some(),
            Wanted::Absent => value.is_none(),
            Wanted::In(values) => value.is_some_and(|value| values.iter().any(|wanted| wanted == value)),
            Wanted::NotIn(values) => value.is_none_or(|value| values.iter().all(|wanted| wanted != value)),
            Wanted::MoreThan(limit) => number().is_some_and(|number| number > *limit),
            Wanted::LessThan(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

/// Reads a selector.
///
/// # Errors
///
/// The sentence in which the real server refuses it.
pub(crate) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            "" if requirements.is_empty() => return Ok(requirements),
            token if token == "!" || is_identifier(token) => {
                let requirement = parser.requirement();
                requirements.push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
            }
            token if requirements.is_empty() => {
                return Err(format!("found '{token}', expected: !, identifier, or 'end of string'"));
            }
            token => return Err(format!("found '{token}', expected: identifier after ','")),
        }
        match parser.next() {
            "" => return Ok(requirements),
            "," => {}
            token => return Err(format!("found '{token}', expected: ',' or 'end of string'")),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The end of the text is an empty token.
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn next(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let absent = self.peek() == "!";
        if absent {
            self.next();
        }
        let key = self.next();
        if !is_identifier(key) {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let [why, ..] = names::qualified(key).as_slice() {
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
        let wanted = if absent {
            Wanted::Absent
        } else if matches!(self.peek(), "" | ",") {
            Wanted::Present
        } else {
            self.comparison(key)?
        };
        Ok(Requirement { key: key.into(), wanted })
    }

    fn comparison(&mut self, key: &str) -> Result<Wanted, String> {
        let operator = self.next();
        let values = match operator {
            "in" | "notin" => self.values()?,
            "=" | "==" | "!=" | ">" | "<" => vec![self.value()?.to_owned()],
            token => return Err(format!("found '{token}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        for (index, value) in values.iter().enumerate() {
            if let [why, ..] = names::label_value(value).as_slice() {
                return Err(format!("values[{index}][{key}]: Invalid value: {value:?}: {why}"));
            }
        }
        let number = || {
            let why = "for 'Gt', 'Lt' operators, the value must be an integer";
            values[0].parse().map_err(|_| format!("values[0]: Invalid value: {:?}: {why}", values[0]))
        };
        Ok(match operator {
            ">" => Wanted::MoreThan(number()?),
            "<" => Wanted::LessThan(number()?),
            "notin" | "!=" => Wanted::NotIn(values),
            _ => Wanted::In(values),
        })
    }

    fn value(&mut self) -> Result<&'a str, String> {
        match self.peek() {
            "" | "," => Ok(""),
            token if is_identifier(token) => Ok(self.next()),
            token => Err(format!("found '{token}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != "(" {
            return Err(format!("found '{open}' expected: '('"));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                ")" => {
                    values.push(String::new());
                    return Ok(values);
                }
                "," => values.push(String::new()),
                token if is_identifier(token) => {
                    values.push(token.into());
                    match self.next() {
                        "," => {}
                        ")" => return Ok(values),
                        token => return Err(format!("found '{token}', expected: ',' or ')'")),
                    }
                }
                token => return Err(format!("found '{token}', expected: ',', ')' or identifier")),
            }
        }
    }
}

fn is_identifier(token: &str) -> bool {
    token.chars().next().is_some_and(|first| !SYMBOLS.contains(first))
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let pair = ["==", "!="].into_iter().any(|pair| rest.starts_with(pair));
        let length = match rest.find(|letter: char| SYMBOLS.contains(letter) || letter.is_whitespace()) {
            Some(0) if pair => 2,
            Some(0) => 1,
            Some(end) => end,
            None => rest.len(),
        };
        let (token, tail) = rest.split_at(length);
        tokens.push(token);
        rest = tail.trim_start();
    }
    tokens
}

const SYMBOLS: &str = "=!(),<>";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(text: &str) -> bool {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "a", "n": "5"}}});
        parse(text).unwrap().iter().all(|requirement| requirement.matches(&object))
    }

    #[test]
    fn selectors_know_equality_sets_presence_and_order() {
        for yes in [
            "",
            "app=web",
            "app==web,tier",
            "app in (db, web)",
            "!zone",
            "zone!=x",
            "zone notin (a)",
            "n>4",
            "app,tier in (a)",
            "n<6",
            "app = web",
        ] {
            assert!(selects(yes), "{yes}");
        }
        for no in ["app=db", "app!=web", "zone", "!app", "app notin (web)", "zone in (a)", "n>5", "app in ()"]
        {
            assert!(!selects(no), "{no}");
        }
    }

    #[test]
    fn refusals_are_worded_as_by_the_real_server() {
        for (text, refusal) in [
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("n in a", "unable to parse requirement: found 'a' expected: '('"),
            ("n in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("n=1,", "found '', expected: identifier after ','"),
            ("=1", "found '=', expected: !, identifier, or 'end of string'"),
            ("n=a b", "found 'b', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(parse(text).unwrap_err(), refusal);
        }
        assert!(
            parse("n=-")
                .unwrap_err()
                .starts_with("unable to parse requirement: values[0][n]: Invalid value: \"-\"")
        );
    }
}
