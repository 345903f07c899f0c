//! The emulator of `kernels/emulator/`: the same kernels compiled as C++, run by the CPU. A device for tests.

#![allow(unsafe_code)] // loads and calls a library

use super::{Address, After, Device, Grid, Traits};
use crate::error::CudaError;
use crate::kernel::{Kernel, storage_macro};
use crate::launch::Argument;
use crate::products::{Product, multiply_by_loops};
use libloading::Library;
use serin_tensor::DType;
use std::ffi::{CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::path::Path;

type FindKernel = unsafe extern "C" fn(*const c_char) -> *const c_void;
type Parameters = unsafe extern "C" fn(*const c_void, *mut c_uint, c_uint) -> c_uint;
type LaunchKernel = unsafe extern "C" fn(
    *const c_void,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    c_uint,
    *mut *mut c_void,
) -> c_int;
type Allocate = unsafe extern "C" fn(c_ulonglong) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);

/// One library a storage type, in the order of the macro `STORAGE`.
pub(crate) struct Emulator {
    libraries: [Emulated; 3],
}

/// The functions of a library.
struct Emulated {
    find: FindKernel,
    parameters: Parameters,
    launch: LaunchKernel,
    allocate: Allocate,
    free: Free,
    _library: Library,
}

impl Emulator {
    /// Loads the libraries of f32, bf16 and f16.
    ///
    /// # Safety
    /// They were compiled from this crate's `kernels/`, as `kernels/README.md` says.
    pub(crate) unsafe fn open(paths: [&Path; 3]) -> Result<Emulator, CudaError> {
        // SAFETY: the caller's.
        let [first, second, third] = paths.map(|path| unsafe { Emulated::open(path) });
        Ok(Emulator { libraries: [first?, second?, third?] })
    }
}

impl Emulated {
    /// # Safety
    /// As [`Emulator::open`].
    unsafe fn open(path: &Path) -> Result<Emulated, CudaError> {
        let failed = |error: libloading::Error| CudaError::Emulator(format!("{}: {error}", path.display()));
        // SAFETY: the caller's; the types are those of the README's C interface.
        unsafe {
            let library = Library::new(path).map_err(failed)?;
            Ok(Emulated {
                find: *library.get::<FindKernel>(c"emulator_kernel").map_err(failed)?,
                parameters: *library.get::<Parameters>(c"emulator_parameters").map_err(failed)?,
                launch: *library.get::<LaunchKernel>(c"emulator_launch").map_err(failed)?,
                allocate: *library.get::<Allocate>(c"emulator_allocate").map_err(failed)?,
                free: *library.get::<Free>(c"emulator_free").map_err(failed)?,
                _library: library,
            })
        }
    }

    /// The sizes in bytes of a kernel's parameters.
    fn parameters(&self, kernel: *const c_void) -> Vec<u32> {
        let mut sizes = [0; 32];
        // SAFETY: a handle of this library, and room for as many as is said.
        let count = unsafe { (self.parameters)(kernel, sizes.as_mut_ptr(), sizes.len() as c_uint) };
        sizes[..sizes.len().min(count as usize)].to_vec()
    }
}

// SAFETY: `emulator_allocate` gives the bytes that were asked for, aligned to 256.
unsafe impl Device for Emulator {
    fn name(&self) -> &str {
        "emulated GPU"
    }

    fn traits(&self) -> Traits {
        // So small that a test fills it.
        Traits { processors: 2, shared_cache: 64 << 10 }
    }

    fn total_memory(&self) -> usize {
        1 << 32
    }

    fn prepare(&self, _storage: DType, _slow: &dyn Fn()) -> Result<(), CudaError> {
        Ok(())
    }

    fn free_memory(&self) -> Result<usize, CudaError> {
        Ok(self.total_memory())
    }

    fn allocate(&self, bytes: usize) -> Result<Option<Address>, CudaError> {
        // SAFETY: no precondition.
        let memory = unsafe { (self.libraries[0].allocate)(bytes as c_ulonglong) };
        Ok((!memory.is_null()).then_some(memory as Address))
    }

    unsafe fn free(&self, address: Address) {
        // SAFETY: the caller's.
        unsafe { (self.libraries[0].free)(address as *mut c_void) }
    }

    fn moment(&self) -> u64 {
        0
    }

    unsafe fn write(&self, to: Address, bytes: &[u8], _after: After) -> Result<(), CudaError> {
        // SAFETY: the caller's; launches are over when they return, and host memory is never the device's.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to as *mut u8, bytes.len()) };
        Ok(())
    }

    unsafe fn read(&self, from: Address, bytes: &mut [u8]) -> Result<(), CudaError> {
        // SAFETY: as in `write`.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, bytes.as_mut_ptr(), bytes.len()) };
        Ok(())
    }

    unsafe fn copy(&self, from: Address, to: Address, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, to as *mut u8, bytes) };
        Ok(())
    }

    unsafe fn fill_zero(&self, at: Address, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller's.
        unsafe { std::ptr::write_bytes(at as *mut u8, 0, bytes) };
        Ok(())
    }

    unsafe fn launch(&self, kernel: Kernel, grid: Grid, arguments: &[Argument]) -> Result<(), CudaError> {
        let library = &self.libraries[storage_macro(kernel.program.storage) as usize];
        let name = CString::new(kernel.name).expect("kernels' names hold no zero");
        let refused = |reason: &str| CudaError::Driver { call: kernel.name, reason: reason.to_owned() };
        // SAFETY: the name ends with zero.
        let handle = unsafe { (library.find)(name.as_ptr()) };
        if handle.is_null() {
            return Err(refused("the emulator has no such kernel"));
        }
        let sizes: Vec<u32> = arguments.iter().map(Argument::size).collect();
        if library.parameters(handle) != sizes {
            return Err(refused(&format!("takes arguments of {:?} bytes, not {sizes:?}", library.parameters(handle))));
        }
        let mut arguments = arguments.to_vec();
        let mut pointers: Vec<_> = arguments.iter_mut().map(Argument::address).collect();
        let ([x, y, z], Grid { threads, shared, .. }) = (grid.blocks, grid);
        // SAFETY: the caller's.
        let status = unsafe { (library.launch)(handle, x, y, z, threads, 1, 1, shared, pointers.as_mut_ptr()) };
        if status == 0 { Ok(()) } else { Err(refused(&format!("a card would refuse this launch: {grid:?}"))) }
    }

    unsafe fn multiply(&self, product: &Product) -> Result<(), CudaError> {
        // SAFETY: the caller's; the emulator's memory is the host's, and launches are over when they return.
        unsafe { multiply_by_loops(product) };
        Ok(())
    }

    unsafe fn copy_from_pinned(&self, _: Address, _: usize) -> Result<Option<f64>, CudaError> {
        Ok(None)
    }

    fn synchronize(&self) -> Result<(), CudaError> {
        Ok(())
    }
}
