// `namm attach` around a program whose model and cache are on an emulated GPU.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/policy_file.hpp"
#include "tests/preload/attached.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/probe_policy.hpp"
#include "tests/support/tiny_model.hpp"

using namespace namm;
using namespace namm::test;

namespace {

/// While it lives, programs find an emulated GPU.
struct WithDevice {
  WithDevice() { setenv("GGML_BACKEND_PATH", NAMM_EMULATED, 1); }
  ~WithDevice() { unsetenv("GGML_BACKEND_PATH"); }
};

const Words kFull = {"--policy", "full"};
const Words kStreaming = {"--policy",         "streaming", "--budget",        "48", "--interval", "64",
                          "--protect-recent", "8",         "--protect-sinks", "2"};

/// The same logits as with the cache in host memory, and others than of another policy.
void decides_on_device(std::shared_ptr<const Policy> policy) {
  PolicyFile file;
  file.policy = std::move(policy);
  const Folder folder;
  save_policy_file(folder / "policy.json", file);
  Words options = kStreaming;
  options[1] = folder / "policy.json";
  const std::string model = model_file();
  const Words actions = {"unified:2", "eval:0:200:1", "logits", "step:0:6:2", "logits"};
  const Outcome in_host = attached(model, actions, options);
  const WithDevice device;
  const Outcome on_device = attached(model, actions, options);
  CHECK(apart(on_device, in_host) < 0.01);
  CHECK(apart(on_device, attached(model, actions, kStreaming)) > 0.01);
}

}  // namespace

TEST_CASE("attached on a device with everything kept, a program computes what it computes alone", "[preload][device]") {
  const WithDevice device;
  const std::string model = model_file();
  const Words actions = {GENERATE("unified:2", "streams:2"),
                         "eval:0:100:1",
                         "logits",
                         "step:0:6:2",
                         "logits",
                         "eval:1:40:3",
                         "logits",
                         "clear",
                         "eval:0:40:3",
                         "logits"};
  CHECK(apart(attached(model, actions, kFull), alone(model, actions)) == 0);
}

TEST_CASE("on a device a program drops what it drops in host memory", "[preload][device]") {
  const std::string model = model_file();
  const Words actions = {
      GENERATE("unified:2", "streams:2"), "eval:0:200:1", "logits", "step:0:6:2", "logits", "cut:0:200", "step:0:3:5", "logits"};
  const Outcome in_host = attached(model, actions, kStreaming);
  const WithDevice device;
  const Outcome on_device = attached(model, actions, kStreaming);
  CHECK(apart(on_device, in_host) < 0.01);
  CHECK(apart(on_device, alone(model, actions)) > 0.01);
}

TEST_CASE("a calibrated policy decides about a device's cache", "[preload][device]") {
  const TinyShape shape;
  std::vector<LayerDescription> cached;
  for (int layer = 0; layer < shape.layers; ++layer) cached.push_back({layer, shape.kv_heads, shape.head_size, shape.head_size});
  decides_on_device(probe_policy(cached, 3, GENERATE(ProbeInput::key, ProbeInput::layer), true));
}

TEST_CASE("a policy that reads the spectrogram of attention decides about a device's cache", "[preload][device]") {
  const std::unique_ptr<Policy> policy = make_policy("namm");
  std::vector<float> weights(policy->parameter_count());
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i) * 0.7f);
  policy->set_parameters(weights);
  decides_on_device(policy->clone());
}

TEST_CASE("a session that was saved on a device goes on where it was", "[preload][device]") {
  const WithDevice device;
  const std::string model = model_file();
  const std::string context = GENERATE("unified:2", "streams:2");
  const Words policy = GENERATE(kFull, kStreaming);
  const Outcome straight = attached(model, {context, "eval:0:200:1", "step:0:6:2", "logits", "step:0:9:3", "logits"}, policy);
  const Outcome saved = attached(
      model, {context, "eval:0:200:1", "save:0", "rm:0", "eval:1:70:5", "load:0", "step:0:6:2", "logits", "step:0:9:3", "logits"},
      policy);
  CAPTURE(saved.err);
  CHECK(apart(saved, straight) < 4e-3);  // rows lie in another order, and add up in F16
  const Folder folder;
  const Outcome to_file = attached(model, {context, "eval:0:200:1", "save_file:0:" + (folder / "session")}, policy);
  REQUIRE(to_file.code == 0);
  const Outcome from_file =
      attached(model, {context, "load_file:0:" + (folder / "session"), "step:0:6:2", "logits", "step:0:9:3", "logits"}, policy);
  CAPTURE(from_file.err);
  CHECK(apart(from_file, straight) < 4e-3);
}

TEST_CASE("a copy in another stream of a device's cache is a sequence of its own", "[preload][device]") {
  const WithDevice device;
  const std::string model = model_file();
  const Words policy = GENERATE(kFull, kStreaming);
  const Outcome straight = attached(model, {"streams:2", "eval:0:200:1", "step:0:6:2", "logits"}, policy);
  const Outcome copied = attached(model, {"streams:2", "eval:0:200:1", "copy:0:1", "rm:0", "step:1:6:1", "logits"}, policy);
  CAPTURE(copied.err);
  CHECK(apart(copied, straight) < 4e-3);  // rows lie in another order, and add up in F16
  CHECK(copied.err.find("must not be copied") == std::string::npos);
}

TEST_CASE("what a program does to a device's cache that cannot be followed is refused", "[preload][device]") {
  const WithDevice device;
  const std::string model = model_file();
  Words narrow = kStreaming;
  narrow.insert(narrow.end(), {"--store", "q8_0"});
  const Outcome store = attached(model, {"eval:0:40:1"}, narrow);
  CHECK(store.out.find("no context") != std::string::npos);
  CHECK_THAT(store.err, Contains("store: must be f16 where the cache is in device memory"));
  const Outcome shift = attached(model, {"eval:0:40:1", "shift:0", "step:0:1:2"}, kFull);
  CHECK(shift.out == "failed -3\n");
}
