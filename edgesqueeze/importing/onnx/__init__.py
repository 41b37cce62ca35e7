"""ONNX files of other tools as torch modules: torch's layers where there are weights, else its functions."""
