//! Follows a diagnosis to its end: shows what happens as it happens, and takes the stream up again when it breaks.
//!
//! Absent on purpose: starting and ending a diagnosis. Who stops following changes nothing.
//!
//! INVARIANT: every event is shown once, in order, across reconnects.

use std::time::Duration;

use parallax_wire::pb;
use parallax_wire::pb::watch_diagnosis_response::Event;
use tonic::{Code, Request, Status};

use crate::cli::OutputFormat;
use crate::client::{Client, refused};
use crate::commands::language_tag;
use crate::failure::Failure;
use crate::render::{Afterwards, Progress, Screen, compact, diagnosis_page, pretty, words};

/// Broken streams in a row without an event in between, before we give up.
const BREAKS_MAX: u32 = 8;
/// Between two tries; doubles up to the second one.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How what happens is shown.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    pub client: &'a Client,
    pub screen: &'a Screen,
    pub output: crate::cli::OutputArgument,
    pub afterwards: Afterwards,
}

impl Follower<'_> {
    /// Follows to the end. In `ndjson` every event was written when this returns, the diagnosis included.
    pub(crate) async fn follow(&self, name: &str) -> Result<pb::Diagnosis, Failure> {
        let mut progress = Progress::new(words(self.output.language.lang));
        let followed = self.follow_events(name, &mut progress).await;
        self.screen.clear(&mut progress);
        let diagnosis = followed?;
        let tag = language_tag(self.output.language.lang);
        if diagnosis.language == tag || self.output.output == OutputFormat::Ndjson {
            return Ok(diagnosis);
        }
        self.client.get_diagnosis(name, tag).await
    }

    async fn follow_events(
        &self,
        name: &str,
        progress: &mut Progress,
    ) -> Result<pb::Diagnosis, Failure> {
        let mut after_sequence = 0;
        let mut breaks = 0;
        loop {
            let before = after_sequence;
            let broken = match self.follow_stream(name, &mut after_sequence, progress).await? {
                Ok(diagnosis) => return Ok(diagnosis),
                Err(broken) => broken,
            };
            breaks = if after_sequence > before { 0 } else { breaks + 1 };
            if breaks >= BREAKS_MAX || !is_worth_another(broken.code()) {
                return Err(refused(broken));
            }
            let pause = PAUSE_MIN * 2_u32.saturating_pow(breaks);
            tokio::time::sleep(pause.min(PAUSE_MAX)).await;
        }
    }

    /// The diagnosis, or what broke the stream.
    async fn follow_stream(
        &self,
        name: &str,
        after_sequence: &mut i32,
        progress: &mut Progress,
    ) -> Result<Result<pb::Diagnosis, Status>, Failure> {
        let request =
            pb::WatchDiagnosisRequest { name: name.to_owned(), after_sequence: *after_sequence };
        let opened = self.client.diagnoses().watch_diagnosis(Request::new(request)).await;
        let mut events = match opened {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Err(status)),
        };
        loop {
            match events.message().await {
                Ok(Some(event)) => {
                    *after_sequence = event.sequence.max(*after_sequence);
                    self.show(&event, progress)?;
                    if let Some(Event::Diagnosis(diagnosis)) = event.event {
                        return Ok(Ok(diagnosis));
                    }
                }
                Ok(None) => {
                    return Ok(Err(Status::unavailable("the stream of events ended early")));
                }
                Err(status) => return Ok(Err(status)),
            }
        }
    }

    fn show(
        &self,
        event: &pb::WatchDiagnosisResponse,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        if self.output.output == OutputFormat::Ndjson {
            return self.screen.result(&compact(event)?);
        }
        progress.take(event);
        self.screen.progress(progress);
        Ok(())
    }

    /// Shows the result in the form asked for; `ndjson` has shown it already.
    pub(crate) fn show_result(&self, diagnosis: &pb::Diagnosis) -> Result<(), Failure> {
        match self.output.output {
            OutputFormat::Ndjson => Ok(()),
            OutputFormat::Json => self.screen.result(&pretty(diagnosis)?),
            OutputFormat::Table => {
                let words = words(self.output.language.lang);
                self.screen.result(&diagnosis_page(
                    diagnosis,
                    self.afterwards,
                    words,
                    self.screen.paint(),
                ))
            }
        }
    }
}

fn is_worth_another(code: Code) -> bool {
    match code {
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::Internal
        | Code::DeadlineExceeded => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}
