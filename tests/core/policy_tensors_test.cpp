// The binary form of policy files.
#include "core/policy_tensors.hpp"

#include <cmath>
#include <cstring>

#include "base/safetensors.hpp"
#include "core/policies/key_probe.hpp"
#include "core/policies/network_policy.hpp"
#include "core/policy_file.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm;
using nlohmann::json;
using test::Folder;
using test::read;
using test::write;

namespace {

PolicyFile linear_file() {
  auto policy = std::make_unique<NetworkPolicy>("linear", feature_set("light"), linear_network());
  std::vector<float> weights(policy->parameter_count());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.1f * static_cast<float>(i) - 1.0f;
  policy->set_parameters(weights);
  PolicyFile file;
  file.policy = std::move(policy);
  file.selection.budget = parse_budget("12.5%");
  file.provenance = {{"model", "made up \u00e9 \"quoted\"\n"}, {"history", {0.25, 0.5}}};
  return file;
}

/// A policy of a program's own, whose numbers are no float32.
class Doubles final : public Policy {
 public:
  explicit Doubles(json content) : content_(std::move(content)) {}
  std::string_view name() const override { return "doubles"; }
  StatisticSet required() const override { return {}; }
  void score(const HeadTokens&, std::span<float> scores) const override { std::fill(scores.begin(), scores.end(), 0.0f); }
  std::unique_ptr<Policy> clone() const override { return std::make_unique<Doubles>(*this); }
  json to_json() const override { return content_; }

 private:
  json content_;
};

/// What the reader says to a file of this JSON, with one tensor, `name`, of the numbers.
std::string refusal(const json& content, const std::string& name, std::vector<float> numbers) {
  const Folder folder;
  const std::string path = folder / "policy.safetensors";
  const std::string_view bytes(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(float));
  const std::vector<Tensor> tensors = {{name, sizeof(float), {numbers.size()}, bytes}};
  write(path, safetensors_header({{kPolicyMetadata, content.dump()}}, tensors) + std::string(bytes));
  try {
    load_policy_file(path);
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    CHECK(message.starts_with(path + ": "));
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(path.size() + 2);
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a policy file keeps everything from JSON to tensors and back, whatever its name") {
  const Folder folder;
  save_policy_file(folder / "a.json", linear_file());
  save_policy_file(folder / "a.safetensors", load_policy_file(folder / "a.json"));
  save_policy_file(folder / "back.json", load_policy_file(folder / "a.safetensors"));
  CHECK(read(folder / "back.json") == read(folder / "a.json"));
  save_policy_file(folder / "again.safetensors", load_policy_file(folder / "back.json"));
  CHECK(read(folder / "again.safetensors") == read(folder / "a.safetensors"));
  // read by what is in them
  std::filesystem::rename(folder / "a.json", folder / "text.safetensors");
  std::filesystem::rename(folder / "a.safetensors", folder / "tensors.json");
  for (const char* const name : {"text.safetensors", "tensors.json"})
    CHECK(resolve_policy(folder / name).policy->parameters() == linear_file().policy->parameters());
  // a folder
  std::filesystem::create_directory(folder / "run");
  std::filesystem::rename(folder / "tensors.json", folder / "run/policy.safetensors");
  CHECK(resolve_policy(folder / "run").policy->name() == "linear");
  CHECK(recorded_policy(folder / "run") == folder / "run/policy.safetensors");
  CHECK_THROWS_WITH(load_policy_file(folder / "none.safetensors"),
                    (folder / "none.safetensors") + ": could not be read: No such file or directory; check the path");
}

TEST_CASE("the bytes of a small policy") {
  auto probe = std::make_shared<TokenProbe>(ProbeInput::key, std::vector<ProbeLayer>{{0, 1, 2, 2, {0.1f, -2.0f, 0.5f}, {}, {}}});
  PolicyFile file;
  file.policy = std::make_shared<KeyProbePolicy>(probe, 1.0f);
  file.spectrogram.decay = 0.5f;
  const Folder folder;
  save_policy_file(folder / "small.safetensors", file);
  const std::string header =
      R"({"__metadata__":{"namm-policy":"{\"format\":\"namm-policy\",\"interval_tokens\":512,\"kind\":\"key-probe\",\"policy\":{)"
      R"(\"probe\":{\"input\":\"key\",\"layers\":[{\"key_size\":2,\"kv_heads\":1,\"layer\":0,\"value_size\":2,\"weights\":null}]},)"
      R"(\"recency\":1.0},\"provenance\":{},\"selection\":{\"budget\":\"none\",\"mode\":\"uniform\",\"recent\":16,\"sinks\":4},)"
      R"(\"spectrogram\":{\"decay\":0.5,\"fft_size\":32,\"hop\":16},\"version\":1}"},)"
      R"("policy.probe.layers.0.weights":{"data_offsets":[0,12],"dtype":"F32","shape":[3]}})";
  const std::string bytes = read(folder / "small.safetensors");
  REQUIRE(bytes.size() > 20);
  CHECK(bytes.substr(8, header.size()) == header);
  CHECK(bytes.substr(bytes.size() - 12) == std::string("\xcd\xcc\xcc\x3d\0\0\0\xc0\0\0\0\x3f", 12));
  CHECK((bytes.size() - 12) % 8 == 0);
}

TEST_CASE("lists that are no float32 are F64, and a program's own policy reads the JSON that it wrote") {
  const json content = {{"narrow", {0.5, -0.0, 3.0}},
                        {"wide", {0.1, 1e300, -1e-320}},
                        {"whole", {1, 2}},
                        {"mixed", {1, 0.5}},
                        {"empty", json::array()},
                        {"nothing", nullptr},
                        {"with.dot", {0.5}},
                        {"deep", {{{"a", {0.1f, 0.2f}}}, {0.25, 0.75}}}};
  register_policy({"doubles", "for tests", [](const json& settings) { return std::make_unique<Doubles>(settings); }});
  PolicyFile file;
  file.policy = std::make_shared<Doubles>(content);
  const Folder folder;
  save_policy_file(folder / "own.safetensors", file);
  const json back = load_policy_file(folder / "own.safetensors").policy->to_json();
  CHECK(back == content);
  CHECK(back.dump() == content.dump());  // -0.0, and 1 beside 1.0
  const std::string bytes = read(folder / "own.safetensors");
  std::string seen;
  for (const Tensor& tensor : read_safetensors(bytes).tensors)
    seen += tensor.name + (tensor.number_bytes == 4 ? " F32, " : " F64, ");
  CHECK(seen == "policy.deep.0.a F64, policy.wide F64, policy.deep.1 F32, policy.narrow F32, ");
  file.policy = std::make_shared<Doubles>(json{{"wrong", {0.5, NAN}}});
  CHECK_THROWS_WITH(save_policy_file(folder / "nan.safetensors", file),
                    "policy.wrong: must be finite numbers to be saved, has one that is not");
  CHECK(folder.names() == std::vector<std::string>{"own.safetensors"});
}

TEST_CASE("tensors that are not the policy's are refused, in the words of the JSON form where it is the policy that is wrong") {
  const Folder folder;
  save_policy_file(folder / "policy.json", linear_file());
  const json whole = json::parse(read(folder / "policy.json"));
  const std::size_t count = whole["policy"]["weights"].size();
  json content = whole;
  content["policy"]["weights"] = nullptr;
  const std::vector<float> right(count, 0.5f);
  CHECK(refusal(content, "policy.weights", right) == "accepted");
  CHECK(refusal(content, "policy.weights", std::vector<float>(count + 1)) ==
        "field policy.weights must be a list of " + std::to_string(count) + " numbers, is a list of " +
            std::to_string(count + 1) + "; correct it or write the file anew");
  CHECK(refusal(content, "policy.weights", {}).find("is a list of 0;") != std::string::npos);
  const std::string misplaced = " must be named like a null of the policy's JSON, is not; copy or write the file anew";
  for (const char* const name : {"policy.bias", "policy", "weights", "provenance", "policy.weights.0", "policy..weights", ""})
    CHECK(refusal(content, name, right) == "tensor " + std::string(name) + misplaced);
  CHECK(refusal(whole, "policy.weights", right) == "tensor policy.weights" + misplaced);  // a list there already
  content = whole;
  content["policy"]["features"] = nullptr;
  CHECK(refusal(content, "policy.features", right).starts_with("field policy.features must be text, is a list of"));
  content = whole;
  content["policy"]["normalisation"] = nullptr;
  CHECK(refusal(content, "policy.normalisation", right)
            .starts_with("field policy.normalisation must be a JSON object, is a list of"));
  content = whole;
  content["policy"] = nullptr;
  CHECK(refusal(content, "policy", right) == "tensor policy" + misplaced);
  CHECK(refusal(json::array(), "policy.weights", right) == "tensor policy.weights" + misplaced);
  content = whole;
  content["policy"]["weights"] = nullptr;
  content["version"] = 2;
  CHECK(refusal(content, "policy.weights", right) == "field version must be 1, is 2; use the version of namm that wrote it");
}

TEST_CASE("the metadata of a policy is checked like a policy file") {
  const Folder folder;
  const std::string path = folder / "policy.safetensors";
  const auto message = [&](const std::map<std::string, std::string>& metadata) {
    write(path, safetensors_header(metadata, {}));
    try {
      load_policy_file(path);
    } catch (const std::runtime_error& error) {
      return std::string(error.what()).substr(path.size() + 2);
    }
    return std::string("accepted");
  };
  CHECK(message({{"format", "pt"}}) ==
        "__metadata__ must have \"namm-policy\" to be a policy file, has none; is it the weights of a model?");
  CHECK(message({{kPolicyMetadata, "{"}}) ==
        "__metadata__.namm-policy must be JSON, is cut off after 1 byte; copy or write the file anew");
  CHECK(message({{kPolicyMetadata, R"({"kind":"h2o","kind":"namm"})"}}) ==
        "__metadata__.namm-policy must have every name once, has \"kind\" twice; copy or write the file anew");
  CHECK(message({{kPolicyMetadata, "{}"}}) == "field format must be \"namm-policy\", is missing; is it a policy file?");
  PolicyFile plain;
  plain.policy = make_policy("h2o");
  save_policy_file(path, plain);
  CHECK(load_policy_file(path).policy->name() == "h2o");
}

TEST_CASE("doubles of a file are the nearest float32, and refused beyond") {
  const auto network = std::make_unique<NetworkPolicy>("linear", feature_set("light"), linear_network());
  const std::size_t count = network->parameter_count();
  json content = json::parse(R"({"format":"namm-policy","version":1,"kind":"linear","interval_tokens":512,
    "selection":{"mode":"uniform","budget":"25%","sinks":4,"recent":16},"spectrogram":{"fft_size":32,"hop":16,"decay":0.99}})");
  content["policy"] = network->to_json();
  content["policy"]["weights"] = nullptr;
  const Folder folder;
  const std::string path = folder / "policy.safetensors";
  const auto load = [&](double value) {
    const std::vector<double> weights(count, value);
    const std::string_view bytes(reinterpret_cast<const char*>(weights.data()), count * sizeof(double));
    write(path,
          safetensors_header({{kPolicyMetadata, content.dump()}}, std::vector<Tensor>{{"policy.weights", 8, {count}, bytes}}) +
              std::string(bytes));
    return load_policy_file(path).policy->parameters();
  };
  CHECK(load(0.1) == std::vector<float>(count, 0.1f));
  CHECK_THROWS_WITH(load(1e39),
                    path + ": field policy.weights[0] must be a finite number, is 1e+39; correct it or write the file anew");
}

TEST_CASE("what would be too large to be read is not written") {
  std::vector<ProbeLayer> layers;  // 3.1 million numbers: too many for JSON, 12.4 MB as tensors
  for (int i = 0; i < 62; ++i) layers.push_back({i, 1, 49'999, 1, std::vector<float>(50'000, -1.2345678e-20f), {}, {}});
  PolicyFile file;
  file.policy = std::make_shared<KeyProbePolicy>(std::make_shared<TokenProbe>(ProbeInput::key, std::move(layers)), 0.0f);
  const Folder folder;
  CHECK_THROWS_WITH(save_policy_file(folder / "large.json", file),
                    Catch::Matchers::Contains("large.json: must be at most 64 MiB to be read again, would be") &&
                        Catch::Matchers::Contains("; a name that ends in .safetensors takes about a quarter of that"));
  CHECK(folder.names().empty());
  save_policy_file(folder / "large.safetensors", file);
  CHECK(std::filesystem::file_size(folder / "large.safetensors") < 12'420'000);
  const auto back = std::dynamic_pointer_cast<const KeyProbePolicy>(load_policy_file(folder / "large.safetensors").policy);
  REQUIRE(back);
  CHECK(back->probe()->layers().back().weights == std::vector<float>(50'000, -1.2345678e-20f));
}
