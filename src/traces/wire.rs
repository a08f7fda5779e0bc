//! Spans as a request of the `OpenTelemetry` protocol 1, in the wire form of protocol buffers: written by hand, since it takes six
//! messages of a frozen form (`opentelemetry/proto/collector/trace/v1`). Begin with [`request`].

use super::{Attribute, Span};

/// A message that is being written.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, form: u64) {
        self.varint(field << 3 | form);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn fixed64(&mut self, field: u64, value: u64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.key(field, 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
    }

    fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn attribute(&mut self, field: u64, name: &str, value: &Attribute) {
        self.message(field, |pair| {
            pair.bytes(1, name.as_bytes());
            pair.message(2, |any| match value {
                Attribute::Text(text) => any.bytes(1, text.as_bytes()),
                Attribute::Number(number) => any.number(3, *number as u64),
            });
        });
    }

    fn span(&mut self, field: u64, span: &Span) {
        self.message(field, |out| {
            out.bytes(1, &span.trace.to_be_bytes());
            out.bytes(2, &span.id.to_be_bytes());
            if let Some(parent) = span.parent {
                out.bytes(4, &parent.to_be_bytes());
            }
            out.bytes(5, span.name.as_bytes());
            out.number(6, span.kind as u64);
            out.fixed64(7, span.began_ns);
            out.fixed64(8, span.ended_ns);
            for (name, value) in &span.attributes {
                out.attribute(9, name, value);
            }
            if span.failed {
                out.message(15, |status| status.number(3, 2));
            }
        });
    }
}

/// `ExportTraceServiceRequest`: one resource, one scope, these spans.
pub(super) fn request(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let mut request = Message::default();
    request.message(1, |of_resource| {
        of_resource.message(1, |out| {
            for (name, value) in resource {
                out.attribute(1, name, &Attribute::Text(value.clone()));
            }
        });
        of_resource.message(2, |of_scope| {
            of_scope.message(1, |scope| scope.bytes(1, b"retrial"));
            for span in spans {
                of_scope.span(2, span);
            }
        });
    });
    request.0
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn a_span_has_the_bytes_of_the_official_library() {
        let span = Span {
            trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
            id: 0xb7ad_6b71_6920_3331,
            parent: Some(1),
            name: "commit".to_owned(),
            kind: Kind::Internal,
            began_ns: 1_790_000_000_000_000_000,
            ended_ns: 1_790_000_000_000_300_000,
            failed: true,
            attributes: vec![("n", Attribute::Number(300)), ("t", Attribute::from("x"))],
        };
        let bytes = request(&[("service.name".to_owned(), "retrial".to_owned())], &[span]);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("golden.hex").trim());
    }
}
