#include "core/policy_file.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>

#include "base/atomic_file.hpp"
#include "base/json_fields.hpp"
#include "base/json_limits.hpp"
#include "base/named_pipe.hpp"
#include "base/nearest_names.hpp"
#include "base/safetensors.hpp"
#include "core/policies/make.hpp"
#include "core/policies/network_policy.hpp"
#include "core/policy_tensors.hpp"
#include "namm/policy.hpp"
#include "shipped.hpp"

namespace namm {
namespace {

using detail::JsonFields;
using nlohmann::json;

constexpr std::string_view kFormat = "namm-policy";
constexpr int kVersion = 1;
static_assert(kMostPolicyNumbers + kMostPolicyNumbers / 8 < detail::kMostJsonValues);  // an eighth for what is no weight

std::string read_file(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) throw std::runtime_error("must be a policy file, is a folder; name a file in it");
  if (is_named_pipe(path)) throw std::runtime_error("must be a policy file, is a FIFO; give a file");
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw std::runtime_error("could not be read: " + std::generic_category().message(errno) + "; check the path");
  std::string text;
  char buffer[1 << 16];
  for (std::size_t count = 0; (count = std::fread(buffer, 1, sizeof buffer, file.get())) > 0;) {
    text.append(buffer, count);
    if (text.size() > kLargestPolicyFile) throw std::runtime_error("must be at most 64 MiB, is larger; is it a policy file?");
  }
  if (std::ferror(file.get()) != 0) throw std::runtime_error("could not be read: " + std::generic_category().message(errno));
  return text;
}

SpectrogramSettings read_spectrogram(const JsonFields& fields) {
  fields.allow_only({"fft_size", "hop", "decay"});
  SpectrogramSettings out;
  out.fft_size = static_cast<int>(fields.integer("fft_size", 2 * kHop, 2 * kHop));
  out.hop = static_cast<int>(fields.integer("hop", kHop, kHop));
  out.decay = fields.number("decay");
  if (!(out.decay > 0.0f && out.decay < 1.0f)) fields.refuse("decay", "between 0 and 1");
  return out;
}

SelectionSettings read_selection(const JsonFields& fields) {
  fields.allow_only({"mode", "budget", "sinks", "recent"});
  SelectionSettings out;
  try {
    out.mode = parse_selection_mode(fields.text("mode"));
    out.budget = parse_budget(fields.text("budget"));
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error("field selection: " + std::string(error.what()));
  }
  out.sinks = static_cast<int>(fields.integer("sinks", 0, 1 << 20));
  out.recent = static_cast<int>(fields.integer("recent", 0, 1 << 20));
  return out;
}

std::shared_ptr<const Policy> read_policy(const JsonFields& fields) {
  const std::string kind = fields.text("kind");
  const JsonFields part = fields.object("policy");
  std::shared_ptr<const Policy> policy;
  try {
    policy = takes_packed_numbers(kind) ? make_policy(kind, fields.need("policy"))
                                        : make_policy(kind, detail::with_lists(fields.need("policy")));
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error("field kind: " + std::string(error.what()));
  }
  if (dynamic_cast<const NetworkPolicy*>(policy.get()) != nullptr) {
    // make_policy gives zeros where a field is absent; a file without them is damaged
    for (const char* name : {"features", "normalisation", "weights"}) part.need(name);
  }
  return policy;
}

PolicyFile read_policy_file(const std::string& bytes) {
  const json content = is_safetensors(bytes) ? unpack_policy(bytes) : detail::parse_json(bytes);
  const JsonFields fields(content, "");
  if (!fields.has("format") || fields.text("format") != kFormat)
    fields.refuse("format", "\"namm-policy\"", "is it a policy file?");
  if (fields.integer("version", 0, 1 << 30) != kVersion) {
    fields.refuse("version", std::to_string(kVersion), "use the version of namm that wrote it");
  }
  fields.allow_only(
      {"format", "version", "kind", "spectrogram", "interval_tokens", "selection", "store", "policy", "provenance"});
  PolicyFile file;
  file.spectrogram = read_spectrogram(fields.object("spectrogram"));
  file.interval_tokens = static_cast<int>(fields.integer("interval_tokens", 1, 1 << 24));
  file.selection = read_selection(fields.object("selection"));
  try {
    if (fields.has("store")) file.store = parse_row_formats(fields.text("store"));
  } catch (const std::invalid_argument& error) {
    throw std::runtime_error("field " + std::string(error.what()));
  }
  file.policy = read_policy(fields);
  if (fields.has("provenance")) {
    if (!fields.need("provenance").is_object()) fields.refuse("provenance", "an object");
    file.provenance = fields.need("provenance");
  }
  return file;
}

}  // namespace

PolicyFile load_policy_file(const std::filesystem::path& file_or_folder) {
  const std::filesystem::path path = policy_file_in(file_or_folder);
  try {
    return read_policy_file(read_file(path));
  } catch (const json::exception& error) {
    throw std::runtime_error(path.string() + ": must be JSON: " + detail::one_line(error.what()));
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(path.string() + ": " + detail::one_line(error.what()));
  }
}

void save_policy_file(const std::filesystem::path& path, const PolicyFile& file) {
  if (!file.policy) throw std::invalid_argument("policy file " + path.string() + ": must have a policy, has none");
  json content;
  content["format"] = kFormat;
  content["version"] = kVersion;
  content["kind"] = file.policy->name();
  content["spectrogram"] = {{"fft_size", file.spectrogram.fft_size},
                            {"hop", file.spectrogram.hop},
                            {"decay", detail::number_of(file.spectrogram.decay)}};
  content["interval_tokens"] = file.interval_tokens;
  content["selection"] = {{"mode", to_string(file.selection.mode)},
                          {"budget", to_string(file.selection.budget)},
                          {"sinks", file.selection.sinks},
                          {"recent", file.selection.recent}};
  if (file.store != RowFormats()) content["store"] = to_string(file.store);
  content["policy"] = file.policy->to_json();
  content["provenance"] = file.provenance;
  const bool binary = path.extension() == kBinaryPolicyEnding;
  const std::string bytes =
      binary ? pack_policy(std::move(content)) : content.dump(1, ' ', false, json::error_handler_t::replace) + "\n";
  if (bytes.size() > kLargestPolicyFile)
    throw std::runtime_error(path.string() + ": must be at most 64 MiB to be read again, would be " +
                             std::to_string(bytes.size()) + " bytes" +
                             (binary ? "" : "; a name that ends in .safetensors takes about a quarter of that"));
  write_file_atomically(path, bytes);
}

PolicyFile resolve_policy(const std::string& name_or_path) {
  if (is_policy_name(name_or_path)) {
    const std::string name = recorded_policy(name_or_path);
    if (name == kDefaultPolicyName) return read_policy_file(std::string(kDefaultPolicy));
    PolicyFile file;
    file.policy = make_policy(name);
    return file;
  }
  if (names_policy_file(name_or_path)) return load_policy_file(name_or_path);
  if (!probable_name(name_or_path, std::array{std::string_view(kDefaultPolicyName)}).empty())  // not in the registry
    throw std::invalid_argument("policy: must be a registered name, is '" + name_or_path.substr(0, 40) +
                                "'; nearest: " + std::string(kDefaultPolicyName));
  try {
    make_policy(name_or_path);  // throws, with the nearest names
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(
        std::string(error.what()) +
        "; `default` is the policy that comes with the program; a policy file ends in .json or .safetensors, or exists");
  }
  return {};
}

}  // namespace namm
