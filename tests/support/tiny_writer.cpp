#include "tests/support/tiny_writer.hpp"

#include <ggml.h>
#include <gguf.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace namm::test {

const std::filesystem::path& tiny_folder() {
  struct OwnFolder {
    std::filesystem::path path = std::filesystem::temp_directory_path() / ("namm-test-llama-" + std::to_string(getpid()));
    OwnFolder() { std::filesystem::create_directories(path); }
    ~OwnFolder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const OwnFolder one;
  return one.path;
}

TinyWriter::TinyWriter(std::string architecture, unsigned seed, TinyWeights* weights)
    : architecture_(std::move(architecture)),
      weights_(weights),
      draw_(seed),
      file_(gguf_init_empty()),
      memory_(ggml_init({std::size_t{64} << 20, nullptr, false})) {
  gguf_set_val_str(file_, "general.architecture", architecture_.c_str());
  gguf_set_val_str(file_, "tokenizer.ggml.model", "none");
}

TinyWriter::~TinyWriter() {
  gguf_free(file_);
  ggml_free(memory_);
}

void TinyWriter::set(const std::string& key, int value) {
  gguf_set_val_u32(file_, (architecture_ + "." + key).c_str(), static_cast<unsigned>(value));
}
void TinyWriter::set_real(const std::string& key, float value) {
  gguf_set_val_f32(file_, (architecture_ + "." + key).c_str(), value);
}
void TinyWriter::set_array(const std::string& key, const std::vector<std::int32_t>& values) {
  gguf_set_arr_data(file_, (architecture_ + "." + key).c_str(), GGUF_TYPE_INT32, values.data(), values.size());
}

void TinyWriter::tensor(const std::string& name, int in, int out, float mean, float deviation, int slices) {
  ggml_tensor* const made = slices > 0 ? ggml_new_tensor_3d(memory_, GGML_TYPE_F32, in, out, slices)
                            : out > 0  ? ggml_new_tensor_2d(memory_, GGML_TYPE_F32, in, out)
                                       : ggml_new_tensor_1d(memory_, GGML_TYPE_F32, in);
  std::normal_distribution<float> normal(mean, deviation);
  std::vector<float> numbers(static_cast<std::size_t>(ggml_nelements(made)));
  for (float& x : numbers) x = normal(draw_);
  std::memcpy(made->data, numbers.data(), numbers.size() * sizeof(float));
  ggml_set_name(made, name.c_str());
  gguf_add_tensor(file_, made);
  if (weights_) (*weights_)[name] = std::move(numbers);
}

void TinyWriter::matrix(const std::string& name, int in, int out, float gain, int slices) {
  tensor(name, in, out, 0, gain / std::sqrt(static_cast<float>(in)), slices);
}

void TinyWriter::write(const std::filesystem::path& path) {
  if (!gguf_write_to_file(file_, path.c_str(), false)) throw std::runtime_error(path.string() + ": cannot be written");
}

}  // namespace namm::test
