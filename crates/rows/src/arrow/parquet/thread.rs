//! An encoder on a thread of its own.
//!
//! The thread owns the encoder and takes one batch after the other. It answers each with the row groups that ended by it, or
//! with an error, its last answer. The owner counts what is not answered and waits for answers alone, never to send: a thread
//! that is gone, for whatever reason, ends each wait. It ends when nothing is sent any more, and gives the encoder back.

use super::encoder::{Encoder, Group};
use arrow_array::{Array, RecordBatch};
use parquet::errors::ParquetError;
use std::collections::VecDeque;
use std::io;
use std::mem::take;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::thread::JoinHandle;

/// The most batches that are sent and not answered while the owner goes on.
const AHEAD: usize = 4;

/// The most bytes of such batches. One that is larger is waited for.
const AHEAD_BYTES: usize = 4 << 20;

/// What the thread does.
pub type Body = Box<dyn FnOnce() -> Encoder + Send>;

/// What starts a thread.
pub type Spawn = fn(Body) -> io::Result<JoinHandle<Encoder>>;

/// Starts a thread, as the system does.
pub fn spawn(body: Body) -> io::Result<JoinHandle<Encoder>> {
    std::thread::Builder::new()
        .name("gristmill-rows".into())
        .spawn(body)
}

type Answer = Result<Vec<Group>, ParquetError>;

/// The thread, seen by its owner. When it is dropped, batches that are not begun are dropped, too.
#[derive(Debug)]
pub struct EncoderThread {
    /// None once all is sent.
    batches: Option<Sender<RecordBatch>>,
    /// None once no answer is wanted.
    answers: Option<Receiver<Answer>>,
    /// The bytes of the batches that are not answered, in their order.
    ahead: VecDeque<usize>,
    /// None once it is joined.
    thread: Option<JoinHandle<Encoder>>,
}

impl EncoderThread {
    /// Gives the encoder back where no thread can be had.
    pub fn start(encoder: Encoder, spawn: Spawn) -> Result<Self, Encoder> {
        let (give, given) = channel::<Encoder>();
        let (batches, to_encode) = channel::<RecordBatch>();
        let (answer, answers) = channel();
        let body = move || {
            let mut encoder = given.recv().expect("sent as soon as the thread is started");
            for batch in to_encode {
                let groups = encoder.encode(&batch);
                drop(batch);
                let failed = groups.is_err();
                if answer.send(groups).is_err() || failed {
                    break;
                }
            }
            encoder
        };
        match spawn(Box::new(body)) {
            Ok(thread) => {
                give.send(encoder).expect("the thread waits for it");
                Ok(Self {
                    batches: Some(batches),
                    answers: Some(answers),
                    ahead: VecDeque::new(),
                    thread: Some(thread),
                })
            }
            Err(_) => Err(encoder),
        }
    }

    /// Has a batch encoded. Row groups that ended since go to `append`.
    pub fn encode(
        &mut self,
        batch: RecordBatch,
        mut append: impl FnMut(Vec<Group>) -> io::Result<()>,
    ) -> io::Result<()> {
        self.ahead.push_back(memory(&batch));
        if let Some(batches) = &self.batches {
            // Where the thread is gone, the wait for its answer tells why.
            let _ = batches.send(batch);
        }
        loop {
            let full = self.ahead.len() > AHEAD || self.ahead.iter().sum::<usize>() > AHEAD_BYTES;
            match self.answer(full)? {
                Some(groups) => append(groups)?,
                None => return Ok(()),
            }
        }
    }

    /// Waits until all is encoded. Row groups that ended go to `append`. Returns the encoder.
    pub fn finish(
        mut self,
        mut append: impl FnMut(Vec<Group>) -> io::Result<()>,
    ) -> io::Result<Encoder> {
        self.batches = None;
        while !self.ahead.is_empty() {
            if let Some(groups) = self.answer(true)? {
                append(groups)?;
            }
        }
        self.join()
    }

    /// The next answer, if there is one, or if it is to be waited for.
    fn answer(&mut self, wait: bool) -> io::Result<Option<Vec<Group>>> {
        let answers = self.answers.as_ref().ok_or_else(gone)?;
        let answer = match wait {
            true => answers.recv().ok(),
            false => match answers.try_recv() {
                Err(std::sync::mpsc::TryRecvError::Empty) => return Ok(None),
                answer => answer.ok(),
            },
        };
        match answer {
            Some(groups) => {
                self.ahead.pop_front();
                groups.map(Some).map_err(super::error)
            }
            // It ends before its owner lets it only by a panic.
            None => Err(self.join().err().unwrap_or_else(gone)),
        }
    }

    fn join(&mut self) -> io::Result<Encoder> {
        let thread = self.thread.take().ok_or_else(gone)?;
        thread.join().map_err(|panic| {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let text = text.unwrap_or("no reason");
            io::Error::other(format!("the encoder of Parquet panicked: {text}"))
        })
    }
}

impl Drop for EncoderThread {
    fn drop(&mut self) {
        // In this order, so that the thread sees that nobody wants its answer when it would take the next batch.
        drop(take(&mut self.answers));
        drop(take(&mut self.batches));
        if self.thread.is_some() {
            // Nobody is left to be told how it ended.
            let _ = self.join();
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the encoder of Parquet has ended")
}

/// Bytes that a batch takes.
fn memory(batch: &RecordBatch) -> usize {
    let columns = batch.columns().iter();
    columns.map(Array::get_array_memory_size).sum()
}
