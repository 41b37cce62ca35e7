"""SavedModel folders of TensorFlow, by way of ONNX."""
