//! The few fields of TensorBoard's protocol buffers that hold scalars, decoded by hand.
//!
//! Field numbers are those of `event.proto`, `summary.proto` and `tensor.proto` of TensorFlow, which cannot change.

pub(super) use crate::protobuf::Damaged;
use crate::protobuf::{Field, Fields, varint};

/// A scalar of an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scalar {
    /// Its tag.
    pub(super) tag: String,
    /// Its value.
    pub(super) value: f64,
}

/// The step and the scalars of an `Event`.
pub(super) fn event(bytes: &[u8]) -> Result<(u64, Vec<Scalar>), Damaged> {
    let (mut step, mut scalars) = (0, Vec::new());
    for field in Fields(bytes) {
        match field? {
            (2, Field::Varint(value)) => step = u64::try_from(value.cast_signed()).unwrap_or(0),
            (5, Field::Bytes(summary)) => {
                for field in Fields(summary) {
                    if let (1, Field::Bytes(value)) = field? {
                        scalars.extend(scalar(value)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((step, scalars))
}

/// A `Summary.Value`: its tag with a simple value or a tensor of one number.
fn scalar(bytes: &[u8]) -> Result<Option<Scalar>, Damaged> {
    let (mut tag, mut value) = (None, None);
    for field in Fields(bytes) {
        match field? {
            (1, Field::Bytes(text)) => tag = Some(String::from_utf8_lossy(text).into_owned()),
            (2, Field::Fixed32(bits)) => value = Some(f64::from(f32::from_bits(bits))),
            (8, Field::Bytes(content)) => value = tensor(content)?.or(value),
            _ => {}
        }
    }
    Ok(tag.zip(value).map(|(tag, value)| Scalar { tag, value }))
}

/// The number in a `TensorProto` of one element.
fn tensor(bytes: &[u8]) -> Result<Option<f64>, Damaged> {
    const FLOAT: u64 = 1;
    const DOUBLE: u64 = 2;
    const INT32: u64 = 3;
    const INT64: u64 = 9;
    let (mut kind, mut content, mut value) = (0, None, None);
    for field in Fields(bytes) {
        match field? {
            (1, Field::Varint(dtype)) => kind = dtype,
            (4, Field::Bytes(raw)) if !raw.is_empty() => content = Some(raw),
            (5, Field::Fixed32(bits)) => value = Some(f64::from(f32::from_bits(bits))),
            (6, Field::Fixed64(bits)) => value = Some(f64::from_bits(bits)),
            (5, Field::Bytes(packed)) => {
                value = packed.try_into().ok().map(|raw| f64::from(f32::from_le_bytes(raw)));
            }
            (6, Field::Bytes(packed)) => value = packed.try_into().ok().map(f64::from_le_bytes),
            (7 | 10, Field::Varint(number)) => value = Some(number.cast_signed() as f64),
            (7 | 10, Field::Bytes(packed)) => {
                let mut rest = packed;
                value = varint(&mut rest).filter(|_| rest.is_empty()).map(|n| n.cast_signed() as f64);
            }
            _ => {}
        }
    }
    let from_content = |raw: &[u8]| match kind {
        FLOAT => raw.try_into().ok().map(|raw| f64::from(f32::from_le_bytes(raw))),
        DOUBLE => raw.try_into().ok().map(f64::from_le_bytes),
        INT32 => raw.try_into().ok().map(|raw| f64::from(i32::from_le_bytes(raw))),
        INT64 => raw.try_into().ok().map(|raw| i64::from_le_bytes(raw) as f64),
        _ => None,
    };
    Ok(value.or_else(|| content.and_then(from_content)))
}
