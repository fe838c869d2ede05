//! The instance's master key: seals credentials in the catalog and signs manifests.
//!
//! The master key itself encrypts nothing. Each use has its own key, derived by HKDF-SHA256 under its
//! own label, so that a signature can never be mistaken for anything else.
//!
//! A sealed secret is the base64 of
//! `version (1 byte) | key id (8) | nonce (24) | XChaCha20-Poly1305 ciphertext and tag`. The first two
//! and the name of the record and field it belongs to are authenticated with it: moved to another
//! record, it does not open. The key id, derived like the keys, is what tells "another key" from
//! "damaged".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::{Error, ErrorKind, Result};

const CREDENTIALS: &str = "respaldo credentials v1";
const MANIFEST: &str = "respaldo manifest v1";
const KEY_ID: &str = "respaldo key id v1";
const FIELD: &str = "RESPALDO_MASTER_KEY";
const MAKE_ONE: &str = "make one with: head -c 32 /dev/urandom | base64";
const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// 32 secret bytes. Shows nothing when debugged, and wipes itself when dropped.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Makes a key of 32 random bytes, which must come from the system's generator.
    pub fn generate(mut random: [u8; 32]) -> Self {
        let key = Self(Zeroizing::new(random));
        random.zeroize();
        key
    }

    /// Reads the text of an environment variable or a file; space around it does not matter.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it is not the base64 of 32 bytes. The text is never repeated.
    pub fn from_base64(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() {
            return Err(unusable("it is empty"));
        }
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| unusable("it is not base64"))?);
        let key: [u8; 32] = bytes
            .as_slice()
            .try_into()
            .map_err(|_| unusable(&format!("it decodes to {} bytes, and 32 are needed", bytes.len())))?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(unusable("it is one byte 32 times, not a random key"));
        }
        Ok(Self::generate(key))
    }

    /// The text that [`from_base64`](Self::from_base64) reads, for the one place that writes the file.
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.0.as_slice()))
    }

    /// Seals a secret for one place. `bound_to` names the record and the field, e.g.
    /// `databases/01J…/password`; `nonce` must be random and new for every call.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when the secret is longer than the cipher can take.
    pub fn seal_secret(
        &self,
        bound_to: &str,
        secret: &SecretString,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<SealedSecret> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.id());
        let aad = associated(&bytes, bound_to);
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: &aad };
        let sealed = self
            .cipher()
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::internal("seal a secret", "it is too long"))?;
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(SealedSecret(bytes))
    }

    /// Opens what [`seal_secret`](Self::seal_secret) sealed for the same place.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when it was sealed under another master key, [`ErrorKind::Corrupt`] when
    /// it is damaged or was sealed for another place.
    pub fn open_secret(&self, bound_to: &str, sealed: &SealedSecret) -> Result<SecretString> {
        let (head, rest) = sealed.0.split_at(1 + KEY_ID_BYTES);
        let (nonce, ciphertext) = rest.split_at(NONCE_BYTES);
        if head[1..] != self.id() {
            return Err(Error::new(
                ErrorKind::Config,
                "open a sealed secret",
                format!("{bound_to} was sealed under another master key"),
            )
            .with_field(FIELD)
            .with_mend(
                "start with the key that this catalog was made with, or enter the credentials again",
            ));
        }
        let refused = || {
            let message = format!("{bound_to} is damaged, or was sealed for another record");
            Error::new(ErrorKind::Corrupt, "open a sealed secret", message)
                .with_mend("enter the credentials again")
        };
        let nonce = XNonce::try_from(nonce).map_err(|_| refused())?;
        let payload = Payload { msg: ciphertext, aad: &associated(head, bound_to) };
        let plain = Zeroizing::new(self.cipher().decrypt(&nonce, payload).map_err(|_| refused())?);
        std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| refused())
    }

    /// Signs a manifest: HMAC-SHA256 of its bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 32] {
        self.mac(bytes).finalize().into_bytes().into()
    }

    /// Whether this key made that signature of these bytes; compared in constant time.
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.mac(bytes).verify_slice(signature).is_ok()
    }

    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.derive::<32>(MANIFEST).as_slice())
            .expect("HMAC takes a key of any length");
        mac.update(bytes);
        mac
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let mut key = chacha20poly1305::Key::from(*self.derive::<32>(CREDENTIALS));
        let cipher = XChaCha20Poly1305::new(&key);
        key.as_mut_slice().zeroize();
        cipher
    }

    /// What tells this key from others: it follows from the key, and the key does not follow from it.
    pub fn id(&self) -> [u8; KEY_ID_BYTES] {
        *self.derive::<KEY_ID_BYTES>(KEY_ID)
    }

    #[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8160 bytes")]
    fn derive<const N: usize>(&self, label: &str) -> Zeroizing<[u8; N]> {
        let mut key = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand(label.as_bytes(), key.as_mut_slice())
            .expect("HKDF-SHA256 gives up to 8160 bytes");
        key
    }
}

/// The head has a fixed length, so that the two parts cannot be shifted against each other.
fn associated(head: &[u8], bound_to: &str) -> Vec<u8> {
    [head, bound_to.as_bytes()].concat()
}

fn unusable(message: &str) -> Error {
    Error::new(ErrorKind::Config, "read the master key", message).with_field(FIELD).with_mend(MAKE_ONE)
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// A secret that only its master key opens, and only in the place it was sealed for. Serialises as
/// base64.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecret(Vec<u8>);

impl SealedSecret {
    /// Reads the base64 text of a catalog's record.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] when it cannot be a sealed secret of a version that is known here.
    pub fn from_base64(text: &str) -> Result<Self> {
        let broken = |message: &str| Error::new(ErrorKind::Corrupt, "read a sealed secret", message);
        let bytes = STANDARD.decode(text).map_err(|_| broken("it is not base64"))?;
        match bytes.first() {
            Some(&VERSION) if bytes.len() >= 1 + KEY_ID_BYTES + NONCE_BYTES + TAG_BYTES => Ok(Self(bytes)),
            Some(&VERSION) | None => Err(broken("it is too short")),
            Some(other) => Err(broken(&format!("its version {other} is not known here"))),
        }
    }

    /// The text that [`from_base64`](Self::from_base64) reads.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(***)")
    }
}

impl Serialize for SealedSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_base64())
    }
}

impl<'de> Deserialize<'de> for SealedSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_base64(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> MasterKey {
        let mut bytes = [seed; 32];
        bytes[0] = !seed;
        MasterKey::generate(bytes)
    }

    fn sealed(bound_to: &str) -> SealedSecret {
        key(1).seal_secret(bound_to, &SecretString::from("hunter2 ñ"), [9; 24]).unwrap()
    }

    #[test]
    fn a_key_survives_its_file() {
        let text = key(1).to_base64();
        let read = MasterKey::from_base64(&format!("  {}\n", text.as_str())).unwrap();
        assert_eq!(read.to_base64(), text);
        assert_eq!(format!("{read:?}"), "MasterKey(***)");
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_with_the_reason_and_never_repeated() {
        let short = STANDARD.encode([5; 31]);
        let same = STANDARD.encode([0; 32]);
        for (text, reason) in [
            ("", "empty"),
            ("not base64!", "not base64"),
            (short.as_str(), "31 bytes"),
            (same.as_str(), "one byte 32 times"),
        ] {
            let error = MasterKey::from_base64(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(reason), "{error}");
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
            assert!(error.mend().is_some_and(|mend| mend.contains("/dev/urandom")));
        }
    }

    #[test]
    fn a_secret_opens_in_its_place_after_a_trip_through_json() {
        let json = serde_json::to_string(&sealed("databases/7/password")).unwrap();
        assert!(!json.contains("hunter2"));
        let read: SealedSecret = serde_json::from_str(&json).unwrap();
        let opened = key(1).open_secret("databases/7/password", &read).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2 ñ");
        assert_eq!(format!("{read:?}"), "SealedSecret(***)");
    }

    #[test]
    fn a_secret_moved_to_another_record_or_field_is_refused() {
        let sealed = sealed("databases/7/password");
        for place in ["databases/8/password", "databases/7/username", ""] {
            let error = key(1).open_secret(place, &sealed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{place}");
        }
    }

    #[test]
    fn another_master_key_is_told_from_damage() {
        let sealed = sealed("databases/7/password");
        let error = key(2).open_secret("databases/7/password", &sealed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().contains("another master key"), "{error}");
    }

    #[test]
    fn every_flipped_byte_and_every_cut_is_refused() {
        let whole = sealed("p").0;
        for index in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[index] ^= 0x10;
            let read = SealedSecret::from_base64(&STANDARD.encode(&flipped));
            assert!(read.and_then(|sealed| key(1).open_secret("p", &sealed)).is_err(), "byte {index}");
            let cut = SealedSecret::from_base64(&STANDARD.encode(&whole[..index]));
            assert!(cut.and_then(|sealed| key(1).open_secret("p", &sealed)).is_err(), "cut at {index}");
        }
    }

    #[test]
    fn a_signature_holds_for_its_bytes_and_its_key_alone() {
        let signature = key(1).sign(b"manifest");
        assert!(key(1).verify(b"manifest", &signature));
        assert!(!key(1).verify(b"manifesto", &signature));
        assert!(!key(2).verify(b"manifest", &signature));
        assert!(!key(1).verify(b"manifest", &signature[..31]));
        assert!(!key(1).verify(b"manifest", &[]));
    }

    #[test]
    fn the_derivations_stay_as_they_are() {
        // Catalogs and manifests outlive versions: a change here would lock their owners out.
        let key = MasterKey::generate(std::array::from_fn(|index| u8::try_from(index).unwrap()));
        insta::assert_snapshot!(hex::encode(key.sign(b"manifest")), @"fc8fc7e3e4048d28a25de7ec5114d00fc488aa010ed8486c0593abe66d1ae870");
        let sealed = key.seal_secret("databases/7/password", &SecretString::from("s"), [3; 24]).unwrap();
        insta::assert_snapshot!(sealed.to_base64(), @"AbRZgw9WhrRCAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDlLLT/FSiRZCGV9B4IyESyBs=");
    }
}
