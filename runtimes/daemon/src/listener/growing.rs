//! Answers whose file is on its way: what may be said when.

use std::sync::Arc;

use khashmir_apt::http::{RequestHead, Validators};

use super::answer::{Answer, Content, Message};
use crate::fetch::{Fetch, State};

/// The answer to a request for a file that is being fetched.
#[derive(Debug)]
pub struct Growing {
    /// What the client asked.
    pub request: RequestHead,
    /// The file.
    pub fetch: Arc<Fetch>,
    /// What the file is, if it is what was expected.
    pub validators: Validators,
}

impl Growing {
    /// What can be said before a byte may flow: the answer if the file is as long as it
    /// is thought to be, if that is known and there will be content.
    #[must_use]
    pub fn promise(&self) -> Option<Message> {
        let progress = self.fetch.progress();
        let message = self.message(progress.len.or(self.fetch.promised_len())?, &self.validators);
        matches!(message.content, Content::Fetched(..)).then_some(message)
    }

    /// Waits until the answer is settled and its content, if any, may begin to flow.
    pub async fn settled(&self) -> Answer {
        let progress = self
            .fetch
            .wait_until(|progress| {
                let begins = |len| match self.message(len, &self.validators).content {
                    Content::Fetched(_, range) => progress.servable > range.start || range.is_empty(),
                    _ => true,
                };
                progress.state.is_final() || progress.len.is_some_and(begins)
            })
            .await;
        match progress.state {
            State::Complete(verified) => {
                // It may be what an older index listed.
                let last_modified = Some(verified.sha256().last_modified());
                let validators = Validators { last_modified, ..self.validators.clone() };
                Answer::Message(self.message(verified.len(), &validators))
            }
            // Without a validator nobody resumes what may be nonsense.
            State::Mismatched(verified) => {
                Answer::Message(self.message(verified.len(), &Validators::default()))
            }
            State::Running => match progress.len {
                Some(len) => Answer::Message(self.message(len, &self.validators)),
                None => Answer::Cut("a fetch lost its length".into()),
            },
            State::Rejected(rejection) => Answer::Message(Message::from(&*rejection)),
            State::Failed(fault) => Answer::from(&*fault),
        }
    }

    fn message(&self, len: u64, validators: &Validators) -> Message {
        Message::of_file(&self.request, validators, len, |range| {
            Content::Fetched(Arc::clone(&self.fetch), range)
        })
    }
}
