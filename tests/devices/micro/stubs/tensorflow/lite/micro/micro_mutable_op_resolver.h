// What main.cc uses of TensorFlow Lite Micro, to compile it without.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "golden.h"

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {
class MicroOpResolver {};

template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
 public:
  TfLiteStatus AddAdd() { return Count(); }
  TfLiteStatus AddConcatenation() { return Count(); }
  TfLiteStatus AddConv2D() { return Count(); }
  TfLiteStatus AddDepthwiseConv2D() { return Count(); }
  TfLiteStatus AddFullyConnected() { return Count(); }
  TfLiteStatus AddMaxPool2D() { return Count(); }
  TfLiteStatus AddMean() { return Count(); }
  TfLiteStatus AddReshape() { return Count(); }

 private:
  TfLiteStatus Count() { return ++count_ > tOpCount ? kTfLiteError : kTfLiteOk; }
  unsigned int count_ = 0;
};
}  // namespace tflite
