//! A small reader of JSON: enough for a file of hyperparameters, without a library.

/// A value; of arrays, booleans and null it is only known that they were there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Object(Vec<(String, Json)>),
    Text(String),
    Number(f64),
    Other,
}

impl Json {
    /// The member of an object, if this is one and has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// Reads a whole text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.take("");
        if reader.at == text.len() { Ok(value) } else { reader.unexpected() }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn unexpected<T>(&self) -> Result<T, String> {
        Err(format!("not JSON that can be read here, from byte {}: {:.20}", self.at, self.rest()))
    }

    /// Skips space, then takes `token` if it is next.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.rest().trim_start_matches([' ', '\t', '\r', '\n']);
        let found = rest.starts_with(token);
        self.at = self.text.len() - rest.len() + if found { token.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: usize) -> Result<Json, String> {
        if depth > 32 {
            return Err("nested too deeply".to_owned());
        }
        if self.take("{") {
            let mut members = Vec::new();
            self.list("}", |reader| {
                let name = if reader.take("\"") { reader.string()? } else { return reader.unexpected() };
                if !reader.take(":") {
                    return reader.unexpected();
                }
                members.push((name, reader.value(depth + 1)?));
                Ok(())
            })?;
            Ok(Json::Object(members))
        } else if self.take("[") {
            self.list("]", |reader| reader.value(depth + 1).map(|_| ())).map(|()| Json::Other)
        } else if self.take("\"") {
            self.string().map(Json::Text)
        } else if self.take("true") || self.take("false") || self.take("null") {
            Ok(Json::Other)
        } else {
            let number = self.rest().split([',', '}', ']', ' ', '\t', '\r', '\n']).next().unwrap_or_default();
            let Some(value) = number.parse().ok().filter(|value: &f64| value.is_finite()) else {
                return self.unexpected();
            };
            self.at += number.len();
            Ok(Json::Number(value))
        }
    }

    /// The items up to `end`, separated by commas; the opening bracket has been taken.
    fn list(
        &mut self,
        end: &str,
        mut item: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        if self.take(end) {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(end) {
                return Ok(());
            } else if !self.take(",") {
                return self.unexpected();
            }
        }
    }

    /// The rest of a string whose opening quote has been taken; names of models need no escapes.
    fn string(&mut self) -> Result<String, String> {
        match self.rest().split_once('"') {
            Some((string, _)) if !string.contains('\\') => {
                self.at += string.len() + 1;
                Ok(string.to_owned())
            }
            _ => self.unexpected(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Json;

    #[test]
    fn nested_parameters_are_read() -> Result<(), String> {
        let json = Json::parse(
            " {\"model\": {\"_name\": \"rid ge\", \"alpha\":1.5e-1}, \"x\": [1, {}, null], \"y\":-2}\n",
        )?;
        let model = json.get("model").cloned().unwrap_or(Json::Other);
        assert_eq!(model.get("_name"), Some(&Json::Text("rid ge".to_owned())));
        assert_eq!(model.get("alpha"), Some(&Json::Number(0.15)));
        assert_eq!(json.get("x"), Some(&Json::Other));
        assert_eq!(json.get("y"), Some(&Json::Number(-2.0)));
        assert_eq!(json.get("z"), None);
        Ok(())
    }

    #[test]
    fn a_broken_text_is_an_error_and_never_a_crash() {
        let text = "{\"model\": {\"_name\": \"ridge\", \"é\": [0.1]}}";
        for length in (0..text.len()).filter(|length| text.is_char_boundary(*length)) {
            assert!(Json::parse(&text[..length]).is_err(), "{}", &text[..length]);
        }
        for broken in [
            "{} x",
            "[1,]",
            "{\"a\" 1}",
            "{1: 2}",
            "1.2.3",
            "inf",
            "NaN",
            "",
            "nul",
            "\"\\u0041\"",
            &"[".repeat(100_000),
        ] {
            assert!(Json::parse(broken).is_err(), "{broken:.20}");
        }
    }
}
