//! The objects that a URL names: one, or those below a prefix, as the store lists them.
//!
//! A task lists ahead, up to [`AHEAD`] objects: a page of a store's listing. No listing is ever whole in memory.

use super::describe;
use super::fetch::{Known, Place, RemoteObject};
use futures_util::StreamExt;
use gristmill_ingest::object::{Listed, Listing, ObjectRef};
use object_store::{GetOptions, ObjectMeta};
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{channel, error::TryRecvError, Receiver, Sender};

/// Objects that are listed before they are taken.
const AHEAD: usize = 1000;

/// One object, which nothing was asked of.
pub(crate) struct One(Option<(PathBuf, ObjectRef)>);

impl One {
    pub fn new(name: PathBuf, object: ObjectRef) -> Self {
        Self(Some((name, object)))
    }
}

impl Listing for One {
    fn next(&mut self) -> Listed {
        match self.0.take() {
            Some((name, object)) => Listed::Object {
                name,
                object,
                below: None,
            },
            None => Listed::End,
        }
    }

    fn wait(&mut self, _: Duration) -> bool {
        true
    }
}

/// A prefix that is to be listed.
pub(crate) struct Directory {
    /// The URL of the bucket, with a slash.
    pub root: String,
    /// The URL that was given, as it is shown.
    pub name: PathBuf,
    pub place: Place,
    /// Whether the name may be that of an object.
    pub or_object: bool,
}

impl Directory {
    /// Lists it. What is listed, and what fails, goes to `listed`, until nobody takes it any more.
    async fn list(self, handle: Handle, listed: Sender<Listed>) {
        let sent = match self.run(&handle, &listed).await {
            Ok(()) => return,
            Err(reason) => Listed::Failed {
                name: self.name.clone(),
                reason,
            },
        };
        // Nobody waits for it where the run has ended.
        let _ = listed.send(sent).await;
    }

    async fn run(&self, handle: &Handle, listed: &Sender<Listed>) -> Result<(), String> {
        let kind = self.place.kind;
        if self.or_object {
            let options = GetOptions {
                head: true,
                ..GetOptions::default()
            };
            match self.place.store.get_opts(&self.place.key, options).await {
                Ok(found) => {
                    let object = self.object(&found.meta, handle);
                    let sent = Listed::Object {
                        name: self.name.clone(),
                        object,
                        below: None,
                    };
                    let _ = listed.send(sent).await;
                    return Ok(());
                }
                Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(describe::store(&error, kind)),
            }
        }
        let root = !self.place.key.as_ref().is_empty();
        let below = self.root.len() + self.place.key.as_ref().len() + usize::from(root);
        let prefix = Some(&self.place.key).filter(|_| root);
        let mut objects = self.place.store.list(prefix);
        let mut any = false;
        while let Some(found) = objects.next().await {
            let meta = found.map_err(|error| describe::store(&error, kind))?;
            any = true;
            let sent = Listed::Object {
                name: PathBuf::from(format!("{}{}", self.root, meta.location)),
                object: self.object(&meta, handle),
                below: Some(below),
            };
            if listed.send(sent).await.is_err() {
                break;
            }
        }
        match any || !root {
            true => Ok(()),
            false => Err("there is no such object, and none below it".into()),
        }
    }

    fn object(&self, meta: &ObjectMeta, handle: &Handle) -> ObjectRef {
        let place = Place {
            key: meta.location.clone(),
            ..self.place.clone()
        };
        let known = Known { size: meta.size };
        ObjectRef(RemoteObject::new(place, Some(known), handle.clone()))
    }
}

/// The objects below a prefix.
pub(crate) struct Prefix {
    handle: Handle,
    directory: Option<Directory>,
    listed: Option<Receiver<Listed>>,
    next: Option<Listed>,
}

impl Prefix {
    pub fn new(directory: Directory, handle: Handle) -> Self {
        Self {
            handle,
            directory: Some(directory),
            listed: None,
            next: None,
        }
    }

    fn begin(&mut self) {
        if let Some(directory) = self.directory.take() {
            let (sender, receiver) = channel(AHEAD);
            self.handle
                .spawn(directory.list(self.handle.clone(), sender));
            self.listed = Some(receiver);
        }
    }
}

impl Listing for Prefix {
    fn next(&mut self) -> Listed {
        self.begin();
        if let Some(next) = self.next.take() {
            return next;
        }
        match self.listed.as_mut().map(Receiver::try_recv) {
            Some(Ok(next)) => next,
            Some(Err(TryRecvError::Empty)) => Listed::Later,
            Some(Err(TryRecvError::Disconnected)) | None => Listed::End,
        }
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.begin();
        let Some(listed) = self.listed.as_mut().filter(|_| self.next.is_none()) else {
            return true;
        };
        let waits = async { tokio::time::timeout(timeout, listed.recv()).await };
        match self.handle.block_on(waits) {
            Ok(next) => {
                self.next = Some(next.unwrap_or(Listed::End));
                true
            }
            Err(_elapsed) => false,
        }
    }
}
