//! Text to token ids: tokenizers, tweet normalisation, truncation.
