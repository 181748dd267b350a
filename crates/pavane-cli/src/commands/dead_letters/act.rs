//! What redriving and discarding share: a progress bar, and Ctrl-C that stops between two letters.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pavane_observe::redrive::Progress;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::output::Output;

/// Works letter by letter and draws a progress bar; cancels the token at the first Ctrl-C.
pub(super) async fn attended<T>(
    what: &'static str,
    output: Output,
    doing: impl AsyncFnOnce(&watch::Sender<Progress>, &CancellationToken) -> T,
) -> T {
    let (progress, seen) = watch::channel(Progress::default());
    let cancel = CancellationToken::new();
    let interrupted = tokio::spawn({
        let cancel = cancel.clone();
        async move {
            // Without a signal handler, Ctrl-C ends the process, also between two letters.
            if tokio::signal::ctrl_c().await.is_ok() {
                cancel.cancel();
            }
        }
    });
    let bar = tokio::spawn(show(what, output.is_terminal(), seen));
    let done = doing(&progress, &cancel).await;
    drop(progress);
    interrupted.abort();
    // The bar ends with the channel. A failure to draw it changes nothing of what was done.
    drop(bar.await);
    done
}

/// Draws the progress until the channel closes.
async fn show(what: &'static str, is_terminal: bool, mut progress: watch::Receiver<Progress>) {
    let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len}, {per_sec}, {eta} to go; Ctrl-C stops")
    {
        bar.set_style(style);
    }
    bar.set_message(what);
    while progress.changed().await.is_ok() {
        let now = progress.borrow_and_update().clone();
        bar.set_length(now.total as u64);
        bar.set_position((now.redriven + now.skipped + now.failed) as u64);
    }
    bar.finish_and_clear();
}
