#include <unistd.h>

#include <fstream>
#include <iterator>

#include "calibrate/run.hpp"
#include "calibrate/texts.hpp"
#include "scripted_host.hpp"
#include "tests/check.hpp"

using namespace namm;
using namespace namm::calibrate;

namespace {

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("namm_calibrate_" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
};

Settings settings_in(const std::filesystem::path& folder, std::size_t texts = 6) {
  Settings out;
  out.input = ProbeInput::key;
  out.lengths = {40, 60};
  for (std::size_t i = 0; i < texts; ++i) out.sources.push_back({make_text(1, i, 100), "", ""});
  out.state = folder / "calibration.state";
  out.identity = {{"seed", 1}};
  return out;
}

evolve::HostPool pool_of(int workers) {
  return evolve::HostPool([] { return std::make_unique<scripted::Host>(); }, workers);
}

}  // namespace

TEST_CASE("Calibration finds the read-out that the attention has") {
  const Folder folder;
  evolve::HostPool pool = pool_of(1);
  const Outcome outcome = run(settings_in(folder.path, 12), pool);
  CHECK(outcome.recordings == 12);
  CHECK(outcome.fit.explained > 0.999);  // but for the floor of 1e-3
  CHECK(outcome.fit.by_layer.size() == 2);
  for (const ProbeLayer& layer : outcome.fit.probe->layers())
    for (int head = 0; head < scripted::kHeads; ++head)
      for (Token token : {'a', 'q', ' ', '7'}) {
        const std::vector<float> key = scripted::key_of(layer.layer, head, token);
        const float* const w = layer.weights.data() + head * 4;
        CHECK(w[0] * key[0] + w[1] * key[1] + w[2] * key[2] + w[3] ==
              Approx(scripted::log_attention(layer.layer, head, key)).margin(0.05));
      }
}

TEST_CASE("A quadratic read-out finds what a linear one cannot") {
  const Folder folder;
  const auto explained = [&](ReadOut read_out) {
    evolve::HostPool pool(
        [] {
          auto host = std::make_unique<scripted::Host>();
          host->bend = 1.5f;
          return host;
        },
        1);
    Settings settings = settings_in(folder.path, 12);
    settings.read_out = read_out;
    const ProbeFit::Result fit = run(settings, pool).fit;
    for (const ProbeLayer& layer : fit.probe->layers()) CHECK(layer.scale.empty() == (read_out == ReadOut::linear));
    if (read_out == ReadOut::quadratic) {
      for (Token token : {'a', 'q', ' ', '7'}) {
        const std::vector<float> first = scripted::key_of(1, 0, token), second = scripted::key_of(1, 1, token);
        std::vector<float> keys = first;
        keys.insert(keys.end(), second.begin(), second.end());
        const std::vector<std::int32_t> position = {0};
        std::vector<float> scores(2);
        fit.probe->read({1, scripted::kHeads, scripted::kSize, scripted::kSize, position, keys.data(), keys.data()}, scores);
        CHECK(scores[0] == Approx(scripted::log_attention(1, 0, first, 1.5f)).margin(0.1));
        CHECK(scores[1] == Approx(scripted::log_attention(1, 1, second, 1.5f)).margin(0.1));
      }
    }
    return fit.explained;
  };
  CHECK(explained(ReadOut::quadratic) > 0.99);
  CHECK(explained(ReadOut::linear) < 0.9);
}

TEST_CASE("Any number of workers gives the same probe, bit for bit") {
  const Folder folder;
  evolve::HostPool one = pool_of(1), four = pool_of(4);
  const nlohmann::json first = run(settings_in(folder.path), one).fit.probe->to_json();
  CHECK(run(settings_in(folder.path), four).fit.probe->to_json() == first);
}

TEST_CASE("A calibration that was stopped and resumed gives the same probe, bit for bit") {
  const Folder folder;
  evolve::HostPool pool = pool_of(1);
  const nlohmann::json whole = run(settings_in(folder.path), pool).fit.probe->to_json();
  std::atomic<bool> stop = false;
  const Outcome part = run(
      settings_in(folder.path), pool, [&](std::size_t done, std::size_t) { stop = done == 3; }, &stop);
  CHECK(part.stopped);
  CHECK(part.recordings == 3);
  CHECK(part.fit.probe);
  CHECK(part.fit.probe->to_json() != whole);
  Settings rest = settings_in(folder.path);
  rest.resume = true;
  const Outcome resumed = run(rest, pool);
  CHECK(resumed.recordings == 6);
  CHECK(resumed.tokens < 6 * 200);
  CHECK(resumed.fit.probe->to_json() == whole);
}

TEST_CASE("A run that fails keeps what was recorded") {
  const Folder folder;
  evolve::HostPool pool(
      [] {
        auto host = std::make_unique<scripted::Host>();
        host->fail_at = 5;  // in the third text: context and tail are two calls each
        return host;
      },
      1);
  CHECK_THROWS_WITH(run(settings_in(folder.path), pool), "scripted failure");
  evolve::HostPool healthy = pool_of(1);
  Settings rest = settings_in(folder.path);
  rest.resume = true;
  CHECK(run(rest, healthy).recordings == 6);
}

TEST_CASE("A state that does not belong or is damaged is refused in one line") {
  const Folder folder;
  evolve::HostPool pool = pool_of(1);
  Settings settings = settings_in(folder.path);
  run(settings, pool);
  settings.resume = true;
  Settings other = settings;
  other.identity = {{"seed", 2}};
  CHECK_THROWS_WITH(run(other, pool), Contains("cannot be resumed: it was begun with other settings"));
  other = settings;
  other.input = ProbeInput::layer;
  CHECK_THROWS_WITH(run(other, pool), Contains("cannot be resumed: calibration: must get"));
  other = settings;
  other.read_out = ReadOut::linear;
  CHECK_THROWS_WITH(run(other, pool), Contains("cannot be resumed: calibration: must get scales of 0 numbers, got 6"));
  std::ifstream in(settings.state, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(settings.state, std::ios::binary) << bytes.substr(0, length);
    CHECK_THROWS_WITH(run(settings, pool), Contains("damaged, cannot be resumed"));
  }
  std::filesystem::remove(settings.state);
  CHECK_THROWS_WITH(run(settings, pool), Contains("there is no calibration to resume"));
}
