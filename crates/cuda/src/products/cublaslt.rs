//! Products by cuBLASLt.
//!
//! Its matrices are column-major: a row-major `[a, b]` is a column-major `[b, a]`, so `out = left right` is asked for as
//! `outᵀ = rightᵀ leftᵀ`, and nothing is moved. The rows of a batch are then columns of whatever has them.
//!
//! Of the epilogues only the bias is used: the library's GELU is the tanh form. It takes the bias in the type of the result.

#![allow(unsafe_code)] // calls the library

use super::Product;
use crate::device::{Address, libraries};
use crate::error::CudaError;
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    cublasComputeType_t, cublasLtEpilogue_t, cublasLtGetVersion, cublasLtHandle_t, cublasLtMatmulAlgo_t,
    cublasLtMatmulDesc_t, cublasLtMatmulDescAttributes_t, cublasLtMatmulPreference_t,
    cublasLtMatmulPreferenceAttributes_t, cublasLtMatrixLayout_t, cublasLtMatrixLayoutAttribute_t,
    cublasLtReductionScheme_t, cudaDataType,
};
use cudarc::driver::DriverError;
use cudarc::driver::sys::CUstream;
use serin_tensor::DType;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

/// What NVIDIA recommends for Hopper.
const WORKSPACE: usize = 32 << 20;
/// The number of rows for which the library is asked how to multiply; it then multiplies any number so. One row's bits must
/// not depend on how many others are beside it, and two ways of multiplying may add in different orders.
const ROWS_ASKED: usize = 8192;
/// Plans that are kept: a model has a dozen. Only shapes that are refused for any number of rows make more, one a number.
const MOST_PLANS: usize = 256;

/// The library with what it was asked so far.
pub(crate) struct CublasLt {
    handle: cublasLtHandle_t,
    /// Never freed: it lives as long as its card.
    workspace: Address,
    /// Locked while a product is enqueued: a plan's descriptions say what is multiplied at the moment.
    plans: Mutex<HashMap<Plan, Prepared>>,
}

/// What a way of multiplying was chosen for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Plan {
    rows: usize,
    columns: usize,
    depth: usize,
    dtype: DType,
    out_dtype: DType,
    transposed: [bool; 2],
    accumulate: bool,
    bias: bool,
}

/// A product that the library knows: its description, and the way of multiplying.
struct Prepared {
    problem: Problem,
    algorithm: cublasLtMatmulAlgo_t,
}

// SAFETY: the handle may be used from any thread, and so may descriptions, which the lock gives to one at a time.
unsafe impl Send for CublasLt {}
// SAFETY: NVIDIA's documentation calls the library thread-safe for a shared handle; as above.
unsafe impl Sync for CublasLt {}

impl CublasLt {
    /// The card's context must be current.
    pub(crate) fn new() -> Result<CublasLt, CudaError> {
        libraries::toolkit(&libraries::CUBLASLT)?;
        let call = "starting cuBLASLt";
        let handle = result::create_handle().map_err(|error| CudaError::Driver { call, reason: error.to_string() })?;
        // SAFETY: the library uses it as bytes with anything in it.
        let workspace = unsafe { cudarc::driver::result::malloc_sync(WORKSPACE) }
            .map_err(|DriverError(error)| CudaError::Driver { call, reason: format!("no workspace: {error:?}") })?;
        Ok(CublasLt { handle, workspace, plans: Mutex::default() })
    }

    /// What decides how products round.
    pub(crate) fn describe(&self) -> String {
        // SAFETY: no precondition.
        format!("cuBLASLt {}", unsafe { cublasLtGetVersion() })
    }

    /// Enqueues a product.
    ///
    /// # Safety
    /// As [`crate::device::Device::multiply`]; the card's context is current, and the stream is in it.
    pub(crate) unsafe fn multiply(&self, product: &Product, stream: CUstream) -> Result<(), CudaError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut asked = |plan| {
            let prepared = self.prepared(&mut plans, plan, product)?;
            // SAFETY: the caller's.
            unsafe { self.enqueue(prepared, product, stream) }
        };
        // What suits many rows may be refused for these: then the library is asked for exactly them.
        let outcome = asked(Plan::for_any_rows(product)).or_else(|_| asked(Plan::exactly(product)));
        outcome.map_err(|error| CudaError::Product { product: product.to_string(), reason: error.to_string() })
    }

    /// What is kept for a plan; the library is asked once.
    fn prepared<'a>(
        &self,
        plans: &'a mut HashMap<Plan, Prepared>,
        plan: Plan,
        product: &Product,
    ) -> Result<&'a Prepared, CublasError> {
        if plans.len() >= MOST_PLANS && !plans.contains_key(&plan) {
            // The library gives the same answers again.
            plans.clear();
        }
        match plans.entry(plan) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(Prepared::new(self.handle, &plan, product.bias)?)),
        }
    }

    /// # Safety
    /// As [`CublasLt::multiply`], and the product is one of the plan.
    unsafe fn enqueue(&self, prepared: &Prepared, product: &Product, stream: CUstream) -> Result<(), CublasError> {
        let Prepared { problem, algorithm } = prepared;
        problem.place(product)?;
        let (one, beta) = (1.0f32, if product.accumulate { 1.0f32 } else { 0.0 });
        let pointer = |address: u64| address as *const c_void;
        let out = product.out as *mut c_void;
        // SAFETY: the caller's; descriptions and factors live until the call is over, the workspace as long as the card.
        unsafe {
            result::matmul(
                self.handle,
                problem.description.0,
                std::ptr::from_ref(&one).cast(),
                std::ptr::from_ref(&beta).cast(),
                pointer(product.right.at),
                problem.right.0,
                pointer(product.left.at),
                problem.left.0,
                out,
                problem.out.0,
                out,
                problem.out.0,
                algorithm,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.cast(),
            )
        }
    }
}

impl Prepared {
    fn new(handle: cublasLtHandle_t, plan: &Plan, bias: Option<Address>) -> Result<Prepared, CublasError> {
        let problem = Problem::new(plan)?;
        problem.description.set_bias(bias)?;
        let preference = Preference::new(plan)?;
        let Problem { description, right, left, out, .. } = &problem;
        // SAFETY: all descriptions live until the call is over.
        let found = unsafe {
            result::get_matmul_algo_heuristic(handle, description.0, right.0, left.0, out.0, out.0, preference.0)?
        };
        Ok(Prepared { algorithm: found.algo, problem })
    }
}

impl Plan {
    fn exactly(product: &Product) -> Plan {
        Plan {
            rows: product.rows,
            columns: product.columns,
            depth: product.depth,
            dtype: product.left.dtype,
            out_dtype: product.out_dtype,
            transposed: [product.left.transposed, product.right.transposed],
            accumulate: product.accumulate,
            bias: product.bias.is_some(),
        }
    }

    /// One for all numbers of rows of a batch. In the gradient of a weight these are summed over: the depth.
    fn for_any_rows(product: &Product) -> Plan {
        let exactly = Plan::exactly(product);
        if product.left.transposed {
            Plan { depth: ROWS_ASKED, ..exactly }
        } else {
            Plan { rows: ROWS_ASKED, ..exactly }
        }
    }
}

/// How the library calls a type.
fn data_type(dtype: DType) -> cudaDataType {
    match dtype {
        DType::F32 => cudaDataType::CUDA_R_32F,
        DType::BF16 => cudaDataType::CUDA_R_16BF,
        DType::F16 => cudaDataType::CUDA_R_16F,
    }
}

/// A product's description.
struct Description(cublasLtMatmulDesc_t);

/// A matrix's.
struct Layout(cublasLtMatrixLayout_t);

/// What is asked of a way of multiplying.
struct Preference(cublasLtMatmulPreference_t);

/// All that describes a product but where its matrices are.
struct Problem {
    description: Description,
    right: Layout,
    left: Layout,
    out: Layout,
}

impl Problem {
    fn new(plan: &Plan) -> Result<Problem, CublasError> {
        let Plan { rows, columns, depth, dtype, out_dtype, transposed: [left, right], .. } = *plan;
        Ok(Problem {
            description: Description::new(plan)?,
            right: Layout::new(dtype, depth, columns, right)?,
            left: Layout::new(dtype, rows, depth, left)?,
            out: Layout::new(out_dtype, rows, columns, false)?,
        })
    }

    /// Says what of a product differs from others of its plan: the rows of the batch, and the bias.
    fn place(&self, product: &Product) -> Result<(), CublasError> {
        // The gradient of a weight is `dyᵀ x`, both with the batch's rows; all else has them on the left and in the result.
        let (batch, other) =
            if product.left.transposed { (product.depth, &self.right) } else { (product.rows, &self.out) };
        self.left.set_stored_rows(batch)?;
        other.set_stored_rows(batch)?;
        self.description.set_bias(product.bias)
    }
}

impl Description {
    fn new(plan: &Plan) -> Result<Description, CublasError> {
        // In f32 truly in f32: TF32 would keep 10 bits of the factors.
        let description =
            Description(result::create_matmul_desc(cublasComputeType_t::CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_32F)?);
        // Column-major, a matrix stored as its product takes it is already what the library wants of it.
        let [left, right] = plan.transposed.map(i32::from); // `CUBLAS_OP_N` and `CUBLAS_OP_T`
        description.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, &right)?;
        description.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB, &left)?;
        if plan.bias {
            let epilogue = cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32;
            description.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        }
        Ok(description)
    }

    /// Says where the bias is, if the product has one: a number a column, in the type of the result.
    fn set_bias(&self, bias: Option<Address>) -> Result<(), CublasError> {
        let attribute = cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
        bias.map_or(Ok(()), |address| self.set(attribute, &address))
    }

    /// Sets an attribute whose type is, for the library, that of the value.
    fn set<T>(&self, attribute: cublasLtMatmulDescAttributes_t, value: &T) -> Result<(), CublasError> {
        // SAFETY: the description lives, and the value is as long as is said.
        unsafe {
            result::set_matmul_desc_attribute(self.0, attribute, std::ptr::from_ref(value).cast(), size_of::<T>())
        }
    }
}

impl Layout {
    /// Of a row-major matrix whose shape, after transposition, is `[rows, columns]`.
    fn new(dtype: DType, rows: usize, columns: usize, transposed: bool) -> Result<Layout, CublasError> {
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        let layout = result::create_matrix_layout(data_type(dtype), columns as u64, rows as u64, columns as i64)?;
        Ok(Layout(layout))
    }

    /// Changes the number of rows as the matrix is stored.
    fn set_stored_rows(&self, rows: usize) -> Result<(), CublasError> {
        let (attribute, rows) = (cublasLtMatrixLayoutAttribute_t::CUBLASLT_MATRIX_LAYOUT_COLS, rows as u64);
        // SAFETY: the layout lives; the attribute is a `uint64_t`.
        unsafe { result::set_matrix_layout_attribute(self.0, attribute, std::ptr::from_ref(&rows).cast(), 8) }
    }
}

impl Preference {
    fn new(plan: &Plan) -> Result<Preference, CublasError> {
        let preference = Preference(result::create_matmul_pref()?);
        let workspace = WORKSPACE as u64;
        preference.set(
            cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            std::ptr::from_ref(&workspace).cast(),
            8,
        )?;
        // A sum may be cut in parts only where it is over the rows of a batch, and then its parts are added in order:
        // through the workspace, never in place.
        let [batch_is_summed, _] = plan.transposed;
        let schemes = if batch_is_summed {
            cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
        } else {
            cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE
        } as u32;
        preference.set(
            cublasLtMatmulPreferenceAttributes_t::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            std::ptr::from_ref(&schemes).cast(),
            4,
        )?;
        Ok(preference)
    }

    fn set(
        &self,
        attribute: cublasLtMatmulPreferenceAttributes_t,
        value: *const c_void,
        bytes: usize,
    ) -> Result<(), CublasError> {
        // SAFETY: the preference lives, and `value` points at as many bytes.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, value, bytes) }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: made by the library, destroyed once. Nothing can be done about a failure.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}
