//! Work that comes again, launched by one call of the driver instead of one a kernel.
//!
//! Two rounds of work are the same if they have the same kernels and the very same products and fills in the same order. The
//! second of them makes a graph, a chain of the same steps. What may differ from round to round are a kernel's arguments and
//! grid (the key of a dropout, where a batch's indices lie): they are compared with those that the graph has and set where they
//! differ. A product with another number of rows is another round, and rounds that do not come again are enqueued kernel by
//! kernel.
//!
//! Only products are captured, since the library alone knows its kernels: each by itself, on a stream that does nothing else.
//! A capture that fails leaves nothing behind.

#![allow(unsafe_code)] // calls the driver

use super::Address;
use super::card::said;
use super::queue::{Launch, Task};
use super::streams::stream;
use crate::error::CudaError;
use crate::launch::Argument;
use crate::products::{CublasLt, Product};
use cudarc::driver::result;
use cudarc::driver::sys::{
    self, CUDA_KERNEL_NODE_PARAMS, CUDA_MEMSET_NODE_PARAMS, CUcontext, CUgraph, CUgraphExec, CUgraphInstantiate_flags,
    CUgraphNode, CUstream, CUstreamCaptureMode,
};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ptr;

/// The shortest round that is worth it.
const FEWEST_TASKS: usize = 8;
/// Graphs that are kept; when there are more all are forgotten.
const MOST_GRAPHS: usize = 64;
/// Rounds that are remembered to have been there once.
const MOST_SEEN: usize = 4096;

/// The graphs of a card.
pub(super) struct Graphs {
    context: CUcontext,
    /// For captures only. Never destroyed: it lives as long as its card.
    capturing: CUstream,
    /// Hashes of rounds that came once. Two with one hash make a graph too early, and no more.
    seen: HashSet<u64>,
    /// By the hashes of their rounds.
    known: HashMap<u64, Graph>,
}

/// What must be the same in every round of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    /// A kernel by the driver's handle.
    Launch(usize),
    Product(Product),
    Zero(Address, usize),
}

impl Step {
    fn of(task: &Task) -> Step {
        match task {
            Task::Launch(launch) => Step::Launch(launch.function as usize),
            Task::Product(product) => Step::Product(*product),
            Task::Zero { at, bytes } => Step::Zero(*at, *bytes),
        }
    }
}

impl Graphs {
    /// The context must be current, here and in every call.
    pub(super) fn new(context: CUcontext) -> Result<Graphs, CudaError> {
        Ok(Graphs { context, capturing: stream()?, seen: HashSet::new(), known: HashMap::new() })
    }

    /// Launches a round of tasks if it is worth it; whether it did.
    ///
    /// # Errors
    /// The driver refuses. Then nothing was launched.
    ///
    /// # Safety
    /// As [`super::queue::Queue::push`] for each task.
    pub(super) unsafe fn launch(
        &mut self,
        tasks: &mut [Task],
        products: &CublasLt,
        on: CUstream,
    ) -> Result<bool, CudaError> {
        if tasks.len() < FEWEST_TASKS {
            return Ok(false);
        }
        let hash = hash(tasks);
        if !self.known.contains_key(&hash) && self.comes_for_the_first_time(hash) {
            return Ok(false);
        }
        let graph = match self.known.entry(hash) {
            Entry::Occupied(known) => known.into_mut(),
            // SAFETY: the caller's.
            Entry::Vacant(new) => new.insert(unsafe { Graph::new(tasks, products, self.capturing, self.context)? }),
        };
        if !graph.steps.iter().copied().eq(tasks.iter().map(Step::of)) {
            return Ok(false); // another round with the same hash
        }
        graph.set(tasks)?;
        // SAFETY: the executable lives, and its arguments are those of the tasks.
        unsafe { result::graph::launch(graph.executable, on) }.map_err(said("launching a graph"))?;
        Ok(true)
    }

    /// Whether a round that has no graph was never there; makes room for its graph if it was.
    fn comes_for_the_first_time(&mut self, hash: u64) -> bool {
        if self.seen.len() >= MOST_SEEN {
            self.seen.clear();
        }
        let new = self.seen.insert(hash);
        if !new && self.known.len() >= MOST_GRAPHS {
            self.known.clear();
        }
        new
    }
}

fn hash(tasks: &[Task]) -> u64 {
    let mut hasher = DefaultHasher::new();
    tasks.iter().for_each(|task| Step::of(task).hash(&mut hasher));
    hasher.finish()
}

/// A chain of nodes, one a task, and what the driver made of it.
struct Graph {
    /// Lives on since its nodes name those of the executable.
    graph: CUgraph,
    /// Null until the chain is whole.
    executable: CUgraphExec,
    /// What it was made of.
    steps: Vec<Step>,
    /// Kernels with what they are launched with.
    nodes: Vec<(CUgraphNode, Option<Launch>)>,
}

/// What a graph's call of the driver is for.
const BUILDING: &str = "making a graph";

impl Graph {
    /// Owns a graph of the driver.
    fn of(graph: CUgraph) -> Graph {
        Graph { graph, executable: ptr::null_mut(), steps: Vec::new(), nodes: Vec::new() }
    }

    /// # Safety
    /// As [`Graphs::launch`].
    unsafe fn new(
        tasks: &mut [Task],
        products: &CublasLt,
        capturing: CUstream,
        context: CUcontext,
    ) -> Result<Graph, CudaError> {
        let mut raw = ptr::null_mut();
        // SAFETY: a place to write to.
        unsafe { sys::cuGraphCreate(&mut raw, 0) }.result().map_err(said(BUILDING))?;
        let mut graph = Graph::of(raw);
        graph.steps = tasks.iter().map(Step::of).collect();
        for task in tasks {
            // SAFETY: the caller's.
            unsafe {
                match task {
                    Task::Launch(launch) => graph.add_kernel(launch)?,
                    Task::Product(product) => graph.add_product(product, products, capturing)?,
                    Task::Zero { at, bytes } => graph.add_fill(*at, *bytes, context)?,
                }
            }
        }
        // SAFETY: the graph is whole.
        graph.executable = unsafe { result::graph::instantiate(graph.graph, CUgraphInstantiate_flags(0)) }
            .map_err(said("instantiating a graph"))?;
        Ok(graph)
    }

    /// Appends a node that `add` makes, given where its handle goes and what it depends on.
    fn append(
        &mut self,
        launch: Option<Launch>,
        add: impl FnOnce(*mut CUgraphNode, CUgraph, *const CUgraphNode, usize) -> sys::CUresult,
    ) -> Result<(), CudaError> {
        let mut node = ptr::null_mut();
        let (before, count) = self.nodes.last().map_or((ptr::null(), 0), |(last, _)| (ptr::from_ref(last), 1));
        add(&mut node, self.graph, before, count).result().map_err(said(BUILDING))?;
        self.nodes.push((node, launch));
        Ok(())
    }

    unsafe fn add_kernel(&mut self, launch: &mut Launch) -> Result<(), CudaError> {
        let kept = launch.clone();
        with_parameters(launch, |parameters| {
            self.append(Some(kept), |node, graph, before, count| {
                // SAFETY: the driver copies the arguments, which are those of the kernel.
                unsafe { sys::cuGraphAddKernelNode_v2(node, graph, before, count, parameters) }
            })
        })
    }

    unsafe fn add_fill(&mut self, at: Address, bytes: usize, context: CUcontext) -> Result<(), CudaError> {
        let fill = CUDA_MEMSET_NODE_PARAMS { dst: at, pitch: 0, value: 0, elementSize: 1, width: bytes, height: 1 };
        self.append(None, |node, graph, before, count| {
            // SAFETY: the memory is the caller's; the driver copies the parameters.
            unsafe { sys::cuGraphAddMemsetNode(node, graph, before, count, &fill, context) }
        })
    }

    unsafe fn add_product(
        &mut self,
        product: &Product,
        products: &CublasLt,
        capturing: CUstream,
    ) -> Result<(), CudaError> {
        // SAFETY: the stream lives and nobody else uses it; a capture is ended whatever becomes of the product.
        let child = unsafe {
            let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            result::stream::begin_capture(capturing, mode).map_err(said("capturing a product"))?;
            let outcome = products.multiply(product, capturing);
            let child = result::stream::end_capture(capturing).map_err(said("capturing a product"));
            let child = child.map(Graph::of);
            outcome.and(child)?
        };
        self.append(None, |node, graph, before, count| {
            // SAFETY: the child lives until the call is over; the driver copies it.
            unsafe { sys::cuGraphAddChildGraphNode(node, graph, before, count, child.graph) }
        })
    }

    /// Gives the kernels the arguments and grids of a round.
    fn set(&mut self, tasks: &mut [Task]) -> Result<(), CudaError> {
        let executable = self.executable;
        for ((node, set), task) in self.nodes.iter_mut().zip(tasks) {
            let (Some(set), Task::Launch(launch)) = (set, task) else { continue };
            if set.grid == launch.grid && set.arguments == launch.arguments {
                continue;
            }
            with_parameters(launch, |parameters| {
                // SAFETY: the node is one of the graph of this executable; the driver copies the arguments.
                unsafe { sys::cuGraphExecKernelNodeSetParams_v2(executable, *node, parameters) }
                    .result()
                    .map_err(said("changing a graph"))
            })?;
            set.clone_from(launch);
        }
        Ok(())
    }
}

/// Shows a launch as nodes of graphs take it.
fn with_parameters<R>(launch: &mut Launch, show: impl FnOnce(&CUDA_KERNEL_NODE_PARAMS) -> R) -> R {
    let mut pointers: Vec<_> = launch.arguments.iter_mut().map(Argument::address).collect();
    let [x, y, z] = launch.grid.blocks;
    show(&CUDA_KERNEL_NODE_PARAMS {
        func: launch.function,
        gridDimX: x,
        gridDimY: y,
        gridDimZ: z,
        blockDimX: launch.grid.threads,
        blockDimY: 1,
        blockDimZ: 1,
        sharedMemBytes: launch.grid.shared,
        kernelParams: pointers.as_mut_ptr(),
        extra: ptr::null_mut(),
        kern: ptr::null_mut(),
        // The current one.
        ctx: ptr::null_mut(),
    })
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by the driver, destroyed once; it lets a launch end that is under way. Nothing can be done about a
        // failure.
        unsafe {
            if !self.executable.is_null() {
                let _ = result::graph::exec_destroy(self.executable);
            }
            let _ = result::graph::destroy(self.graph);
        }
    }
}
