//! `aerodb reasons`: the registry of reasons, from the program itself.
//!
//! The same table as `docs/reasons.md`. It names the exit status of every failure, so that a script can be written without the documents.

use crate::cli::failure;
use crate::cli::output::Output;
use aerodb::{Reason, Result};

/// Prints every reason.
pub(crate) fn reasons(out: &mut Output) -> Result<()> {
    for reason in Reason::ALL {
        let text = format!(
            "{:>3}  {}  (retry: {})\n     {}\n     {}",
            reason.number(),
            reason.name(),
            reason.retry(),
            reason.sentence(),
            reason.remedy()
        );
        out.answer(text, || failure::described(*reason))?;
    }
    Ok(())
}
