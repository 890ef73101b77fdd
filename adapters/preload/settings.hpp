#pragma once
#include <string>

#include "host/host.hpp"

namespace namm::preload {

/// What `namm attach` tells the module, through the environment of the program.
struct Settings {
  std::string policy;  ///< a name or the absolute path of a policy file
  std::string budget, mode, store = "f16";
  int interval_tokens = 0, sinks = 0, recent = 0;
  bool device = false;  ///< the policy can be attached to a cache in device memory
  std::string stats;    ///< file that gets one JSON object per request; empty: none
};

/// NAMM_ATTACH_POLICY, _BUDGET, _MODE, _STORE, _INTERVAL, _SINKS, _RECENT, _STATS, _DEVICE. Throws std::runtime_error if one is
/// missing or wrong.
Settings settings_from_environment();
void put_into_environment(const Settings& settings);
/// The policy with these settings. Throws what resolve_policy throws.
CachePolicy make_memory(const Settings& settings);

}  // namespace namm::preload
