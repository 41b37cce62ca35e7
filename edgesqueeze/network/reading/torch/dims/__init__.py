"""The dimensions that torch sees, over the axes that a node has: views, orders, pieces and joins."""
