//! stub
use serde::{Deserialize, Serialize};
/// stub
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// a
    #[default]
    Gzip,
    /// b
    Zstd,
    /// c
    None,
}
