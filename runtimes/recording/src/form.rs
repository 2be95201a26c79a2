//! What is written of each step: what a replay needs, or text.

use crate::body::{Answer, Input, Start, write_end};
use crate::frame::FrameWriter;
use crate::outputs::Watch;
use crate::text::Teller;
use bytes::{BufMut as _, BytesMut};
use khashmir::{Event, Instant, Node};
use std::io;
use std::net::SocketAddr;

/// How a recording is written.
#[derive(Debug)]
pub(crate) enum Form {
    Frames(Frames),
    Blinded(Blinded),
}

/// Inputs bit for bit, and digests of what came of them.
#[derive(Debug)]
pub(crate) struct Frames {
    frames: FrameWriter,
    body: BytesMut,
    watch: Watch,
}

/// Inputs and what came of them as text, under pseudonyms.
#[derive(Debug)]
pub(crate) struct Blinded {
    teller: Teller,
    steps: u64,
    /// What came of the latest input, in the order in which it is told.
    answer: String,
    sent: String,
    events: String,
    timeout: String,
}

impl Form {
    /// Writes the start to `out`; `node` has just been made from it.
    pub(crate) fn frames(start: &Start, node: &Node, out: &mut BytesMut) -> io::Result<Form> {
        let (frames, body) = (FrameWriter::start(out), BytesMut::new());
        let mut form = Frames { frames, body, watch: Watch::after(node, None) };
        form.write(out, |body| start.write(body))?;
        Ok(Form::Frames(form))
    }

    /// Writes the heading and the start to `out`; `node` has just been made from it.
    pub(crate) fn blinded(start: &Start, node: &Node, out: &mut BytesMut) -> Form {
        let teller = Teller::blinded(start);
        out.put_slice(teller.heading(start).as_bytes());
        let [answer, sent, events, timeout] = [(); 4].map(|()| String::new());
        let mut form = Form::Blinded(Blinded { teller, steps: 0, answer, sent, events, timeout });
        form.tell_input(start.now, &Input::Start, out);
        form.after(node, None);
        form
    }

    /// Writes an input, after what came of the one before.
    pub(crate) fn input(
        &mut self,
        node: &Node,
        (before, now): (Instant, Instant),
        input: &Input,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        self.outputs(node, out)?;
        match self {
            Form::Frames(form) => {
                let after = now.as_micros().wrapping_sub(before.as_micros());
                form.write(out, |body| input.write(after, body))
            }
            Form::Blinded(_) => {
                self.tell_input(now, input, out);
                Ok(())
            }
        }
    }

    /// The node has handled the input.
    pub(crate) fn after(&mut self, node: &Node, answer: Answer) {
        match self {
            Form::Frames(form) => form.watch = Watch::after(node, answer),
            Form::Blinded(form) => {
                form.answer = form.teller.answer(answer);
                form.timeout = form.teller.timeout(node.poll_timeout());
            }
        }
    }

    pub(crate) fn datagram(&mut self, to: &SocketAddr, datagram: &[u8]) {
        match self {
            Form::Frames(form) => form.watch.datagram(to, datagram),
            Form::Blinded(form) => form.sent += &form.teller.datagram(to, datagram),
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        match self {
            Form::Frames(form) => form.watch.event(event),
            Form::Blinded(form) => form.events += &form.teller.event(event),
        }
    }

    /// Writes what came of the latest input, and that nothing follows.
    pub(crate) fn end(&mut self, node: &Node, out: &mut BytesMut) -> io::Result<()> {
        self.outputs(node, out)?;
        match self {
            Form::Frames(form) => form.write(out, write_end),
            Form::Blinded(_) => {
                out.put_slice(b"end\n");
                Ok(())
            }
        }
    }

    fn outputs(&mut self, node: &Node, out: &mut BytesMut) -> io::Result<()> {
        match self {
            Form::Frames(form) => {
                let outputs = form.watch.outputs(node);
                form.write(out, |body| outputs.write(body))
            }
            Form::Blinded(form) => {
                for text in [&mut form.answer, &mut form.sent, &mut form.events, &mut form.timeout] {
                    out.put_slice(text.as_bytes());
                    text.clear();
                }
                Ok(())
            }
        }
    }

    fn tell_input(&mut self, now: Instant, input: &Input, out: &mut BytesMut) {
        if let Form::Blinded(form) = self {
            out.put_slice(form.teller.input(form.steps, now, input).as_bytes());
            form.steps += 1;
        }
    }
}

impl Frames {
    fn write(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) -> io::Result<()> {
        self.body.clear();
        write(&mut self.body);
        self.frames.frame(&self.body, out)
    }
}
