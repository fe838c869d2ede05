//! The layer itself: every storage call asks the plan first.

use opendal::raw::{
    Layer, OpCompose, OpCopy, OpCreateDir, OpDelete, OpList, OpPresign, OpRead, OpRename, OpRestore, OpStat,
    OpWrite, RpCreateDir, RpPresign, RpRead, RpRename, RpRestore, RpStat, Service, ServiceInfo, Servicer,
    oio,
};
use opendal::{Buffer, BytesRange, Capability, Metadata, OperationContext, Result};

use super::{Call, FaultMode, FaultPlan, Verdict, refusal};

/// Counts calls and fails those that its [`FaultPlan`] names.
#[derive(Debug, Clone)]
pub struct FaultLayer {
    pub(super) plan: FaultPlan,
}

impl Layer for FaultLayer {
    fn apply_service(&self, inner: Servicer) -> Servicer {
        std::sync::Arc::new(FaultService { inner, plan: self.plan.clone() })
    }
}

impl FaultPlan {
    async fn around<T>(&self, call: Call, path: &str, deed: impl Future<Output = Result<T>>) -> Result<T> {
        match self.admit(call, path).await {
            Verdict::Perform => deed.await,
            Verdict::Refuse(mode) => Err(refusal(call, mode)),
            Verdict::PerformThenFail(kind) => {
                deed.await?;
                Err(refusal(call, FaultMode::AfterEffect(kind)))
            }
        }
    }

    /// The same for a port that is not storage: `failed` makes its error.
    pub(crate) async fn around_result<T, E>(
        &self,
        call: Call,
        path: &str,
        deed: impl Future<Output = std::result::Result<T, E>>,
        failed: impl FnOnce() -> E,
    ) -> std::result::Result<T, E> {
        match self.admit(call, path).await {
            Verdict::Perform => deed.await,
            Verdict::Refuse(_) => Err(failed()),
            Verdict::PerformThenFail(_) => {
                deed.await?;
                Err(failed())
            }
        }
    }
}

#[derive(Debug)]
struct FaultService {
    inner: Servicer,
    plan: FaultPlan,
}

impl FaultService {
    fn faulty<T>(&self, path: &str, inner: T) -> Faulty<T> {
        Faulty { inner, plan: self.plan.clone(), path: path.to_owned() }
    }
}

impl Service for FaultService {
    type Reader = Faulty<oio::Reader>;
    type Writer = Faulty<oio::Writer>;
    type Lister = Faulty<oio::Lister>;
    type Deleter = Faulty<oio::Deleter>;
    type Copier = Faulty<oio::Copier>;
    type Composer = oio::Composer;

    fn info(&self) -> ServiceInfo {
        self.inner.info()
    }

    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    async fn create_dir(&self, ctx: &OperationContext, path: &str, args: OpCreateDir) -> Result<RpCreateDir> {
        self.plan.around(Call::CreateDir, path, self.inner.create_dir(ctx, path, args)).await
    }

    async fn stat(&self, ctx: &OperationContext, path: &str, args: OpStat) -> Result<RpStat> {
        self.plan.around(Call::Stat, path, self.inner.stat(ctx, path, args)).await
    }

    fn read(&self, ctx: &OperationContext, path: &str, args: OpRead) -> Result<Self::Reader> {
        Ok(self.faulty(path, self.inner.read(ctx, path, args)?))
    }

    fn write(&self, ctx: &OperationContext, path: &str, args: OpWrite) -> Result<Self::Writer> {
        Ok(self.faulty(path, self.inner.write(ctx, path, args)?))
    }

    fn delete(&self, ctx: &OperationContext) -> Result<Self::Deleter> {
        Ok(self.faulty("", self.inner.delete(ctx)?))
    }

    fn list(&self, ctx: &OperationContext, path: &str, args: OpList) -> Result<Self::Lister> {
        Ok(self.faulty(path, self.inner.list(ctx, path, args)?))
    }

    fn copy(&self, ctx: &OperationContext, from: &str, to: &str, args: OpCopy) -> Result<Self::Copier> {
        Ok(self.faulty(to, self.inner.copy(ctx, from, to, args)?))
    }

    fn compose(&self, ctx: &OperationContext, to: &str, args: OpCompose) -> Result<Self::Composer> {
        self.inner.compose(ctx, to, args)
    }

    async fn rename(&self, ctx: &OperationContext, from: &str, to: &str, args: OpRename) -> Result<RpRename> {
        self.plan.around(Call::Rename, to, self.inner.rename(ctx, from, to, args)).await
    }

    async fn restore(&self, ctx: &OperationContext, path: &str, args: OpRestore) -> Result<RpRestore> {
        self.inner.restore(ctx, path, args).await
    }

    async fn presign(&self, ctx: &OperationContext, path: &str, args: OpPresign) -> Result<RpPresign> {
        self.inner.presign(ctx, path, args).await
    }
}

/// A reader, writer, lister, deleter or copier whose calls ask the plan.
struct Faulty<T> {
    inner: T,
    plan: FaultPlan,
    path: String,
}

impl<T: oio::Read> oio::Read for Faulty<T> {
    async fn open(&self, range: BytesRange) -> Result<(RpRead, Box<dyn oio::ReadStreamDyn>)> {
        let (answer, inner) = self.plan.around(Call::Read, &self.path, self.inner.open(range)).await?;
        let stream = Faulty { inner, plan: self.plan.clone(), path: self.path.clone() };
        Ok((answer, Box::new(stream)))
    }

    async fn read(&self, range: BytesRange) -> Result<(RpRead, Buffer)> {
        self.plan.around(Call::Read, &self.path, self.inner.read(range)).await
    }
}

impl oio::ReadStream for Faulty<Box<dyn oio::ReadStreamDyn>> {
    async fn read(&mut self) -> Result<Buffer> {
        self.plan.around(Call::ReadNext, &self.path, self.inner.read_dyn()).await
    }
}

impl<T: oio::Write> oio::Write for Faulty<T> {
    async fn write(&mut self, bytes: Buffer) -> Result<()> {
        self.plan.around(Call::Write, &self.path, self.inner.write(bytes)).await
    }

    async fn copy_from(&mut self, path: &str, args: OpRead, range: BytesRange) -> Result<()> {
        self.plan.around(Call::Write, &self.path, self.inner.copy_from(path, args, range)).await
    }

    async fn close(&mut self) -> Result<Metadata> {
        self.plan.around(Call::Close, &self.path, self.inner.close()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.plan.around(Call::Abort, &self.path, self.inner.abort()).await
    }
}

impl<T: oio::List> oio::List for Faulty<T> {
    async fn next(&mut self) -> Result<Option<oio::Entry>> {
        if self.plan.state().lists_are_behind {
            return Ok(None);
        }
        self.plan.around(Call::List, &self.path, self.inner.next()).await
    }
}

impl<T: oio::Delete> oio::Delete for Faulty<T> {
    async fn delete(&mut self, path: &str, args: OpDelete) -> Result<()> {
        self.plan.around(Call::Delete, path, self.inner.delete(path, args)).await
    }

    async fn close(&mut self) -> Result<()> {
        self.plan.around(Call::DeleteClose, &self.path, self.inner.close()).await
    }
}

impl<T: oio::Copy> oio::Copy for Faulty<T> {
    async fn next(&mut self) -> Result<Option<usize>> {
        self.plan.around(Call::Copy, &self.path, self.inner.next()).await
    }

    async fn close(&mut self) -> Result<Metadata> {
        self.plan.around(Call::Close, &self.path, self.inner.close()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.plan.around(Call::Abort, &self.path, self.inner.abort()).await
    }
}
