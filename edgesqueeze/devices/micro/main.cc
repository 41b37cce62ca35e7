// Checks the model: that the array is the file and lies as it has to; with HAVE_TFLM also what it answers.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "golden.h"
#include "model.h"

#ifdef HAVE_TFLM
#include "operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"
#endif

namespace {

// SHA-256 (FIPS 180-4).
constexpr std::uint32_t kRounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t Rotate(std::uint32_t x, int n) { return (x >> n) | (x << (32 - n)); }

void AddBlock(std::uint32_t state[8], const unsigned char* block) {
  std::uint32_t w[64], s[8];
  for (int i = 0; i < 16; ++i) {
    w[i] = std::uint32_t{block[4 * i]} << 24 | std::uint32_t{block[4 * i + 1]} << 16 |
           std::uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  }
  for (int i = 16; i < 64; ++i) {
    const std::uint32_t low = Rotate(w[i - 15], 7) ^ Rotate(w[i - 15], 18) ^ (w[i - 15] >> 3);
    const std::uint32_t high = Rotate(w[i - 2], 17) ^ Rotate(w[i - 2], 19) ^ (w[i - 2] >> 10);
    w[i] = w[i - 16] + low + w[i - 7] + high;
  }
  std::memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; ++i) {
    const std::uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    const std::uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    const std::uint32_t high = Rotate(s[4], 6) ^ Rotate(s[4], 11) ^ Rotate(s[4], 25);
    const std::uint32_t low = Rotate(s[0], 2) ^ Rotate(s[0], 13) ^ Rotate(s[0], 22);
    const std::uint32_t sum = s[7] + high + choice + kRounds[i] + w[i];
    std::memmove(s + 1, s, 7 * sizeof s[0]);
    s[4] += sum;
    s[0] = sum + low + majority;
  }
  for (int i = 0; i < 8; ++i) state[i] += s[i];
}

void Sha256(const unsigned char* data, unsigned size, char text[65]) {
  std::uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                            0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned done = 0;
  for (; size - done >= 64; done += 64) AddBlock(state, data + done);
  unsigned char last[128] = {};
  const unsigned left = size - done, end = left < 56 ? 64 : 128;
  std::memcpy(last, data + done, left);
  last[left] = 0x80;
  const std::uint64_t bits = std::uint64_t{size} * 8;
  for (unsigned i = 0; i < 8; ++i) last[end - 1 - i] = static_cast<unsigned char>(bits >> (8 * i));
  for (unsigned start = 0; start < end; start += 64) AddBlock(state, last + start);
  for (int i = 0; i < 8; ++i) std::snprintf(text + 8 * i, 9, "%08lx", static_cast<unsigned long>(state[i]));
}

bool CheckArray() {
  char found[65];
  Sha256(kModel, kModelBytes, found);
  if (std::strcmp(found, kModelSha256) != 0) {
    std::printf("the model has SHA-256 %s, not %s\n", found, kModelSha256);
    return false;
  }
  if (reinterpret_cast<std::uintptr_t>(kModel) % 16 != 0) {
    std::printf("the model does not lie at a multiple of 16\n");
    return false;
  }
  if (std::memcmp(kModel + 4, "TFL3", 4) != 0) {
    std::printf("the model is not a TFLite file\n");
    return false;
  }
  std::printf("model: %u bytes, SHA-256 as written, aligned to 16\n", kModelBytes);
  return true;
}

#ifdef HAVE_TFLM
#ifndef ARENA_BYTES
#define ARENA_BYTES (2 * kTensorBytes + 65536)
#endif
#ifndef TOLERANCE
#define TOLERANCE 1
#endif

alignas(16) unsigned char arena[ARENA_BYTES];
tflite::MicroMutableOpResolver<kOperators> resolver;

// The largest difference of an answer, in steps of its grid.
int Apart(const Golden& golden, const unsigned char* right, const unsigned char* found) {
  int apart = 0;
  for (unsigned i = 0; i < golden.bytes; ++i) {
    const int wanted = golden.is_signed ? static_cast<signed char>(right[i]) : right[i];
    const int here = golden.is_signed ? static_cast<signed char>(found[i]) : found[i];
    const int difference = wanted > here ? wanted - here : here - wanted;
    if (difference > apart) apart = difference;
  }
  return apart;
}

bool CheckImage(tflite::MicroInterpreter& interpreter, unsigned image) {
  if (interpreter.input(0)->bytes != kGoldenInput.bytes ||
      interpreter.outputs_size() != kGoldenOutputsCount) {
    std::printf("the model's input or outputs are not those of the golden answers\n");
    return false;
  }
  const unsigned char* input = kGoldenInput.values + image * kGoldenInput.bytes;
  std::memcpy(interpreter.input(0)->data.raw, input, kGoldenInput.bytes);
  if (interpreter.Invoke() != kTfLiteOk) {
    std::printf("image %u: the interpreter failed\n", image);
    return false;
  }
  bool fits = true;
  for (unsigned n = 0; n < kGoldenOutputsCount; ++n) {
    const Golden& golden = kGoldenOutputs[n];
    if (interpreter.output(n)->bytes != golden.bytes) {
      std::printf("output %u has not the size of its golden answers\n", n);
      return false;
    }
    const auto* found = reinterpret_cast<const unsigned char*>(interpreter.output(n)->data.raw);
    const int apart = Apart(golden, golden.values + image * golden.bytes, found);
    std::printf("image %u, output %u: at most %d steps from the golden answer\n", image, n, apart);
    fits = fits && apart <= TOLERANCE;
  }
  return fits;
}

bool CheckAnswers() {
  if (!AddOperators(resolver)) {
    std::printf("the operators cannot be registered\n");
    return false;
  }
  tflite::MicroInterpreter interpreter(tflite::GetModel(kModel), resolver, arena, sizeof arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    const auto size = static_cast<unsigned>(sizeof arena);
    std::printf("an arena of %u bytes is too small, or an operator is missing\n", size);
    return false;
  }
  std::printf("arena: %lu bytes used\n", static_cast<unsigned long>(interpreter.arena_used_bytes()));
  bool fits = true;
  for (unsigned image = 0; image < kGoldenImages; ++image) fits = CheckImage(interpreter, image) && fits;
  return fits;
}
#endif

}  // namespace

int main() {
  bool passed = CheckArray();
#ifdef HAVE_TFLM
  passed = passed && CheckAnswers();
#endif
  std::printf(passed ? "check passed\n" : "check FAILED\n");
  return passed ? 0 : 1;
}
