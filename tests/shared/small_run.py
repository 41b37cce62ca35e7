"""A run with a file of every kind that is deployed."""

RECIPE = {
    "version": 1,
    "name": "small",
    "task": "tiny:build_task",
    "stages": [{"stage": "ptq", "method": "min_max"}],
    "exports": [
        {"export": "squeezed"},
        {"export": "onnx", "precision": ["fp32", "int8"]},
        {"export": "tflite", "precision": ["fp32", "int8", "fp16"]},
    ],
    "references": [],
}
