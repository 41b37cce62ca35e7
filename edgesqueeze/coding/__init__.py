"""Lossless coding of tensors: gaps, canonical Huffman codes, and the container they are stored in."""
