#pragma once
#include <atomic>
#include <filesystem>
#include <memory>

#include "adapters/llama_cpp/host/llama_host.hpp"
#include "adapters/llama_cpp/host/llama_model.hpp"
#include "cli/model_options.hpp"
#include "cli/options.hpp"
#include "host/host_pool.hpp"

namespace namm::cli {

/// --model, --threads, --workers, --context, --gpu-layers, --device.
struct ModelOptions {
  std::filesystem::path model;
  int threads = 1;         ///< per worker
  int workers = 1;         ///< contexts side by side, one copy of the weights
  int context_tokens = 0;  ///< 0 = what the command needs
  llama::CacheHolder holder = llama::CacheHolder::backend;
  int cells = 0;  ///< callback: of the runtime's cache; 0 = the context
  llama::Offload offload{};
  /// LlamaHostSettings::stop: for commands that lose nothing when a text is left unread.
  const std::atomic<bool>* stop = nullptr;
};
/// `needed` false: --model may be left out.
void add_model(po::options_description& options, int default_workers, bool needed = true);
ModelOptions model_from(const po::variables_map& values);
/// --gpu-layers, of which `help` says what goes there, and --device.
void add_offload(po::options_description& options, const char* help);
llama::Offload offload_from(const po::variables_map& values);
/// The model with its layers where they belong. Throws what LlamaModel::load throws.
std::shared_ptr<const llama::LlamaModel> load_model(const ModelOptions& options);
/// What a host of this model gets from the options. `context_tokens` is used unless --context was given.
llama::LlamaHostSettings host_settings(const llama::LlamaModel& model, const ModelOptions& options, int context_tokens);
/// Hosts of one model for a pool. `context_tokens` as for host_settings().
HostFactory host_factory(std::shared_ptr<const llama::LlamaModel> model, const ModelOptions& options, int context_tokens);

/// A chat template that llama.cpp does not recognise cannot be applied: says so, once, and takes it out of the protocol.
void drop_unknown_template(const llama::LlamaModel& model, bool& chat_template);

/// --attachment, --cells: who holds the KV cache, and where.
void add_cache_holder(po::options_description& options);
/// Reads them into `options`. Throws std::invalid_argument if they contradict each other.
void read_cache_holder(const po::variables_map& values, ModelOptions& options);
/// Throws std::invalid_argument if the policy cannot work on such a cache.
void check_cache_holder(const ModelOptions& options, const CachePolicy& memory);
/// The same with the holder alone, for a host that only tokenises.
ModelOptions tokenising(const ModelOptions& options);

}  // namespace namm::cli
