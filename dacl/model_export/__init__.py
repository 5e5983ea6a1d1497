"""A trained network for other programs: ONNX or safetensors, checked against PyTorch, with a model card."""
