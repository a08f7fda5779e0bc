//! Values as bytes. The only file that names bincode, so that its successor has one place to go.
//!
//! bincode aborts the process on a damaged length when it has no limit, and ignores trailing bytes: every decoding
//! here is bounded and must consume everything. Check a checksum before decoding anything that was on a disk.

use bincode::config::{self, Configuration, LittleEndian, Varint};
use engine::event::{PayloadReader, PayloadWriter};
use engine::limits::MAX_RECORD_BYTES;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of one encoded value outside a record, such as a snapshot, at most.
pub const MAX_VALUE_BYTES: usize = 4 * 1_073_741_824;

/// Why bytes are not the value they should be, or a value cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The value has no encoding.
    #[error("cannot encode: {0}")]
    Encode(String),
    /// The bytes are not such a value.
    #[error("cannot decode: {0}")]
    Decode(String),
    /// The value ends before the bytes do.
    #[error("cannot decode: {0} bytes follow the value")]
    Trailing(usize),
}

type Config<L> = Configuration<LittleEndian, Varint, L>;

fn small() -> Config<config::Limit<MAX_RECORD_BYTES>> {
    config::standard().with_limit::<MAX_RECORD_BYTES>()
}

fn large() -> Config<config::Limit<MAX_VALUE_BYTES>> {
    config::standard().with_limit::<MAX_VALUE_BYTES>()
}

/// Encodes a value, for example a state to be kept as a snapshot.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(value, large()).map_err(|e| CodecError::Encode(e.to_string()))
}

/// Decodes what [`encode`] made; the bytes must have passed a checksum.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (value, used) =
        bincode::serde::decode_from_slice(bytes, large()).map_err(|e| CodecError::Decode(e.to_string()))?;
    whole(value, used, bytes.len())
}

fn whole<T>(value: T, used: usize, len: usize) -> Result<T, CodecError> {
    if used == len { Ok(value) } else { Err(CodecError::Trailing(len - used)) }
}

/// Appends payloads to a buffer.
pub(crate) struct Payload<'a>(pub(crate) &'a mut Vec<u8>);

impl PayloadWriter for Payload<'_> {
    type Error = CodecError;

    fn write<T: Serialize>(&mut self, payload: &T) -> Result<(), CodecError> {
        bincode::serde::encode_into_std_write(payload, self.0, small())
            .map(|_| ())
            .map_err(|e| CodecError::Encode(e.to_string()))
    }
}

/// Takes a payload from a record.
pub(crate) struct PayloadBytes<'a>(pub(crate) &'a [u8]);

impl PayloadReader for PayloadBytes<'_> {
    type Error = CodecError;

    fn read<T: DeserializeOwned>(&mut self) -> Result<T, CodecError> {
        let (value, used) = bincode::serde::decode_from_slice(self.0, small())
            .map_err(|e| CodecError::Decode(e.to_string()))?;
        whole(value, used, self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_survives_and_trailing_bytes_are_refused() {
        let mut bytes = encode(&(7_u64, "seven".to_owned())).unwrap();
        assert_eq!(decode(&bytes), Ok((7_u64, "seven".to_owned())));
        bytes.push(0);
        assert_eq!(decode::<(u64, String)>(&bytes), Err(CodecError::Trailing(1)));
    }

    #[test]
    fn a_monstrous_length_is_an_error_and_not_an_abort() {
        let bytes = [253, 255, 255, 255, 255, 255, 255, 255, 127];
        assert!(decode::<String>(&bytes).is_err());
        assert!(PayloadBytes(&bytes).read::<Vec<u64>>().is_err());
    }
}
