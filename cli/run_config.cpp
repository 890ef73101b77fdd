#include "cli/run_config.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/json_limits.hpp"
#include "base/nearest_names.hpp"
#include "namm/policy.hpp"

namespace namm::cli {
namespace {

constexpr std::uintmax_t kMostBytes = 1 << 20;

[[noreturn]] void refuse(const RunConfig& config, const std::string& name, const std::string& why) {
  throw std::invalid_argument("config " + config.path.string() + ": \"" + detail::one_line(name) + "\" " + why);
}

bool is_switch(const po::option_description& option) {
  return option.semantic()->max_tokens() == 0;
}

/// The words that would stand behind the option.
std::vector<std::string> words_of(const RunConfig& config, const std::string& name, const nlohmann::json& value) {
  const auto word = [&](const nlohmann::json& one) -> std::string {
    if (one.is_string()) {
      const std::string& text = one.get_ref<const std::string&>();
      if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }))
        refuse(config, name, "must be visible text, has a control character in it; remove it");  // errors show it
      return text;
    }
    if (one.is_number()) return one.dump();
    refuse(config, name, "must be a text, a number or a list of these, is " + one.dump().substr(0, 60) + "; see --help");
  };
  if (!value.is_array()) return {word(value)};
  std::string list;
  for (const nlohmann::json& one : value) list.append(list.empty() ? "" : ",").append(word(one));
  return {list};
}

void check_names(const RunConfig& config, const nlohmann::json& object, const po::options_description& options,
                 std::span<const std::string_view> refused) {
  // whole names: Boost would take short ones, too, and finds "" in every option without one
  std::vector<std::string_view> names;
  for (const auto& option : options.options())
    if (const std::string& name = option->long_name(); name != "config" && name != "help" && name != "help-all")
      names.push_back(name);
  for (const auto& [name, value] : object.items()) {
    if (std::find(refused.begin(), refused.end(), name) != refused.end())
      refuse(config, name, "must not be in a stage, is; it holds for the whole run: put it outside \"stages\"");
    if (std::find(names.begin(), names.end(), name) == names.end())
      refuse(config, name, "must be an option of the command, is not; nearest: " + nearest_names(name, names, 1).front());
  }
}

}  // namespace

RunConfig load_run_config(const std::filesystem::path& path, const po::options_description& options,
                          std::span<const std::string_view> of_process) {
  RunConfig config;
  config.path = path;
  const std::string subject = "config " + path.string() + ": ";
  std::error_code failed;
  const auto bytes = std::filesystem::file_size(path, failed);
  if (failed) throw std::runtime_error(subject + "must be a readable file (" + failed.message() + "); check its name");
  if (bytes > kMostBytes) throw std::runtime_error(subject + "must be below 1 MiB, is larger; it is something else");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(subject + "must be a readable file; check its permissions");
  nlohmann::json json;
  try {
    json = detail::parse_json(std::string(std::istreambuf_iterator<char>(in), {}));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(subject + error.what());
  }
  if (!json.is_object()) throw std::runtime_error(subject + "must be a JSON object, is not; for example {\"model\": \"a.gguf\"}");
  if (json.contains(kRuntimeField))
    throw std::invalid_argument(subject + "must be of a run of the program, is of one in Python (" +
                                json[kRuntimeField].dump().substr(0, 80) + "); go on there: namm.evolve(..., resume=True)");
  if (json.contains(kIsaField)) {
    const nlohmann::json& isa = json[kIsaField];
    if (!isa.is_string())
      refuse(config, kIsaField, "must be the name of an instruction set, is " + isa.dump().substr(0, 60) + "; remove it");
    config.isa = isa.get<std::string>();
    json.erase(kIsaField);
  }
  if (json.contains("stages")) {
    const nlohmann::json& stages = json["stages"];
    const bool good = stages.is_array() && !stages.empty() &&
                      std::all_of(stages.begin(), stages.end(), [](const nlohmann::json& stage) { return stage.is_object(); });
    if (!good) refuse(config, "stages", "must be a list of at least one object, is " + stages.dump().substr(0, 60));
    config.stages.assign(stages.begin(), stages.end());
    config.staged = true;
    json.erase("stages");
  } else {
    config.stages.push_back(nlohmann::json::object());
  }
  check_names(config, json, options, {});
  for (const nlohmann::json& stage : config.stages) check_names(config, stage, options, of_process);
  config.common = std::move(json);
  return config;
}

void apply_run_config(const RunConfig& config, std::size_t stage, const po::options_description& options,
                      po::variables_map& values) {
  const nlohmann::json& own = config.stages.at(stage);
  for (const nlohmann::json* object : {&own, &config.common}) {
    po::parsed_options parsed(&options);
    for (const auto& [name, value] : object->items()) {
      if (object != &own && own.contains(name)) continue;  // a switch that the stage puts off leaves nothing stored
      if (is_switch(options.find(name, false))) {
        if (!value.is_boolean()) refuse(config, name, "must be true or false, is " + value.dump().substr(0, 60));
        if (value.get<bool>()) parsed.options.emplace_back(name, std::vector<std::string>{});
      } else {
        parsed.options.emplace_back(name, words_of(config, name, value));
      }
      if (!parsed.options.empty()) parsed.options.back().original_tokens = {name};
    }
    po::store(parsed, values);  // what is stored already stays
  }
}

nlohmann::json run_config_of(const po::variables_map& values, const po::options_description& options,
                             std::span<const std::string_view> without) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& option : options.options()) {
    const std::string& name = option->long_name();
    if (std::find(without.begin(), without.end(), name) != without.end()) continue;
    if (is_switch(*option)) {
      out[name] = values.contains(name);
      continue;
    }
    if (!values.contains(name)) continue;
    const boost::any& value = values[name].value();
    if (const auto* text = boost::any_cast<std::string>(&value)) out[name] = *text;
    if (const auto* number = boost::any_cast<int>(&value)) out[name] = *number;
    if (const auto* number = boost::any_cast<std::int64_t>(&value)) out[name] = *number;
    if (const auto* number = boost::any_cast<std::uint64_t>(&value)) out[name] = *number;
    if (const auto* number = boost::any_cast<double>(&value)) out[name] = *number;
    if (const auto* number = boost::any_cast<float>(&value)) out[name] = *number;
    if (!out.contains(name)) throw std::logic_error("option --" + name + ": is of a type that a run file cannot hold");
  }
  return out;
}

}  // namespace namm::cli
