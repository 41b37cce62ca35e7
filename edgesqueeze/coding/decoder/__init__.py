"""Reading .sqz files of version 2 with numpy alone, and a C program that does the same.

Nothing here knows a graph, ONNX or flatbuffers. ``bundle.py`` packs these modules for use
without edgesqueeze.
"""
