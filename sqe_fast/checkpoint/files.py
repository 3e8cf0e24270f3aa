"""The names of a checkpoint's files: Hugging Face's and peft's, and ours beside them."""

from __future__ import annotations

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
"""Of weights in several files."""
ADAPTER_CONFIG_FILE, ADAPTER_WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
"""As peft names them."""
TOKENIZER_FILE, TOKENIZER_CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"
PREPROCESSOR_FILE, GENERATION_FILE = "preprocessor_config.json", "generation_config.json"
CHAT_TEMPLATE_FILE = "chat_template.json"
CARD_FILE = "sqe_fast.json"
"""Name, answer template and hashes."""
STOCK_FILE = "stock.json"
"""The causes that it can name, and its phrases."""
DRAFTS_FILE = "drafts.json"
"""Texts that it wrote, from which the engine guesses what it will write."""
ENCODER_FILE, DECODER_FILE, VERIFIER_FILE = "encoder.onnx", "decoder.onnx", "verifier.onnx"
"""The exported graphs; the verifier is the decoder for several tokens of a slot. Their weights lie in WEIGHTS_FILE."""


def int8_file(graph: str) -> str:
    """The same graph with its matrix products in 8 bits: encoder.int8.onnx."""
    return graph.replace(".onnx", ".int8.onnx")
