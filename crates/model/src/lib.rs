//! Configuration, weights, forward and backward of post-layer-norm encoders, generic over the backend.
