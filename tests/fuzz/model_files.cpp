// What comes with a model: its header, policies, calibrations in progress.
#include <fstream>

#include "adapters/llama_cpp/model_facts.hpp"
#include "base/crc32c.hpp"
#include "calibrate/state_file.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"
#include "tests/calibrate/scripted_host.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/support/tiny_model.hpp"

namespace namm::fuzz {
namespace {

void read_gguf(const std::filesystem::path& file) {
  llama::model_facts(file).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);  // as inspect prints it
}

void write_ggufs(const std::filesystem::path& folder) {
  for (const char* architecture : {"llama", "gemma2", "jamba"}) {
    test::TinyShape shape;
    shape.architecture = architecture;
    shape.layers = 2;
    shape.query_heads = 2;
    shape.kv_heads = 1;
    shape.head_size = shape.feed_forward = shape.vocabulary = 8;
    std::filesystem::copy_file(test::write_tiny_model(shape), folder / architecture);
  }
}

void read_policy(const std::filesystem::path& file) {
  const PolicyFile policy = load_policy_file(file);
  require_valid(policy);
  // what it scores: a head of no tokens
  policy.policy->score({}, {});
}

void write_policies(const std::filesystem::path& folder) {
  for (const char* name : {"default", "h2o", "snapkv", "random", "namm", "namm-mlp"})
    save_policy_file(folder / name, resolve_policy(name));
}

/// The same, in binary form; a probe among them, whose tensors lie deep.
void write_tensors(const std::filesystem::path& folder) {
  const std::filesystem::path named = folder / "named.safetensors";
  const auto write = [&](const PolicyFile& file, const char* name) {
    save_policy_file(named, file);  // the form follows the name
    std::filesystem::rename(named, folder / name);
  };
  for (const char* name : {"default", "h2o", "namm-mlp"}) write(resolve_policy(name), name);
  PolicyFile probe;
  const SquareScale scale{{0, 0, 0, 0}, {1, 1, 1, 1}};
  probe.policy = std::make_shared<KeyProbePolicy>(
      std::make_shared<TokenProbe>(ProbeInput::layer, std::vector<ProbeLayer>{{0, 1, 2, 2, {1, 2, 3, 4, 5}, scale, {1, 2, 3, 4}},
                                                                              {2, 1, 1, 1, {1, 2, 3}}}),
      1.0f, std::vector<float>{0.5f, 0.25f});
  write(probe, "probe");
}

/// The length is that of the header's object and the blanks behind it, whatever became of it.
std::string repair_tensors(std::string content) {
  constexpr std::size_t first = sizeof(std::uint64_t);
  std::size_t at = first, depth = 0;
  bool quoted = false;
  for (; at < content.size(); ++at) {
    const char c = content[at];
    if (quoted && c == '\\')
      ++at;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && c == '{')
      ++depth;
    else if (!quoted && c == '}' && --depth == 0)
      break;
  }
  if (at >= content.size()) return content;
  for (++at; at % first != 0 && at < content.size() && content[at] == ' ';) ++at;
  const std::uint64_t right = at - first;
  return content.replace(0, first, reinterpret_cast<const char*>(&right), first);
}

calibrate::ProbeSettings small_probe() {
  return {ProbeInput::key, calibrate::ReadOut::linear, 1};
}
constexpr std::size_t kMostRecordings = 4;

void read_calibration(const std::filesystem::path& file) {
  calibrate::ProbeFit fit(small_probe(), scripted::Host().description());
  calibrate::load_state(file, {{"seed", 1}}, kMostRecordings, fit);
  fit.fit();
}

void write_calibration(const std::filesystem::path& folder) {
  scripted::Host host;
  calibrate::ProbeFit fit(small_probe(), host.description());
  for (std::size_t i = 0; i < 2; ++i) {
    const auto recorder =
        std::make_shared<calibrate::Recorder>(ProbeInput::key, 30, std::vector<calibrate::PositionRange>{{30, 60}});
    CachePolicy memory;
    memory.observer = recorder;
    host.reset(memory);
    host.evaluate(host.tokenize("thirty characters of a context thirty characters of a context", false));
    fit.add(*recorder, i);
  }
  calibrate::save_state(folder / "two", {{"seed", 1}}, fit);
}

std::string repair_calibration(std::string content) {
  constexpr std::size_t sums = 2 * sizeof(std::uint32_t);
  const std::size_t line = content.find('\n') + 1;
  if (line == 0 || content.size() < line + sums) return content;
  const auto bytes = std::as_bytes(std::span(content));
  const std::uint32_t right[] = {crc32c(bytes.first(line)), crc32c(bytes.subspan(line, content.size() - line - sums))};
  return content.replace(content.size() - sums, sums, reinterpret_cast<const char*>(right), sums);
}

}  // namespace

Target gguf_target() {
  return {"gguf", read_gguf, write_ggufs};
}
Target policy_target() {
  return {"policy", read_policy, write_policies};
}
Target tensors_target() {
  return {"policy-tensors", read_policy, write_tensors, repair_tensors};
}
Target calibration_target() {
  return {"calibration", read_calibration, write_calibration, repair_calibration};
}

}  // namespace namm::fuzz
