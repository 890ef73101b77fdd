#include "adapters/preload/settings.hpp"

#include <charconv>
#include <cstdlib>
#include <stdexcept>
#include <string_view>

#include "namm/cache_policy.hpp"

namespace namm::preload {
namespace {

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  if (!value)
    throw std::runtime_error(std::string(name) + ": must be set, is not; start the program with 'namm attach ... -- PROGRAM'");
  return value;
}

int number(const char* name) {
  const std::string text = variable(name);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0)
    throw std::runtime_error(std::string(name) + ": must be a number from 0 on, is \"" + text +
                             "\"; start the program with 'namm attach'");
  return value;
}

}  // namespace

Settings settings_from_environment() {
  Settings out;
  out.policy = variable("NAMM_ATTACH_POLICY");
  out.budget = variable("NAMM_ATTACH_BUDGET");
  out.mode = variable("NAMM_ATTACH_MODE");
  out.store = variable("NAMM_ATTACH_STORE");
  out.interval_tokens = number("NAMM_ATTACH_INTERVAL");
  out.sinks = number("NAMM_ATTACH_SINKS");
  out.recent = number("NAMM_ATTACH_RECENT");
  out.stats = variable("NAMM_ATTACH_STATS");
  out.device = number("NAMM_ATTACH_DEVICE") != 0;
  if (out.interval_tokens < 1)
    throw std::runtime_error("NAMM_ATTACH_INTERVAL: must be at least 1, is 0; start the program with 'namm attach'");
  return out;
}

void put_into_environment(const Settings& settings) {
  const auto put = [](const char* name, const std::string& value) { setenv(name, value.c_str(), 1); };
  put("NAMM_ATTACH_POLICY", settings.policy);
  put("NAMM_ATTACH_BUDGET", settings.budget);
  put("NAMM_ATTACH_MODE", settings.mode);
  put("NAMM_ATTACH_STORE", settings.store);
  put("NAMM_ATTACH_INTERVAL", std::to_string(settings.interval_tokens));
  put("NAMM_ATTACH_SINKS", std::to_string(settings.sinks));
  put("NAMM_ATTACH_RECENT", std::to_string(settings.recent));
  put("NAMM_ATTACH_STATS", settings.stats);
  put("NAMM_ATTACH_DEVICE", settings.device ? "1" : "0");
}

CachePolicy make_memory(const Settings& settings) {
  return load_policy(settings.policy)
      .with_budget(settings.budget)
      .with_mode(settings.mode)
      .with_store(settings.store)
      .with_protection(settings.sinks, settings.recent)
      .with_interval(settings.interval_tokens);
}

}  // namespace namm::preload
