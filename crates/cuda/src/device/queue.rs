//! Work on its way to the card: enqueued at once, or gathered until somebody needs it done, and launched as a graph where the
//! same work has been there before.

#![allow(unsafe_code)] // calls the driver

use super::card::said;
use super::graphs::Graphs;
use super::streams::Streams;
use super::{Address, After, Grid};
use crate::error::CudaError;
use crate::launch::Argument;
use crate::products::{CublasLt, Product};
use cudarc::driver::result;
use cudarc::driver::sys::{CUcontext, CUfunction, CUstream};

/// Tasks that are gathered at most, so that the card need not wait for a program that never waits for it.
const MOST_GATHERED: usize = 4096;

/// Something for the card to do.
pub(super) enum Task {
    Launch(Launch),
    Product(Product),
    Zero { at: Address, bytes: usize },
}

/// A kernel with its arguments.
#[derive(Clone)]
pub(super) struct Launch {
    pub(super) name: &'static str,
    pub(super) function: CUfunction,
    pub(super) grid: Grid,
    pub(super) arguments: Vec<Argument>,
}

/// A card's streams, and what is not on them yet.
pub(super) struct Queue {
    streams: Streams,
    products: CublasLt,
    gathered: Vec<Task>,
    /// Without them nothing is gathered.
    graphs: Option<Graphs>,
}

// SAFETY: the driver's handles may be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// The context must be current, here and in every call.
    pub(super) fn new(context: CUcontext, products: CublasLt, with_graphs: bool) -> Result<Queue, CudaError> {
        let graphs = with_graphs.then(|| Graphs::new(context)).transpose()?;
        Ok(Queue { streams: Streams::new()?, products, gathered: Vec::new(), graphs })
    }

    pub(super) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Takes a task on.
    ///
    /// # Safety
    /// Its memory and its arguments are what [`super::Device`] asks for, until the task is done.
    pub(super) unsafe fn push(&mut self, mut task: Task) -> Result<(), CudaError> {
        if self.graphs.is_none() {
            let stream = self.streams.compute()?;
            // SAFETY: the caller's.
            return unsafe { task.enqueue(&self.products, stream) };
        }
        self.gathered.push(task);
        if self.gathered.len() < MOST_GATHERED { Ok(()) } else { self.flush().map(|_| ()) }
    }

    /// Enqueues what was gathered; gives the stream on which all work so far is.
    pub(super) fn flush(&mut self) -> Result<CUstream, CudaError> {
        let stream = self.streams.compute()?;
        let mut tasks = std::mem::take(&mut self.gathered);
        // SAFETY: whoever pushed a task vouched for it until it is done.
        let outcome = unsafe { self.enqueue(&mut tasks, stream) };
        tasks.clear();
        self.gathered = tasks;
        outcome.map(|()| stream)
    }

    /// # Safety
    /// As [`Queue::push`].
    unsafe fn enqueue(&mut self, tasks: &mut [Task], stream: CUstream) -> Result<(), CudaError> {
        if let Some(graphs) = &mut self.graphs {
            // SAFETY: the caller's.
            match unsafe { graphs.launch(tasks, &self.products, stream) } {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                // Nothing was launched. Who refuses one graph need not be asked again.
                Err(_) => self.graphs = None,
            }
        }
        // SAFETY: the caller's.
        tasks.iter_mut().try_for_each(|task| unsafe { task.enqueue(&self.products, stream) })
    }

    /// Enqueues a copy behind what was pushed before; see [`Streams::write`].
    ///
    /// # Safety
    /// As [`Streams::write`].
    pub(super) unsafe fn write(&mut self, to: Address, bytes: &[u8], after: After) -> Result<(), CudaError> {
        if !self.gathered.is_empty() {
            self.flush()?;
        }
        // SAFETY: the caller's.
        unsafe { self.streams.write(to, bytes, after) }
    }
}

impl Task {
    /// # Safety
    /// As [`Queue::push`].
    unsafe fn enqueue(&mut self, products: &CublasLt, stream: CUstream) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Task::Launch(launch) => launch.enqueue(stream),
                Task::Product(product) => products.multiply(product, stream),
                Task::Zero { at, bytes } => {
                    result::memset_d8_async(*at, 0, *bytes, stream).map_err(said("zeroing memory"))
                }
            }
        }
    }
}

impl Launch {
    /// # Safety
    /// As [`Queue::push`].
    unsafe fn enqueue(&mut self, stream: CUstream) -> Result<(), CudaError> {
        let ([x, y, z], Grid { threads, shared, .. }) = (self.grid.blocks, self.grid);
        let mut pointers: Vec<_> = self.arguments.iter_mut().map(Argument::address).collect();
        // SAFETY: the caller's.
        unsafe { result::launch_kernel(self.function, (x, y, z), (threads, 1, 1), shared, stream, &mut pointers) }
            .map_err(said(self.name))
    }
}
