#include "tests/device/placed_context.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/backend/attach_scope.hpp"
#include "adapters/llama_cpp/context/create.hpp"
#include "tests/support/emulated_device.hpp"

namespace namm::test {
namespace {

void start() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(
        [](ggml_log_level level, const char* text, void*) {
          if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
        },
        nullptr);
    if (on_real_devices())
      ggml_backend_load_all();
    else
      register_emulated_devices(2);
    llama_backend_init();
  });
}

std::vector<ggml_backend_dev_t> test_devices() {
  if (!on_real_devices()) return {emulated_device(0), emulated_device(1)};
  std::vector<ggml_backend_dev_t> out;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i)
    if (ggml_backend_dev_type(ggml_backend_dev_get(i)) == GGML_BACKEND_DEVICE_TYPE_GPU) out.push_back(ggml_backend_dev_get(i));
  if (out.empty()) throw std::runtime_error("NAMM_TEST_GPU: there must be a GPU that llama.cpp knows, is none");
  return out;
}

llama_model* load(const std::filesystem::path& path, const Placement& placement) {
  start();
  std::vector<ggml_backend_dev_t> devices;
  for (const int index : placement.devices) devices.push_back(test_devices().at(static_cast<std::size_t>(index)));
  devices.push_back(nullptr);
  llama_model_params params = llama_model_default_params();
  params.devices = devices.data();
  params.n_gpu_layers = placement.devices.empty() ? 0 : placement.gpu_layers;
  llama_model* const model = llama_model_load_from_file(path.c_str(), params);
  if (!model) throw std::runtime_error("llama.cpp cannot load " + path.string());
  return model;
}

}  // namespace

bool on_real_devices() {
  return std::getenv("NAMM_TEST_GPU") != nullptr;
}

int device_count() {
  start();
  return static_cast<int>(test_devices().size());
}

std::shared_ptr<const llama::LlamaModel> load_on_device(const std::filesystem::path& model, int gpu_layers) {
  start();
  return llama::LlamaModel::load(model,
                                 {gpu_layers, on_real_devices() ? std::vector<std::string>{} : std::vector<std::string>{"EMU0"}});
}

std::int64_t free_memory(int device) {
  std::size_t free = 0, total = 0;
  ggml_backend_dev_memory(test_devices().at(static_cast<std::size_t>(device)), &free, &total);
  return static_cast<std::int64_t>(free);
}

double exactly() {
  return on_real_devices() ? 2e-2 : 0;
}

double nearly(double apart) {
  return on_real_devices() ? std::max(5 * apart, exactly()) : apart;
}

PlacedContext::PlacedContext(const std::filesystem::path& model, const Placement& placement)
    : model_(load(model, placement)), positions_(static_cast<std::size_t>(placement.sequences), 0) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(placement.cells);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(placement.ubatch);
  params.n_seq_max = static_cast<std::uint32_t>(placement.sequences);
  params.kv_unified = placement.unified;
  params.n_threads = params.n_threads_batch = 1;
  params.swa_full = placement.whole_window_cache;
  params.type_k = placement.key_type;
  params.type_v = placement.value_type;
  params.offload_kqv = placement.offload_cache;
  params.cb_eval = placement.callback;
  params.flash_attn_type = placement.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  std::optional<llama::AttachScope> scope;
  if (placement.memory) scope.emplace(*placement.memory);
  try {
    context_ = llama_init_from_model(model_, params);
    if (!context_) throw std::runtime_error("llama.cpp cannot create a context");
    if (scope) store_ = &scope->finish({"tiny", llama::traits_of(model_), llama_model_n_swa(model_)});
  } catch (...) {
    llama_free(context_);
    llama_model_free(model_);
    throw;
  }
}

PlacedContext::~PlacedContext() {
  llama_free(context_);
  llama_model_free(model_);
}

void PlacedContext::decode_and_remove(std::span<const std::int32_t> tokens) {
  const int before = positions_[0];
  std::vector<Step> steps;
  for (const std::int32_t token : tokens) steps.push_back({token, 0});
  decode_steps(context_, store_, positions_, steps, [] {});
  remove(0, before);
}

Logits PlacedContext::decode(std::span<const Step> steps) {
  return decode_steps(context_, store_, positions_, steps, [this] {
    if (store_) store_->batch_done();  // before anything waits for the device
  });
}

Logits PlacedContext::evaluate(std::span<const std::int32_t> tokens, std::size_t chunk, int sequence) {
  return decode_in_chunks(tokens, chunk, sequence, [this](std::span<const Step> steps) { return decode(steps); });
}

bool PlacedContext::remove(int sequence, int from) {
  positions_[static_cast<std::size_t>(sequence)] = from;
  return llama_memory_seq_rm(llama_get_memory(context_), sequence, from, -1);
}

std::vector<std::vector<float>> read_all(PlacedContext& context, std::span<const std::int32_t> tokens) {
  std::vector<std::vector<float>> out;
  for (std::size_t at = 0; at < tokens.size();) {
    const std::size_t chunk = at < 300 ? 100 : at < 312 ? 3 : 1, count = std::min(chunk, tokens.size() - at);
    for (auto& row : context.evaluate(tokens.subspan(at, count), count)) out.push_back(std::move(row));
    at += count;
  }
  return out;
}

double relative_difference(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
  constexpr double kNever = std::numeric_limits<double>::infinity();
  if (a.size() != b.size()) return kNever;
  double difference = 0, scale = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size()) return kNever;
    for (std::size_t j = 0; j < a[i].size(); ++j) {
      if (!std::isfinite(a[i][j]) || !std::isfinite(b[i][j])) return kNever;
      difference = std::max(difference, std::abs(static_cast<double>(a[i][j]) - static_cast<double>(b[i][j])));
      scale = std::max(scale, std::abs(static_cast<double>(b[i][j])));
    }
  }
  return scale > 0 ? difference / scale : kNever;
}

}  // namespace namm::test
