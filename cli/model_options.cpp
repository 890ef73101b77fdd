#include "cli/model_options.hpp"

#include <spdlog/spdlog.h>

#include <stdexcept>
#include <string>

#include "adapters/llama_cpp/store/row_holder.hpp"

namespace namm::cli {
namespace {

constexpr int kMostWorkers = 1024;  // each has a context, a cache and threads of its own

}  // namespace

void add_model(po::options_description& options, int default_workers, bool needed) {
  auto* const file = po::value<std::string>()->value_name("FILE");
  options.add_options()("model,m", needed ? file->required() : file, "the model, a GGUF file");
  options.add_options()("threads,t", po::value<int>()->default_value(1)->value_name("N"), "threads of one worker");
  options.add_options()("workers,w", po::value<int>()->default_value(default_workers)->value_name("N"),
                        "prompts evaluated side by side, over one copy of the weights; results do not depend on it");
  options.add_options()("context", po::value<int>()->default_value(0)->value_name("TOKENS"),
                        "longest sequence; 0 = as long as needed");
  add_offload(options,
              "layers whose weights go to the GPU, 99 for all; the KV cache stays in host memory unless --attachment (run, "
              "eval) says otherwise");
}

void add_offload(po::options_description& options, const char* help) {
  options.add_options()("gpu-layers", po::value<int>()->default_value(0)->value_name("N"), help);
  options.add_options()("device", po::value<std::string>()->default_value("")->value_name("NAMES"),
                        "devices of --gpu-layers, with commas (CUDA0,CUDA1); default: all GPUs");
}

llama::Offload offload_from(const po::variables_map& values) {
  llama::Offload out;
  out.gpu_layers = values["gpu-layers"].as<int>();
  require_at_least("--gpu-layers", out.gpu_layers, 0);
  if (const std::string names = values["device"].as<std::string>(); !names.empty()) out.devices = split_list(names, "--device");
  if (!out.devices.empty() && out.gpu_layers == 0)
    throw std::invalid_argument("--device: must be given with --gpu-layers, is given without; for example --gpu-layers 99");
  return out;
}

std::shared_ptr<const llama::LlamaModel> load_model(const ModelOptions& options) {
  return llama::LlamaModel::load(options.model, options.offload);
}

ModelOptions model_from(const po::variables_map& values) {
  ModelOptions out;
  if (values.contains("model")) out.model = values["model"].as<std::string>();
  out.threads = values["threads"].as<int>();
  out.workers = values["workers"].as<int>();
  out.context_tokens = values["context"].as<int>();
  constexpr int kMostThreads = 512;  // llama.cpp's own limit
  require_at_least("--threads", out.threads, 1);
  require_at_most("--threads", out.threads, kMostThreads);
  require_at_least("--workers", out.workers, 1);
  require_at_most("--workers", out.workers, kMostWorkers);
  require_at_least("--context", out.context_tokens, 0);
  out.offload = offload_from(values);
  return out;
}

llama::LlamaHostSettings host_settings(const llama::LlamaModel& model, const ModelOptions& options, int context_tokens) {
  llama::LlamaHostSettings settings;
  settings.context_tokens = options.context_tokens > 0 ? options.context_tokens : context_tokens;
  settings.threads = options.threads;
  settings.holder = options.holder;
  settings.cells = options.cells;
  settings.stop = options.stop;
  const int trained = model.description().train_context;
  if (trained > 0 && settings.context_tokens > trained)
    spdlog::warn(
        "context: {} tokens are more than the {} that {} was trained for; answers may degrade whatever the policy; use shorter "
        "prompts to judge policies",
        settings.context_tokens, trained, model.description().model);
  return settings;
}

HostFactory host_factory(std::shared_ptr<const llama::LlamaModel> model, const ModelOptions& options, int context_tokens) {
  const llama::LlamaHostSettings settings = host_settings(*model, options, context_tokens);
  return [model = std::move(model), settings] { return std::make_unique<llama::LlamaHost>(model, settings); };
}

void drop_unknown_template(const llama::LlamaModel& model, bool& chat_template) {
  if (!chat_template || model.knows_chat_template()) return;
  spdlog::warn("model {}: has a chat template that llama.cpp does not recognise; prompts are put without it, as with --no-chat",
               model.description().model);
  chat_template = false;
}

void add_cache_holder(po::options_description& options) {
  options.add_options()(
      "attachment", po::value<std::string>()->default_value("backend")->value_name("NAME"),
      "who holds the KV cache: backend (we do, in host memory; any budget, freed memory is freed), device (we "
      "do, in the memory of the GPU that all layers are on) or callback (llama.cpp does; uniform budgets, freed "
      "cells are used again)");
  options.add_options()("cells", po::value<int>()->default_value(0)->value_name("N"),
                        "callback: cells of llama.cpp's cache, which need to hold the budget and one interval; 0 = the longest "
                        "sequence");
}

void read_cache_holder(const po::variables_map& values, ModelOptions& options) {
  const std::string name = values["attachment"].as<std::string>();
  if (name == "callback")
    options.holder = llama::CacheHolder::callback;
  else if (name == "device")
    options.holder = llama::CacheHolder::device;
  else if (name != "backend")
    throw std::invalid_argument("--attachment: must be backend, device or callback, is \"" + name + "\"; choose one");
  options.cells = values["cells"].as<int>();
  require_at_least("--cells", options.cells, 0);
  if (options.cells != 0 && options.holder != llama::CacheHolder::callback)
    throw std::invalid_argument("--cells: must be 0 with --attachment " + name + ", which takes what it needs, is " +
                                std::to_string(options.cells) + "; give --attachment callback");
  if (options.holder == llama::CacheHolder::device && options.offload.gpu_layers == 0)
    throw std::invalid_argument("--attachment device: must have the model's layers on a GPU, has none; give --gpu-layers 99");
}

void check_cache_holder(const ModelOptions& options, const CachePolicy& memory) {
  if (options.holder == llama::CacheHolder::callback) llama::CallbackMemory::check(memory);
  if (options.holder != llama::CacheHolder::device) return;
  if (const std::string why = llama::why_not_held_elsewhere(memory); !why.empty()) throw std::invalid_argument(why);
}

ModelOptions tokenising(const ModelOptions& options) {
  ModelOptions out;
  out.holder = options.holder;
  return out;
}

}  // namespace namm::cli
