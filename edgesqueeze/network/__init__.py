"""A network as edgesqueeze sees it: a graph, how frameworks are read into it, and its integers."""
