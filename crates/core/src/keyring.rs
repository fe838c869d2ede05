//! stub
use serde::{Deserialize, Serialize};
/// stub
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub struct SealedSecret(String);
/// stub
pub struct MasterKey;
impl MasterKey {
    /// stub
    pub fn sign(&self, _bytes: &[u8]) -> [u8; 32] {
        [0; 32]
    }
    /// stub
    pub fn verify(&self, _bytes: &[u8], _mac: &[u8]) -> bool {
        true
    }
}
