#include "adapters/llama_cpp/host/llama_model.hpp"

#include <llama.h>
#include <spdlog/spdlog.h>

#include <array>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "adapters/llama_cpp/gguf_header.hpp"

namespace namm::llama {
namespace {

std::mutex log_mutex;
std::string last_error;
std::vector<std::string> errors;  // since the load that is under way began

/// The first of them says why; those behind it only that it failed.
std::string first_error() {
  const std::lock_guard<std::mutex> lock(log_mutex);
  if (errors.empty()) return "it does not say why (--verbose has what it reports)";
  const std::string& text = errors.front();
  const std::size_t at = text.find("error loading model: ");  // behind the names of its functions
  return at == std::string::npos ? text : text.substr(at + std::string_view("error loading model: ").size());
}

void log(ggml_log_level level, const char* text, void*) {
  std::string line(text);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
  if (line.empty() || line == ".") return;
  if (level == GGML_LOG_LEVEL_ERROR) {
    const std::lock_guard<std::mutex> lock(log_mutex);
    last_error = line;
    constexpr std::size_t kMostErrors = 8;
    if (errors.size() < kMostErrors) errors.push_back(line);
  }
  spdlog::debug("llama.cpp: {}", line);
}

void start_runtime() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(log, nullptr);
    ggml_backend_load_all();
    llama_backend_init();
  });
}

void check_is_gguf(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    throw std::runtime_error("model " + path.string() + ": no such file; give a GGUF file with --model");
  if (!std::filesystem::is_regular_file(path, error))
    throw std::runtime_error("model " + path.string() + ": must be a file, is a folder or device; give a GGUF file");
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4> magic{};
  if (!file) throw std::runtime_error("model " + path.string() + ": cannot be read; check its permissions");
  file.read(magic.data(), magic.size());
  if (file.gcount() == 0)
    throw std::runtime_error("model " + path.string() + ": must be a GGUF file, is empty; copy or download it anew");
  if (file.gcount() != 4 || std::string_view(magic.data(), 4) != "GGUF")
    throw std::runtime_error(
        "model " + path.string() +
        ": must be a GGUF file (first bytes \"GGUF\"), is something else; convert it with llama.cpp's convert_hf_to_gguf.py");
}

/// Ends with null, as llama.cpp wants it; empty for all devices.
std::vector<ggml_backend_dev_t> devices_named(const std::vector<std::string>& names) {
  std::vector<ggml_backend_dev_t> out;
  for (const std::string& name : names) {
    out.push_back(ggml_backend_dev_by_name(name.c_str()));
    if (out.back()) continue;
    std::string known;
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i)
      known.append(known.empty() ? "" : ", ").append(ggml_backend_dev_name(ggml_backend_dev_get(i)));
    throw std::runtime_error("--device: must be devices that llama.cpp has, is \"" + name + "\"; choose from " + known);
  }
  if (!out.empty()) out.push_back(nullptr);
  return out;
}

}  // namespace

std::string last_llama_error() {
  const std::lock_guard<std::mutex> lock(log_mutex);
  return last_error;
}

std::shared_ptr<const LlamaModel> LlamaModel::load(const std::filesystem::path& path, const Offload& offload) {
  check_is_gguf(path);
  start_runtime();
  llama_model_params params = llama_model_default_params();
  if (offload.gpu_layers > 0 && !llama_supports_gpu_offload())
    throw std::runtime_error("--gpu-layers: must be 0 with a llama.cpp built without a GPU backend, is " +
                             std::to_string(offload.gpu_layers) +
                             "; build llama.cpp for the GPU (bash cmake/setup.sh --cuda), or leave it out");
  params.n_gpu_layers = offload.gpu_layers;
  std::vector<ggml_backend_dev_t> devices = devices_named(offload.devices);
  if (!devices.empty()) params.devices = devices.data();
  {
    const std::lock_guard<std::mutex> lock(log_mutex);
    errors.clear();
  }
  llama_model* const model = llama_model_load_from_file(path.c_str(), params);
  if (!model) static_cast<void>(GgufHeader(path));  // where the file is cut off, that is the reason, said as everywhere
  if (!model) throw std::runtime_error("model " + path.string() + ": llama.cpp cannot load it: " + first_error());
  return std::shared_ptr<const LlamaModel>(new LlamaModel(model, path));
}

LlamaModel::LlamaModel(llama_model* model, const std::filesystem::path& path) : model_(model) {
  description_.model = path.filename().string();
  description_.architecture = metadata("general.architecture");
  description_.layers = llama_model_n_layer(model);
  description_.query_heads = llama_model_n_head(model);
  description_.train_context = llama_model_n_ctx_train(model);
  const char* const chat = llama_model_chat_template(model, nullptr);
  knows_chat_template_ = chat == nullptr || is_known_chat_template(chat);
}

bool is_known_chat_template(const std::string& text) {
  const llama_chat_message message{"user", "x"};
  return llama_chat_apply_template(text.c_str(), &message, 1, true, nullptr, 0) > 0;
}

LlamaModel::~LlamaModel() {
  llama_model_free(model_);
}

const llama_vocab* LlamaModel::vocab() const {
  return llama_model_get_vocab(model_);
}

std::string LlamaModel::metadata(const std::string& key) const {
  const int length = llama_model_meta_val_str(model_, key.c_str(), nullptr, 0);
  if (length <= 0) return {};
  std::string value(static_cast<std::size_t>(length) + 1, '\0');
  llama_model_meta_val_str(model_, key.c_str(), value.data(), value.size());
  value.resize(static_cast<std::size_t>(length));
  return value;
}

}  // namespace namm::llama
