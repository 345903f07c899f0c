//! The element-wise functions that encoders of this family name in `hidden_act`, and their derivatives.

/// An activation function. The formulas are those of `transformers.activations`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x.
    Identity,
    /// x Φ(x) with the error function, exact: `gelu`.
    Gelu,
    /// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³))): `gelu_new`, `gelu_pytorch_tanh`.
    GeluTanh,
    /// max(x, 0): `relu`.
    Relu,
    /// tanh x: `tanh`.
    Tanh,
    /// x σ(x): `silu`, `swish`.
    Silu,
}

impl Activation {
    /// The activation that `config.json` calls `name`; `None` for one that is not supported.
    pub fn from_hugging_face_name(name: &str) -> Option<Activation> {
        Some(match name {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            "tanh" => Activation::Tanh,
            "silu" | "swish" => Activation::Silu,
            "linear" => Activation::Identity,
            _ => return None,
        })
    }
}
