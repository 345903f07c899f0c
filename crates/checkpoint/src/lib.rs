//! Hugging Face folders in and out, the Hub client, the training state, atomic saves.
