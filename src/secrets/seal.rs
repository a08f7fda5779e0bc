//! The key of a store's secrets, and what it seals: ChaCha20-Poly1305 (RFC 8439), bound to the secret's name.

use super::SecretError;
use crate::codes;
use backends::cloud::secret::Secret;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
/// Digits of a name that is derived from a secret.
pub(super) const NAME_DIGITS: usize = 20;
/// What a sealed file begins with.
const MAGIC: &[u8] = b"RTSEAL1\n";
/// What else is under the seal, before the name: a file that is given another name does not open.
const BOUND_TO: &str = "retrial secret 1:";
/// What a name derived from a secret is derived for.
const NAMING: &str = "retrial 2026-11 names of secrets that came with a configuration";

/// A key. Prints as `***`.
#[derive(Debug, Clone)]
pub(super) struct Key(Secret<[u8; KEY_BYTES]>);

impl Key {
    pub(super) fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Secret::new(bytes))
    }

    /// A key that nobody has had before.
    pub(super) fn random() -> Result<Self, SecretError> {
        Ok(Self::new(random()?))
    }

    /// Its text, for its file.
    pub(super) fn hex(&self) -> String {
        self.0.expose().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads [`Key::hex`].
    pub(super) fn of_hex(text: &str) -> Option<Self> {
        let text = text.trim();
        let mut bytes = [0; KEY_BYTES];
        if text.len() != 2 * KEY_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self::new(bytes))
    }

    /// Seals a secret under its name. Nonces are random: far fewer secrets than 2^32 are sealed with one key.
    pub(super) fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = secret.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound(name), &mut sealed)
            .map_err(|_| failed())?;
        Ok([MAGIC, &nonce, &sealed].concat())
    }

    /// What was sealed under this name; `None` if it is damaged, has another name or was sealed with another key.
    pub(super) fn open(&self, name: &str, file: &[u8]) -> Option<Vec<u8>> {
        let rest = file.strip_prefix(MAGIC)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.cipher().ok()?.open_in_place(nonce, bound(name), &mut sealed).ok().map(|open| open.to_vec())
    }

    /// A name for a secret, the same whenever it comes again. Without the key it says nothing about it.
    pub(super) fn name_of(&self, secret: &str) -> String {
        let own = blake3::derive_key(NAMING, self.0.expose());
        blake3::keyed_hash(&own, secret.as_bytes()).to_hex().chars().take(NAME_DIGITS).collect()
    }

    fn cipher(&self) -> Result<LessSafeKey, SecretError> {
        UnboundKey::new(&CHACHA20_POLY1305, self.0.expose()).map(LessSafeKey::new).map_err(|_| failed())
    }
}

fn bound(name: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{BOUND_TO}{name}").into_bytes())
}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], SecretError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| failed())?;
    Ok(bytes)
}

fn failed() -> SecretError {
    SecretError::new(codes::SECRETS_FILE, "this machine gives no randomness, or cannot seal", "restart it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_under_its_name_and_key_only() {
        let key = Key::random().unwrap();
        let sealed = key.seal("robot", b"planted").unwrap();
        assert_eq!(key.open("robot", &sealed).unwrap(), b"planted");
        assert!(!sealed.windows(7).any(|part| part == b"planted"));
        assert!(key.open("another", &sealed).is_none());
        assert!(Key::random().unwrap().open("robot", &sealed).is_none());
        assert_ne!(key.seal("robot", b"planted").unwrap(), sealed, "the nonce is new each time");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(key.open("robot", &damaged).is_none(), "byte {at}");
            assert!(key.open("robot", &sealed[..at]).is_none(), "{at} bytes");
        }
    }

    #[test]
    fn a_key_is_read_back_from_its_text_and_never_shown() {
        let key = Key::new([0xa5; KEY_BYTES]);
        let text = key.hex();
        assert_eq!(Key::of_hex(&format!("{text}\n")).unwrap().hex(), text);
        assert!(!format!("{key:?}").contains("a5") && !format!("{key:?}").contains("165"));
        for wrong in ["", "a5", &text[1..], &"é".repeat(32)] {
            assert!(Key::of_hex(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_derived_name_follows_the_secret_and_the_key() {
        let key = Key::new([1; KEY_BYTES]);
        assert_eq!(key.name_of("planted"), key.name_of("planted"));
        assert_ne!(key.name_of("planted"), key.name_of("planted2"));
        assert_ne!(key.name_of("planted"), Key::new([2; KEY_BYTES]).name_of("planted"));
    }
}
