#include "core/policy_file.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>

#include "core/policies/network_policy.hpp"
#include "namm/policy.hpp"
#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm;
using nlohmann::json;
using test::Folder;
using test::read;
using test::write;

namespace {

PolicyFile sample() {
  auto policy = std::make_unique<NetworkPolicy>("linear", feature_set("paper"), linear_network());
  std::vector<float> weights(26);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.1f * static_cast<float>(i) - 1.0f;
  policy->set_parameters(weights);
  policy->set_normalisation({std::vector<float>(17, 0.3f), std::vector<float>(17, 0.01f)});
  PolicyFile file;
  file.policy = std::move(policy);
  file.interval_tokens = 128;
  file.spectrogram.decay = 0.95f;
  file.selection.mode = SelectionMode::pooled;
  file.selection.budget = parse_budget("12.5%");
  file.selection.sinks = 2;
  file.selection.recent = 32;
  file.store = parse_row_formats("q8_0,q4_0");
  file.provenance = {{"model", "made up \u00e9 \"quoted\"\n"}, {"generations", 3}};
  return file;
}

/// The one-line message with which a changed file is refused.
std::string refusal(const Folder& folder, const std::function<void(json&)>& change) {
  const std::filesystem::path path = folder.path() / "changed.json";
  save_policy_file(path, sample());
  json content = json::parse(read(path));
  change(content);
  write(path, content.dump());
  try {
    load_policy_file(path);
  } catch (const std::runtime_error& error) {
    const std::string message = error.what();
    CHECK(message.starts_with(path.string() + ": "));
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(path.string().size() + 2);
  }
  return "accepted";
}

}  // namespace

TEST_CASE("A policy file keeps everything") {
  const Folder folder;
  const std::filesystem::path path = folder.path() / "policy.json";
  const PolicyFile file = sample();
  save_policy_file(path, file);
  const PolicyFile back = load_policy_file(path);
  CHECK(back.policy->name() == "linear");
  CHECK(back.policy->parameters() == file.policy->parameters());
  CHECK(dynamic_cast<const NetworkPolicy&>(*back.policy).normalisation() ==
        dynamic_cast<const NetworkPolicy&>(*file.policy).normalisation());
  CHECK(back.interval_tokens == 128);
  CHECK(back.spectrogram == file.spectrogram);
  CHECK(back.selection == file.selection);
  CHECK(back.store == RowFormats{RowFormat::q8_0, RowFormat::q4_0});
  CHECK(back.provenance == file.provenance);
  // a file without it, as all were, is of f16
  json content = json::parse(read(path));
  content.erase("store");
  write(folder.path() / "before.json", content.dump());
  CHECK(load_policy_file(folder.path() / "before.json").store == RowFormats());
  content["store"] = "q8_0+4means";
  write(folder.path() / "means.json", content.dump());
  CHECK(load_policy_file(folder.path() / "means.json").store == RowFormats{RowFormat::q8_0, RowFormat::q8_0, 4});
  // writing it again gives the same bytes
  save_policy_file(folder.path() / "again.json", back);
  CHECK(read(path) == read(folder.path() / "again.json"));
}

TEST_CASE("Weights of every magnitude survive bit for bit") {
  const Folder folder;
  const std::filesystem::path path = folder.path() / "policy.json";
  std::mt19937 random(31);
  for (int round = 0; round < 40; ++round) {
    std::vector<float> weights;
    for (const float special : {0.0f, -0.0f, 1e-45f, -1.17549435e-38f, std::numeric_limits<float>::max(), 0.1f, 1.0f / 3.0f}) {
      weights.push_back(special);
    }
    while (weights.size() < 4172) {
      const float value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
      if (std::isfinite(value)) weights.push_back(value);
    }
    PolicyFile file;
    std::unique_ptr<Policy> policy = make_policy("namm");
    policy->set_parameters(weights);
    file.policy = std::move(policy);
    save_policy_file(path, file);
    const std::vector<float> back = load_policy_file(path).policy->parameters();
    REQUIRE(std::memcmp(back.data(), weights.data(), weights.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("Damaged and foreign files are refused with the field, the rule, the value and a remedy") {
  const Folder folder;
  const auto message = [&](const std::function<void(json&)>& change) { return refusal(folder, change); };
  CHECK(message([](json&) {}) == "accepted");
  CHECK(message([](json& c) { c["format"] = "gguf"; }) ==
        "field format must be \"namm-policy\", is \"gguf\"; is it a policy file?");
  CHECK(message([](json& c) { c.erase("format"); }) == "field format must be \"namm-policy\", is missing; is it a policy file?");
  CHECK(message([](json& c) { c["version"] = 2; }) == "field version must be 1, is 2; use the version of namm that wrote it");
  CHECK(message([](json& c) { c["version"] = "1"; }).starts_with("field version must be a whole number"));
  CHECK(message([](json& c) { c["kind"] = "liner"; }) ==
        "field kind: policy: must be a registered name, is 'liner'; nearest: linear");
  CHECK(message([](json& c) { c["kind"] = 7; }).starts_with("field kind must be text, is 7;"));
  CHECK(message([](json& c) {
          c["policy"]["weights"].push_back(1);
        }).starts_with("field policy.weights must be a list of 26 numbers, is a list of 27;"));
  CHECK(message([](json& c) { c["policy"]["weights"] = json::array(); }).find("is a list of 0;") != std::string::npos);
  CHECK(message([](json& c) {
          c["policy"]["weights"][3] = nullptr;
        }).starts_with("field policy.weights[3] must be a finite number, is null;"));
  CHECK(message([](json& c) { c["policy"]["weights"][3] = "nan"; }).find("is \"nan\";") != std::string::npos);
  CHECK(message([](json& c) { c["policy"]["weights"][3] = 1e39; }).find("must be a finite number") != std::string::npos);
  CHECK(message([](json& c) { c["policy"].erase("weights"); }).starts_with("field policy.weights must be present, is missing;"));
  CHECK(message([](json& c) { c["policy"].erase("normalisation"); }).starts_with("field policy.normalisation must be present"));
  CHECK(message([](json& c) {
          c["policy"]["normalisation"]["variance"][0] = -1;
        }).starts_with("field policy.normalisation.variance must be 0 or more"));
  CHECK(message([](json& c) {
          c["policy"]["normalisation"]["mean"] = json::array({1, 2});
        }).find("list of 17 numbers") != std::string::npos);
  CHECK(message([](json& c) { c["policy"]["features"] = "new"; }).find("paper or extended") != std::string::npos);
  CHECK(message([](json& c) { c["policy"]["temperature"] = 1; }).find("field policy.temperature is unknown") !=
        std::string::npos);
  CHECK(message([](json& c) { c["policy"] = json::array(); }).starts_with("field policy must be a JSON object"));
  CHECK(message([](json& c) { c["extra\nline"] = 1; }).find("is unknown to this version") != std::string::npos);
  CHECK(message([](json& c) { c["spectrogram"]["hop"] = 8; }).starts_with("field spectrogram.hop must be"));
  CHECK(message([](json& c) { c["spectrogram"]["decay"] = 1.5; }).starts_with("field spectrogram.decay must be between 0 and 1"));
  CHECK(message([](json& c) { c["interval_tokens"] = 0; }).starts_with("field interval_tokens must be a whole number"));
  CHECK(message([](json& c) { c["interval_tokens"] = 18446744073709551615u; }).starts_with("field interval_tokens must be"));
  CHECK(message([](json& c) { c["selection"]["budget"] = "2.5"; }).starts_with("field selection: budget: "));
  CHECK(message([](json& c) { c["store"] = "q2_k"; }).starts_with("field store: must be f16, q8_0, q4_0"));
  CHECK(message([](json& c) { c["store"] = 4; }).starts_with("field store must be"));
  CHECK(message([](json& c) { c["selection"]["mode"] = "best"; }).starts_with("field selection: selection mode: "));
  CHECK(message([](json& c) { c["selection"].erase("sinks"); }).starts_with("field selection.sinks must be"));
  CHECK(message([](json& c) { c["provenance"] = 1; }).starts_with("field provenance must be an object"));
  CHECK(message([](json& c) { c = json::array(); }).starts_with("content must be a JSON object, is a list of 0"));
}

TEST_CASE("Any cut of a policy file is refused, and so is what only looks like one") {
  const Folder folder;
  const std::filesystem::path path = folder.path() / "policy.json";
  save_policy_file(path, sample());
  const std::string whole = read(path);
  for (std::size_t length = 0; length + 1 < whole.size(); length += 7) {
    write(path, whole.substr(0, length));
    CHECK_THROWS_AS(load_policy_file(path), std::runtime_error);
  }
  const std::string text_without_weights = whole.substr(0, whole.find("\"weights\""));
  for (const std::string& text :
       {std::string("\0\0\0\0", 4), std::string("GGUF"), std::string(100000, '['), std::string("{\"a\":") + std::string(40, '['),
        std::string("{\"format\": NaN}"), std::string("\xff\xfe{}"), whole + "x", std::string("{\"version\": 1e999}"),
        text_without_weights + "\"weights\": [1e999]}}"}) {
    write(path, text);
    INFO(text.substr(0, 40));
    try {
      load_policy_file(path);
      FAIL("accepted");
    } catch (const std::runtime_error& error) {
      CHECK(std::string(error.what()).starts_with(path.string() + ": "));
      CHECK(std::string(error.what()).find('\n') == std::string::npos);
    }
  }
  {
    std::ofstream big(path, std::ios::binary);
    big << "[0";
    const std::string zeros = [] {
      std::string out;
      for (int i = 0; i < 50000; ++i) out += ",0";
      return out;
    }();
    for (int i = 0; i < 100; ++i) big << zeros;
    big << "]";
  }
  CHECK_THROWS_WITH(load_policy_file(path),
                    path.string() + ": must hold at most 4000000 values, holds more; check that it is the file meant");
  std::filesystem::resize_file(path, (std::uintmax_t{64} << 20) + 1);
  CHECK_THROWS_WITH(load_policy_file(path), path.string() + ": must be at most 64 MiB, is larger; is it a policy file?");
  std::filesystem::create_directory(folder.path() / "empty");
  CHECK_THROWS_WITH(load_policy_file(folder.path() / "empty"),
                    (folder.path() / "empty").string() + ": must be a policy file, is a folder; name a file in it");
  CHECK_THROWS_WITH(load_policy_file(folder.path() / "none.json"),
                    (folder.path() / "none.json").string() + ": could not be read: No such file or directory; check the path");
}

TEST_CASE("Policies are named or are files") {
  const Folder folder;
  CHECK(resolve_policy("h2o").policy->name() == "h2o");
  CHECK(resolve_policy("h2o").interval_tokens == 512);
  const PolicyFile shipped = resolve_policy("default");
  CHECK(shipped.policy->parameter_count() > 0);
  CHECK(shipped.policy->to_json() == load_policy_file(NAMM_SOURCE_DIR "/core/policies/shipped/default.json").policy->to_json());
  save_policy_file(folder.path() / "mine.json", sample());
  save_policy_file(folder.path() / "mine", sample());
  CHECK(resolve_policy((folder.path() / "mine.json").string()).interval_tokens == 128);
  CHECK(resolve_policy((folder.path() / "mine").string()).interval_tokens == 128);
  CHECK_THROWS_AS(resolve_policy((folder.path() / "absent.json").string()), std::runtime_error);
  save_policy_file(folder.path() / "policy.json", sample());
  CHECK(resolve_policy(folder.path().string()).interval_tokens == 128);  // the folder of a run
  CHECK(recorded_policy(folder.path().string()) == (folder.path() / "policy.json").string());
  for (const auto& [typed, ours] :
       {std::pair("SnapKV", "snapkv"), std::pair("H2O", "h2o"), std::pair("StreamingLLM", "streaming"),
        std::pair("h2o_mean", "h2o-mean"), std::pair("Default", "default")}) {
    CAPTURE(typed);
    CHECK(is_policy_name(typed));
    CHECK(recorded_policy(typed) == ours);
    CHECK(resolve_policy(typed).policy->to_json() == resolve_policy(ours).policy->to_json());
  }
  for (const char* text : {"", "h3o", "./h2o", "snapkv.json"}) {
    CAPTURE(text);
    CHECK_FALSE(is_policy_name(text));
    CHECK(recorded_policy(text) == text);
  }
  try {
    resolve_policy("h3o");
    FAIL("accepted");
  } catch (const std::invalid_argument& error) {
    CHECK(std::string(error.what()).find("nearest: h2o") != std::string::npos);
  }
  CHECK_THROWS_AS(save_policy_file(folder.path() / "none.json", PolicyFile{}), std::invalid_argument);
}
