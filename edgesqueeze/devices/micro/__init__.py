"""Onto microcontrollers: an int8 TFLite file as C arrays for TensorFlow Lite Micro."""
