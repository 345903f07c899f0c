//! Fine-tune, evaluate and serve text classifiers of the RoBERTa family.
