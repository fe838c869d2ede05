//! Reading one member out of a stored package, without the rest.

use std::ops::Range;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::targz::{Unblock, stored_range};
use crate::app::App;
use crate::backup::{Download, HandedOut};
use crate::model::{Job, JobId, Member, PackageFormat};
use crate::{Error, ErrorKind, Result};

/// One member of a package that is being read: the package's deletion waits for it.
pub struct MemberDownload {
    download: Download,
    member: Member,
    format: PackageFormat,
}

impl MemberDownload {
    /// Looks a member up by its file name in a package's record.
    ///
    /// # Errors
    /// `NotFound` with the field `member`.
    pub fn find<'a>(job: &'a Job, file: &str) -> Result<&'a Member> {
        let found = job.package()?.members.iter().find(|member| member.file == file);
        found.ok_or_else(|| {
            let what = format!("file of that name in package {}", job.id);
            Error::not_found("member:", what)
                .with_field("member")
                .with_mend("GET the package: it lists its members")
        })
    }

    /// Holds a succeeded package for reading.
    ///
    /// # Errors
    /// As [`Download::open`] and [`Self::find`].
    pub async fn open(app: &App, id: JobId, file: &str) -> Result<Self> {
        let download = Download::open(app, id).await?;
        let member = Self::find(download.job(), file)?.clone();
        let format = download.job().package()?.format;
        Ok(Self { download, member, format })
    }

    /// Gives out the addresses at which the store has all of it.
    ///
    /// # Errors
    /// `TooLarge` in a tar file in gzip, where its bytes do not lie end to end.
    pub async fn hand_out(self, app: &App, disposition: &str) -> Result<HandedOut> {
        let Self { download, member, format } = self;
        if format == PackageFormat::TarGz {
            let what = format!(
                "in a tar.gz file, a member of {} bytes has no address of its own",
                member.size_bytes
            );
            return Err(Error::new(ErrorKind::TooLarge, "download a member", what)
                .with_field("member")
                .with_mend(
                    "ask for it in ranges (Range: bytes=0-999999, and so on), or for the whole package",
                ));
        }
        download.hand_out(app, member.offset..member.offset + member.size_bytes, disposition).await
    }

    /// Streams a range of its bytes; deletion waits until the stream is dropped.
    pub fn stream(self, range: Range<u64>) -> BoxStream<'static, Result<Bytes>> {
        let Self { download, member, format } = self;
        if range.is_empty() {
            return stream::empty().boxed();
        }
        let shifted = |range: Range<u64>| member.offset + range.start..member.offset + range.end;
        match format {
            PackageFormat::Zip => download.stream(shifted(range)),
            PackageFormat::TarGz => {
                let stored = stored_range(&range);
                let mut unblock = Unblock::at(stored.start);
                download.stream(shifted(stored)).map_ok(move |piece| unblock.take(piece)).boxed()
            }
        }
    }
}
