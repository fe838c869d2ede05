//! One block in, one gzip member or zstd frame out.

use libdeflater::CompressionLvl;
use zstd::zstd_safe::CParameter;

use super::Compression;
use crate::error::{Error, Result};

/// The quickest of libdeflate's levels whose artifacts are not larger than those of `gzip -6`.
const GZIP_LEVEL: i32 = 5;
/// One core at this level keeps up with `pg_dump`, which at zstd's own default of 3 would wait for it.
const ZSTD_LEVEL: i32 = 1;

/// A compressor of independent blocks; one per worker thread.
pub(super) enum Codec {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
    Store,
}

impl Codec {
    pub(super) fn new(compression: Compression) -> Result<Self> {
        Ok(match compression {
            Compression::Gzip => {
                let level = CompressionLvl::new(GZIP_LEVEL);
                let level =
                    level.map_err(|_| Error::internal("start gzip", "libdeflate knows no such level"))?;
                Self::Gzip(libdeflater::Compressor::new(level))
            }
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
