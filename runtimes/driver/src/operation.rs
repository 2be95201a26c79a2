//! An operation as the one who started it sees it.

use crate::error::Error;
use crate::waiters::Told;
use async_channel::{Receiver, Sender};
use bytes::Bytes;
use futures_core::Stream;
use khashmir::Event;
use khashmir::node::Ending;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// An operation that runs. Dropping it before its end cancels it.
#[derive(Debug)]
pub(crate) struct Operation {
    told: Pin<Box<Receiver<Told>>>,
    abandoned: Sender<()>,
    is_over: bool,
}

impl Operation {
    pub(crate) fn new(told: Receiver<Told>, abandoned: Sender<()>) -> Operation {
        Operation { told: Box::pin(told), abandoned, is_over: false }
    }

    /// The operation once the node has taken it.
    pub(crate) async fn taken(mut self) -> Result<Operation, Error> {
        match self.told.recv().await {
            Ok(Told::Taken) => Ok(self),
            Ok(Told::Refused(error)) => {
                self.is_over = true;
                Err(Error::Refused(error))
            }
            Ok(Told::Event(_)) | Err(_) => Err(Error::Stopped),
        }
    }

    /// Its next event.
    pub(crate) async fn next(&mut self) -> Result<Event, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await.ok_or(Error::Stopped)
    }

    /// Its next event; `None` after the last one, or when the node was stopped.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let event = match ready!(self.told.as_mut().poll_next(cx)) {
            Some(Told::Event(event)) => Some(event),
            Some(Told::Taken | Told::Refused(_)) | None => None,
        };
        self.is_over = event.as_ref().is_none_or(|event| event.finished().is_some());
        Poll::Ready(event)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.is_over {
            self.told.close();
            // If one such notice waits already, it will do for this one too.
            let _waits = self.abandoned.try_send(());
        }
    }
}

/// The values that a [`get`](crate::Handle::get) finds, as they arrive; each distinct one once.
///
/// The search does not wait for a slow reader. It may find 1,536 values, which wait here.
#[derive(Debug)]
pub struct Values {
    operation: Operation,
    ending: Option<Ending>,
}

impl Values {
    pub(crate) fn new(operation: Operation) -> Values {
        Values { operation, ending: None }
    }

    /// How the search ended, after the last value. `None` while it runs, or if the node was stopped.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }
}

impl Stream for Values {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match ready!(self.operation.poll_next(cx)) {
                Some(Event::ValueFound { value, .. }) => return Poll::Ready(Some(value)),
                Some(Event::GetFinished { ending, .. }) => self.ending = Some(ending),
                Some(_) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}
