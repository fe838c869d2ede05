//! Downloads that the store gives out, because they are longer than what this host sends.

use axum::Json;
use axum::response::{IntoResponse, Response};
use respaldo_core::App;
use respaldo_core::backup::{HandedOut, Piece};
use respaldo_core::model::JobId;

use crate::access::Granted;
use crate::content::{File, disposition};
use crate::types::{DownloadPartView, DownloadView};

/// Whether so many bytes are more than this host sends, and its store can give them out.
pub fn is_needed(app: &App, bytes: u64) -> bool {
    app.limits.host.inline_download.is_some_and(|most| bytes > most) && app.storage.can_presign()
}

/// What the store is told to answer with as `Content-Disposition`.
pub fn shown_as(file: &File<'_>) -> String {
    disposition(file.name)
}

/// The answer that tells where the bytes are, and the line that tells who asked for them.
pub fn answer(id: JobId, file: &File<'_>, granted: Granted, handed: HandedOut) -> Response {
    let HandedOut { expires_at, pieces } = handed;
    // The addresses open the bytes by themselves: they stand in the answer alone.
    tracing::info!(
        job = %id,
        name = file.name,
        size_bytes = file.length,
        parts = pieces.len(),
        keys = granted.names(),
        %expires_at,
        "a download was handed out"
    );
    let mut parts: Vec<DownloadPartView> = pieces.into_iter().map(part).collect();
    let alone = if parts.len() == 1 { parts.pop() } else { None };
    let (url, range) = alone.map(|part| (part.url, part.range)).unzip();
    let view = DownloadView {
        name: file.name.to_owned(),
        size_bytes: file.length,
        sha256: file.sha256.to_owned(),
        expires_at,
        url,
        range: range.flatten(),
        parts,
    };
    Json(view).into_response()
}

fn part(piece: Piece) -> DownloadPartView {
    let whole = piece.range == (0..piece.object_bytes);
    let range =
        (!whole).then(|| format!("bytes={}-{}", piece.range.start, piece.range.end.saturating_sub(1)));
    DownloadPartView {
        url: piece.request.url,
        size_bytes: piece.range.end - piece.range.start,
        sha256: whole.then_some(piece.object_sha256),
        range,
    }
}
