// Answers inputs that it knows with their golden answers, STUB_ERROR steps off.
#pragma once
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

#ifndef STUB_ERROR
#define STUB_ERROR 0
#endif

struct TfLiteTensor {
  size_t bytes;
  union {
    char* raw;
    const char* raw_const;
    void* data;
  } data;
};

namespace tflite {
class MicroInterpreter {
 public:
  MicroInterpreter(const Model*, const MicroOpResolver&, uint8_t*, size_t size) : size_(size) {
    input_ = {kGoldenInput.bytes, {input_values_}};
    output_ = {kGoldenOutputs[0].bytes, {output_values_}};
  }
  TfLiteStatus AllocateTensors() { return size_ < 4096 ? kTfLiteError : kTfLiteOk; }
  TfLiteStatus Invoke() {
    for (unsigned image = 0; image < kGoldenImages; ++image) {
      if (std::memcmp(input_values_, kGoldenInput.values + image * kGoldenInput.bytes, kGoldenInput.bytes) == 0) {
        std::memcpy(output_values_, kGoldenOutputs[0].values + image * output_.bytes, output_.bytes);
        output_values_[0] = static_cast<char>(output_values_[0] + (output_values_[0] > 0 ? -STUB_ERROR : STUB_ERROR));
        return kTfLiteOk;
      }
    }
    return kTfLiteError;
  }
  TfLiteTensor* input(size_t) { return &input_; }
  TfLiteTensor* output(size_t) { return &output_; }
  size_t outputs_size() const { return 1; }
  size_t arena_used_bytes() const { return size_ / 2; }

 private:
  size_t size_;
  char input_values_[1 << 16];
  char output_values_[1 << 16];
  TfLiteTensor input_, output_;
};
}  // namespace tflite
