"""Reading .sqz files of version 2 with numpy alone: what every decoder has to do, and a C program that does it.

Nothing here knows a graph, ONNX or flatbuffers. ``bundle.py`` packs these modules for use without edgesqueeze.
"""
