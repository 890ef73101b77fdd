#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "host/host.hpp"

struct llama_model;
struct llama_vocab;

namespace namm::llama {

/// What of a model is on GPUs.
struct Offload {
  int gpu_layers = 0;                ///< layers whose weights go there; 0 = none, 99 is all of most models
  std::vector<std::string> devices;  ///< as llama.cpp names them, CUDA0 for example; empty = all GPUs
};

/// A GGUF model in memory, shared by any number of hosts (one copy of the weights).
class LlamaModel {
 public:
  /// Throws std::runtime_error: subject, rule, value seen, remedy; for example a missing, truncated or foreign file.
  static std::shared_ptr<const LlamaModel> load(const std::filesystem::path& path, const Offload& offload = {});
  ~LlamaModel();
  LlamaModel(const LlamaModel&) = delete;
  LlamaModel& operator=(const LlamaModel&) = delete;

  llama_model* get() const { return model_; }
  const llama_vocab* vocab() const;
  /// Value of a metadata key of the file, or "".
  std::string metadata(const std::string& key) const;
  /// False if it has a chat template that llama.cpp's matcher does not recognise: texts are then put without one.
  bool knows_chat_template() const { return knows_chat_template_; }
  /// Shapes are filled by the host, which sees the cache.
  const HostDescription& description() const { return description_; }

 private:
  explicit LlamaModel(llama_model* model, const std::filesystem::path& path);
  llama_model* model_;
  HostDescription description_;
  bool knows_chat_template_ = true;
};

/// Whether llama.cpp's matcher recognises a chat template.
bool is_known_chat_template(const std::string& text);

/// llama.cpp's own log goes to spdlog's debug level; its newest error is kept for our error lines.
std::string last_llama_error();

}  // namespace namm::llama
