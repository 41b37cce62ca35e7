"""The coder of Deep Compression: relative indices and Huffman codes."""
