#include "adapters/llama_cpp/gguf_header.hpp"

#include <gguf.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/json_limits.hpp"

namespace namm::llama {
namespace {

/// The runtime logs why a header is bad; the first line says most.
void keep_first_error(ggml_log_level level, const char* text, void* data) {
  auto& first = *static_cast<std::string*>(data);
  if (level == GGML_LOG_LEVEL_ERROR && first.empty()) first = text;
}

std::string reason(std::string line) {
  while (!line.empty() && line.back() == '\n') line.pop_back();
  const std::size_t name_end = line.find(": ");  // "gguf_init_from_reader: failed ..."
  return detail::one_line(name_end == std::string::npos ? line : line.substr(name_end + 2));
}

std::optional<std::int64_t> integer_at(gguf_type type, const void* data, std::size_t i) {
  const auto get = [&]<typename T>(T) {
    T value;
    std::memcpy(&value, static_cast<const char*>(data) + i * sizeof(T), sizeof(T));
    return static_cast<std::int64_t>(value);
  };
  switch (type) {
    case GGUF_TYPE_UINT8:
      return get(std::uint8_t{});
    case GGUF_TYPE_INT8:
    case GGUF_TYPE_BOOL:
      return get(std::int8_t{});
    case GGUF_TYPE_UINT16:
      return get(std::uint16_t{});
    case GGUF_TYPE_INT16:
      return get(std::int16_t{});
    case GGUF_TYPE_UINT32:
      return get(std::uint32_t{});
    case GGUF_TYPE_INT32:
      return get(std::int32_t{});
    case GGUF_TYPE_UINT64:
      return get(std::uint64_t{});
    case GGUF_TYPE_INT64:
      return get(std::int64_t{});
    default:
      return std::nullopt;
  }
}

}  // namespace

void GgufHeader::Free::operator()(gguf_context* context) const {
  gguf_free(context);
}

GgufHeader::GgufHeader(const std::filesystem::path& path) {
  std::string problem;
  std::error_code failed;
  const std::uintmax_t bytes = std::filesystem::file_size(path, failed);
  if (failed == std::errc::no_such_file_or_directory)
    throw std::runtime_error(path.string() + ": must be a GGUF file, is not there; correct the path");
  if (bytes == 0 && !failed)
    throw std::runtime_error(path.string() + ": must be a GGUF file, is empty; copy or download it anew");
  ggml_log_set(keep_first_error, &problem);
  try {
    context_.reset(gguf_init_from_file(path.c_str(), {true, nullptr}));
  } catch (const std::exception& error) {
    problem = error.what();
  }
  ggml_log_set(nullptr, nullptr);
  if (!context_)
    throw std::runtime_error(path.string() + ": must be a whole GGUF file, is cut off or damaged (" +
                             (problem.empty() ? "its header ends early" : reason(problem)) + "); copy or download it anew");
  std::uint64_t end = 0;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(context_.get()); ++i)
    end = std::max(end, std::uint64_t{gguf_get_tensor_offset(context_.get(), i)} + gguf_get_tensor_size(context_.get(), i));
  const std::uint64_t size = std::filesystem::file_size(path), start = gguf_get_data_offset(context_.get());
  if (end > 0 && (start > size || end > size - start))
    throw std::runtime_error(path.string() + ": must have the " + std::to_string(start + end) +
                             " bytes its header announces, is cut off after " + std::to_string(size) +
                             "; copy or download it anew");
}

std::optional<std::int64_t> GgufHeader::integer(const std::string& key) const {
  const std::int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return std::nullopt;
  const gguf_type type = gguf_get_kv_type(context_.get(), id);
  if (type == GGUF_TYPE_ARRAY || type == GGUF_TYPE_STRING) return std::nullopt;
  return integer_at(type, gguf_get_val_data(context_.get(), id), 0);
}

std::optional<double> GgufHeader::real(const std::string& key) const {
  const std::int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0) return std::nullopt;
  if (gguf_get_kv_type(context_.get(), id) == GGUF_TYPE_FLOAT32) return gguf_get_val_f32(context_.get(), id);
  if (gguf_get_kv_type(context_.get(), id) == GGUF_TYPE_FLOAT64) return gguf_get_val_f64(context_.get(), id);
  return integer(key);
}

std::string GgufHeader::text(const std::string& key) const {
  const std::int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_STRING) return {};
  return detail::one_line(gguf_get_val_str(context_.get(), id));
}

std::vector<std::int64_t> GgufHeader::integers(const std::string& key) const {
  if (const auto one = integer(key)) return {*one};
  std::vector<std::int64_t> out;
  const std::int64_t id = gguf_find_key(context_.get(), key.c_str());
  if (id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_ARRAY) return out;
  const gguf_type type = gguf_get_arr_type(context_.get(), id);
  if (type == GGUF_TYPE_STRING || type == GGUF_TYPE_ARRAY) return out;
  for (std::size_t i = 0; i < gguf_get_arr_n(context_.get(), id); ++i) {
    const auto value = integer_at(type, gguf_get_arr_data(context_.get(), id), i);
    if (!value) return {};
    out.push_back(*value);
  }
  return out;
}

std::size_t GgufHeader::array_length(const std::string& key) const {
  const std::int64_t id = gguf_find_key(context_.get(), key.c_str());
  return id < 0 || gguf_get_kv_type(context_.get(), id) != GGUF_TYPE_ARRAY ? 0 : gguf_get_arr_n(context_.get(), id);
}

std::int64_t GgufHeader::tensors() const {
  return gguf_get_n_tensors(context_.get());
}

std::uint64_t GgufHeader::weights_offset() const {
  return gguf_get_data_offset(context_.get());
}

double GgufHeader::parameters() const {
  double total = 0;
  for (std::int64_t i = 0; i < tensors(); ++i) {
    const ggml_type type = gguf_get_tensor_type(context_.get(), i);
    total += static_cast<double>(gguf_get_tensor_size(context_.get(), i) / ggml_type_size(type)) *
             static_cast<double>(ggml_blck_size(type));
  }
  return total;
}

}  // namespace namm::llama
