#pragma once
#include <filesystem>
#include <random>
#include <string>

#include "tests/support/tiny_model.hpp"

struct gguf_context;
struct ggml_context;

namespace namm::test {

/// Writes a GGUF of random F32 tensors.
class TinyWriter {
 public:
  TinyWriter(std::string architecture, unsigned seed, TinyWeights* weights);
  ~TinyWriter();
  TinyWriter(const TinyWriter&) = delete;
  TinyWriter& operator=(const TinyWriter&) = delete;

  // Keys below the architecture's name.
  void set(const std::string& key, int value);
  void set_real(const std::string& key, float value);
  void set_array(const std::string& key, const std::vector<std::int32_t>& values);

  /// Normal numbers around `mean`; `out` = 0 makes a vector of `in` numbers, `slices` > 0 a stack of matrices.
  void tensor(const std::string& name, int in, int out, float mean, float deviation, int slices = 0);
  /// A matrix that keeps the size of its input, times `gain`.
  void matrix(const std::string& name, int in, int out, float gain = 1, int slices = 0);
  void norm(const std::string& name, int size, int groups = 0) { tensor(name, size, groups, 1, 0.1f); }
  void bias(const std::string& name, int size, int slices = 0) { tensor(name, size, slices, 0, 0.1f); }

  void write(const std::filesystem::path& path);

 private:
  std::string architecture_;
  TinyWeights* weights_;
  std::mt19937 draw_;
  gguf_context* file_;
  ggml_context* memory_;
};

/// A folder of this process that is removed at exit.
const std::filesystem::path& tiny_folder();

}  // namespace namm::test
