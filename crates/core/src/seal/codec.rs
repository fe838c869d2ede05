//! One block in, one gzip member or zstd frame out.

use libdeflater::CompressionLvl;
use zstd::zstd_safe::CParameter;

use super::Compression;
use crate::error::{Error, Result};

/// Level 3 is zstd's own default: beyond it the ratio grows slowly and the time fast.
const ZSTD_LEVEL: i32 = 3;

/// A compressor of independent blocks; one per worker thread.
pub(super) enum Codec {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
    Store,
}

impl Codec {
    pub(super) fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            // The default level is 6, as gzip's is: smaller than gzip -6 in a quarter of its time.
            Compression::Gzip => Self::Gzip(libdeflater::Compressor::new(CompressionLvl::default())),
            Compression::Zstd => {
                let failed = |error| Error::internal("start zstd", error);
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(failed)?;
                compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(failed)?;
                Self::Zstd(compressor)
            }
            Compression::None => Self::Store,
        })
    }

    /// Compresses `input` to the beginning of `output`, which grows when it is too small, and says how
    /// many bytes that made. An empty input makes the end mark.
    pub(super) fn compress(&mut self, input: &mut Vec<u8>, output: &mut Vec<u8>) -> Result<usize> {
        match self {
            Self::Gzip(compressor) => {
                room(output, compressor.gzip_compress_bound(input.len()));
                compressor.gzip_compress(input, output).map_err(|e| Error::internal("compress", e))
            }
            Self::Zstd(compressor) => {
                room(output, zstd::zstd_safe::compress_bound(input.len()));
                compressor
                    .compress_to_buffer(input, output.as_mut_slice())
                    .map_err(|e| Error::internal("compress", e))
            }
            Self::Store => {
                std::mem::swap(input, output);
                Ok(output.len())
            }
        }
    }
}

/// Grows exactly: doubling would break the memory arithmetic.
fn room(output: &mut Vec<u8>, bytes: usize) {
    if output.len() < bytes {
        output.reserve_exact(bytes - output.len());
        output.resize(bytes, 0);
    }
}
