//! Template files: texts in which `${...}` is replaced for each trial.

/// Bytes of a template file.
pub const MAX_TEMPLATE_BYTES: u64 = 16 << 20;

/// Replaces every `${name}` that is bound; others stay as they are. What a value contains is not replaced again.
pub fn fill(text: &str, bindings: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let bound = after.split_once('}').and_then(|(name, after)| {
            bindings.iter().find(|(bound, _)| bound == name).map(|(_, value)| (value, after))
        });
        if let Some((value, after)) = bound {
            out.push_str(value);
            rest = after;
        } else {
            out.push_str("${");
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_names_are_replaced_once_and_others_stay() {
        let bindings = [("lr".to_owned(), "${n}".to_owned()), ("n".to_owned(), "3".to_owned())];
        assert_eq!(fill("a=${lr} b=${n} c=${HOME} d=${ e=$n", &bindings), "a=${n} b=3 c=${HOME} d=${ e=$n");
        assert_eq!(fill("${${n}}", &bindings), "${3}");
    }
}
