#include "cli/attachment.hpp"

#include <stdexcept>

namespace namm::cli {

void add_attachment(po::options_description& options) {
  options.add_options()("attachment", po::value<std::string>()->default_value("backend")->value_name("NAME"),
                        "who holds the KV cache: backend (we do, in host memory; any budget, freed memory is freed) or callback "
                        "(llama.cpp does, also on a GPU; uniform budgets, freed cells are used again)");
  options.add_options()("cells", po::value<int>()->default_value(0)->value_name("N"),
                        "callback: cells of llama.cpp's cache, which need to hold the budget and one interval; 0 = the longest "
                        "sequence");
  options.add_options()("gpu-layers", po::value<int>()->default_value(0)->value_name("N"),
                        "callback: layers whose weights and cache go to the GPU");
}

void read_attachment(const po::variables_map& values, ModelOptions& options) {
  const std::string name = values["attachment"].as<std::string>();
  if (name != "backend" && name != "callback")
    throw std::invalid_argument("--attachment: must be backend or callback, is \"" + name + "\"; choose one");
  options.holder = name == "callback" ? llama::CacheHolder::callback : llama::CacheHolder::backend;
  options.cells = values["cells"].as<int>();
  options.gpu_layers = values["gpu-layers"].as<int>();
  require_at_least("--cells", options.cells, 0);
  require_at_least("--gpu-layers", options.gpu_layers, 0);
  if (options.holder == llama::CacheHolder::callback) return;
  for (const char* const only : {"cells", "gpu-layers"})
    if (values[only].as<int>() != 0)
      throw std::invalid_argument(std::string("--") + only +
                                  ": must be 0 with --attachment backend, which holds the cache in host "
                                  "memory, is " +
                                  std::to_string(values[only].as<int>()) + "; give --attachment callback");
}

void check_attachment(const ModelOptions& options, const CachePolicy& memory) {
  if (options.holder == llama::CacheHolder::callback) llama::CallbackMemory::check(memory);
}

ModelOptions tokenising(const ModelOptions& options) {
  ModelOptions out;
  out.holder = options.holder;
  return out;
}

}  // namespace namm::cli
