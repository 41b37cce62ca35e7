"""Keras models, run by Keras itself on its torch backend, with torch's own layers where there are weights."""
