"""The shapes of inference that are compared: texts x tokens each, two for throughput and one for latency."""

INFERENCE = {
    "8x512": "inference, 8 texts of 512 tokens",
    "32x128": "inference, 32 texts of 128 tokens",
    "1x32": "latency of one text of 32 tokens",
}
SHAPES = list(INFERENCE)
