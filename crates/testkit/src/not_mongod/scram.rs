//! SCRAM-SHA-1 and SCRAM-SHA-256, the server's half (RFC 5802, RFC 7677, MongoDB's digest for SHA-1).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bson::raw::cstr;
use bson::{RawDocument, RawDocumentBuf, rawdoc};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::answer::{Answer, Refusal};

/// Fewer rounds than a mongod's (10,000 and 15,000), as few as drivers accept: unoptimised tests log in often.
const ITERATIONS: u32 = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Sha1,
    Sha256,
}

impl Mechanism {
    pub(super) const ALL: [Self; 2] = [Self::Sha1, Self::Sha256];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    pub(super) fn of(name: &str) -> Answer<Self> {
        let known = Self::ALL.into_iter().find(|mechanism| mechanism.name() == name);
        let message = format!("Received authentication for mechanism {name} which is not enabled");
        known.ok_or_else(|| Refusal::new(334, "MechanismUnavailable", message))
    }

    fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
        }
    }

    fn sign(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        fn of<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length will do");
            mac.update(bytes);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::Sha1 => of::<Hmac<Sha1>>(key, bytes),
            Self::Sha256 => of::<Hmac<Sha256>>(key, bytes),
        }
    }

    fn stretch(self, password: &str, salt: &[u8]) -> Vec<u8> {
        let password = password.as_bytes();
        match self {
            Self::Sha1 => pbkdf2::pbkdf2_hmac_array::<Sha1, 20>(password, salt, ITERATIONS).to_vec(),
            Self::Sha256 => pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, ITERATIONS).to_vec(),
        }
    }

    /// What the mechanism takes for the password.
    fn prepared(self, user: &str, password: &str) -> Answer<String> {
        match self {
            Self::Sha1 => Ok(hex(&Md5::digest(format!("{user}:mongo:{password}")))),
            Self::Sha256 => stringprep::saslprep(password)
                .map(std::borrow::Cow::into_owned)
                .map_err(|error| Refusal::bad_value(format!("Error preflighting normalization: {error}"))),
        }
    }

    /// What a server keeps of a password.
    pub(super) fn credential(self, user: &str, password: &str) -> Answer<RawDocumentBuf> {
        let length = if self == Self::Sha1 { 16 } else { 28 };
        let salt: Vec<u8> = random().into_iter().chain(random()).take(length).collect();
        let salted = self.stretch(&self.prepared(user, password)?, &salt);
        let stored = self.hash(&self.sign(&salted, b"Client Key"));
        let server = self.sign(&salted, b"Server Key");
        Ok(rawdoc! {
            "iterationCount": ITERATIONS.cast_signed(),
            "salt": BASE64_STANDARD.encode(salt),
            "storedKey": BASE64_STANDARD.encode(stored),
            "serverKey": BASE64_STANDARD.encode(server),
        })
    }
}

fn random() -> [u8; 16] {
    bson::Uuid::new().bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn failed() -> Refusal {
    Refusal::new(18, "AuthenticationFailed", "Authentication failed.")
}

/// A login under way.
pub(super) struct Conversation {
    pub(super) database: String,
    pub(super) user: String,
    mechanism: Mechanism,
    credential: RawDocumentBuf,
    nonce: String,
    /// What both sides sign, up to the client's last message.
    messages: String,
    proven: bool,
}

/// Whose login the first message asks for.
pub(super) fn user_of(payload: &[u8]) -> Answer<String> {
    let text = std::str::from_utf8(payload).map_err(|_| failed())?;
    let user = text.strip_prefix("n,,n=").and_then(|rest| rest.split(',').next()).ok_or_else(failed)?;
    Ok(user.replace("=2C", ",").replace("=3D", "="))
}

impl Conversation {
    /// The client's first message is answered with salt and nonce.
    pub(super) fn start(
        mechanism: Mechanism,
        (database, user): (&str, &str),
        credential: &RawDocument,
        payload: &[u8],
    ) -> Answer<(Self, String)> {
        let text = std::str::from_utf8(payload).map_err(|_| failed())?;
        let bare = text.strip_prefix("n,,").ok_or_else(failed)?;
        let client = bare.split(",r=").nth(1).ok_or_else(failed)?;
        let nonce = format!("{client}{}", BASE64_STANDARD.encode(random()));
        let salt = credential.get_str("salt").map_err(|_| failed())?;
        let rounds = credential.get_i32("iterationCount").map_err(|_| failed())?;
        let first = format!("r={nonce},s={salt},i={rounds}");
        let conversation = Self {
            database: database.to_owned(),
            user: user.to_owned(),
            mechanism,
            credential: credential.to_owned(),
            nonce,
            messages: format!("{bare},{first}"),
            proven: false,
        };
        Ok((conversation, first))
    }

    /// The client's proof is answered with the server's; an empty message after it ends the conversation.
    pub(super) fn proceed(&mut self, payload: &[u8]) -> Answer<String> {
        if self.proven && payload.is_empty() {
            return Ok(String::new());
        }
        let text = std::str::from_utf8(payload).map_err(|_| failed())?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or_else(failed)?;
        let proof = BASE64_STANDARD.decode(proof).map_err(|_| failed())?;
        if without_proof != format!("c=biws,r={}", self.nonce) {
            return Err(failed());
        }
        let signed = format!("{},{without_proof}", self.messages);
        let stored = self.kept("storedKey")?;
        let signature = self.mechanism.sign(&stored, signed.as_bytes());
        let key: Vec<u8> = signature.iter().zip(&proof).map(|(a, b)| a ^ b).collect();
        if proof.len() != signature.len() || self.mechanism.hash(&key) != stored {
            return Err(failed());
        }
        self.proven = true;
        let server = self.mechanism.sign(&self.kept("serverKey")?, signed.as_bytes());
        Ok(format!("v={}", BASE64_STANDARD.encode(server)))
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    fn kept(&self, field: &str) -> Answer<Vec<u8>> {
        let text = self.credential.get_str(field).map_err(|_| failed())?;
        BASE64_STANDARD.decode(text).map_err(|_| failed())
    }
}

/// The answer to a step of a login.
pub(super) fn step(payload: &str, done: bool) -> RawDocumentBuf {
    let mut reply = rawdoc! { "conversationId": 1, "done": done };
    let payload = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: payload.into() };
    reply.append(cstr!("payload"), payload);
    reply.append(cstr!("ok"), 1.0);
    reply
}

pub(super) fn unknown_user() -> Refusal {
    failed()
}
