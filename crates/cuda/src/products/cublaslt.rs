//! Products by cuBLASLt.
//!
//! Its matrices are column-major: a row-major `[a, b]` is a column-major `[b, a]`, so `out = left right` is asked for as
//! `outᵀ = rightᵀ leftᵀ`, and nothing is moved.
//!
//! No epilogue is used. Its GELU is the tanh form, and a bias must have the type of the result, where ours is in f32.

#![allow(unsafe_code)] // calls the library

use super::{Multiply, Product};
use crate::device::{Card, libraries};
use crate::error::CudaError;
use crate::memory::{Arena, Buffer};
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys::{
    cublasComputeType_t, cublasLtGetVersion, cublasLtHandle_t, cublasLtMatmulAlgo_t, cublasLtMatmulDesc_t,
    cublasLtMatmulDescAttributes_t, cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
    cublasLtMatrixLayout_t, cublasLtReductionScheme_t, cudaDataType,
};
use serin_tensor::DType;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// What NVIDIA recommends for Hopper.
const WORKSPACE: usize = 32 << 20;
/// The number of rows for which the library is asked how to multiply; it then multiplies any number so. One row's bits must
/// not depend on how many others are beside it, and two ways of multiplying may add in different orders.
const ROWS_ASKED: usize = 8192;

/// The library with what it was asked so far.
pub(crate) struct CublasLt {
    card: Arc<Card>,
    handle: cublasLtHandle_t,
    workspace: Buffer,
    plans: Mutex<HashMap<Plan, cublasLtMatmulAlgo_t>>,
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
}

// SAFETY: the handle may be used from any thread; the arrays that it points at are never changed.
unsafe impl Send for CublasLt {}
// SAFETY: NVIDIA's documentation calls the library thread-safe for a shared handle.
unsafe impl Sync for CublasLt {}

impl CublasLt {
    pub(crate) fn new(card: &Arc<Card>, arena: &Arc<Arena>) -> Result<CublasLt, CudaError> {
        libraries::toolkit(&libraries::CUBLASLT)?;
        card.bind()?;
        let handle = result::create_handle()
            .map_err(|error| CudaError::Driver { call: "starting cuBLASLt", reason: error.to_string() })?;
        let workspace = Buffer::zeroed(arena, DType::F32, WORKSPACE / 4)?;
        Ok(CublasLt { card: card.clone(), handle, workspace, plans: Mutex::default() })
    }

    /// What decides how products round.
    pub(crate) fn describe(&self) -> String {
        // SAFETY: no precondition.
        format!("cuBLASLt {}", unsafe { cublasLtGetVersion() })
    }

    /// The way of multiplying of a plan; the library is asked once.
    fn algorithm(&self, plan: Plan) -> Result<cublasLtMatmulAlgo_t, CublasError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(algorithm) = plans.get(&plan) {
            return Ok(*algorithm);
        }
        let problem = Problem::new(&plan)?;
        let preference = Preference::new(&plan)?;
        let Problem { description, right, left, out } = &problem;
        // SAFETY: all descriptions live until the call is over.
        let found = unsafe {
            result::get_matmul_algo_heuristic(self.handle, description.0, right.0, left.0, out.0, out.0, preference.0)?
        };
        plans.insert(plan, found.algo);
        Ok(found.algo)
    }

    /// # Safety
    /// As [`Multiply::multiply`].
    unsafe fn enqueue(&self, product: &Product, algorithm: cublasLtMatmulAlgo_t) -> Result<(), CublasError> {
        let problem = Problem::new(&Plan::exactly(product))?;
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
                &algorithm,
                self.workspace.at(DType::F32, WORKSPACE / 4) as *mut c_void,
                WORKSPACE,
                self.card.stream().cast(),
            )
        }
    }
}

impl Multiply for CublasLt {
    unsafe fn multiply(&self, product: &Product) -> Result<(), CudaError> {
        self.card.bind()?;
        let asked = |plan| {
            let algorithm = self.algorithm(plan)?;
            // SAFETY: the caller's.
            unsafe { self.enqueue(product, algorithm) }
        };
        // What suits many rows may be refused for these: then the library is asked for exactly them.
        let outcome = asked(Plan::for_any_rows(product)).or_else(|_| asked(Plan::exactly(product)));
        outcome.map_err(|error| CudaError::Product { product: product.to_string(), reason: error.to_string() })
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
        // In f32 truly in f32: TF32 would keep 10 bits of the factors.
        let description =
            Description(result::create_matmul_desc(cublasComputeType_t::CUBLAS_COMPUTE_32F, cudaDataType::CUDA_R_32F)?);
        // Column-major, a matrix stored as its product takes it is already what the library wants of it.
        description.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, right)?;
        description.set(cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB, left)?;
        Ok(Problem {
            description,
            right: Layout::new(dtype, depth, columns, right)?,
            left: Layout::new(dtype, rows, depth, left)?,
            out: Layout::new(out_dtype, rows, columns, false)?,
        })
    }
}

impl Description {
    fn set(&self, attribute: cublasLtMatmulDescAttributes_t, transposed: bool) -> Result<(), CublasError> {
        // `CUBLAS_OP_N` and `CUBLAS_OP_T`.
        let value = i32::from(transposed);
        // SAFETY: the description lives; the attribute is an `int32_t`.
        unsafe { result::set_matmul_desc_attribute(self.0, attribute, std::ptr::from_ref(&value).cast(), 4) }
    }
}

impl Layout {
    /// Of a row-major matrix whose shape, after transposition, is `[rows, columns]`.
    fn new(dtype: DType, rows: usize, columns: usize, transposed: bool) -> Result<Layout, CublasError> {
        let (rows, columns) = if transposed { (columns, rows) } else { (rows, columns) };
        let layout = result::create_matrix_layout(data_type(dtype), columns as u64, rows as u64, columns as i64)?;
        Ok(Layout(layout))
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
