#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>

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
  out.probe.input = ProbeInput::key;
  out.probe.value_weight = 0;
  out.lengths = {40, 60};
  for (std::size_t i = 0; i < texts; ++i) out.sources.push_back({make_text(1, i, 100), "", ""});
  out.state = folder / "calibration.state";
  out.identity = {{"seed", 1}};
  return out;
}

HostPool pool_of(int workers) {
  return HostPool([] { return std::make_unique<scripted::Host>(); }, workers);
}

/// Tokens that the first host of a pool has evaluated so far.
std::size_t evaluated(HostPool& pool) {
  return dynamic_cast<scripted::Host&>(pool.host()).evaluated;
}

}  // namespace

TEST_CASE("Calibration finds the read-out that the attention has") {
  const Folder folder;
  HostPool pool = pool_of(1);
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

TEST_CASE("How evenly a head attends is measured beside the read-out, on every eighth query") {
  const Folder folder;
  HostPool pool = pool_of(1);
  Settings settings = settings_in(folder.path, 2);
  settings.lengths = {200};
  const std::vector<float> evenness = run(settings, pool).fit.evenness;
  REQUIRE(evenness.size() == scripted::kLayers * scripted::kHeads);
  const scripted::Host host;
  for (int layer = 0; layer < scripted::kLayers; ++layer)
    for (int head = 0; head < scripted::kHeads; ++head) {
      double even = 0, all = 0;
      for (std::size_t text = 0; text < settings.sources.size(); ++text) {
        const Passage passage = passage_of(host, settings, text);
        const PositionRange queries = passage.queries.at(0);
        for (std::int32_t query = queries.begin; query < queries.end; query += 8) {
          double sum = 0, entropy = 0;
          const auto far = std::min(passage.context.size(), static_cast<std::size_t>(query - 16));
          for (std::size_t i = 4; i < far; ++i)
            sum += std::exp(scripted::log_attention(layer, head, scripted::key_of(layer, head, passage.context[i])));
          for (std::size_t i = 4; i < far; ++i) {
            const float log = scripted::log_attention(layer, head, scripted::key_of(layer, head, passage.context[i]));
            entropy -= std::exp(log) / sum * (log - std::log(sum));
          }
          even += sum * std::exp(entropy) / static_cast<double>(far - 4);
          all += sum;
        }
      }
      CHECK(evenness[static_cast<std::size_t>(layer * scripted::kHeads + head)] == Approx(even / all).epsilon(1e-5));
    }
  CHECK(*std::min_element(evenness.begin(), evenness.end()) > 0.3);
  CHECK(*std::max_element(evenness.begin(), evenness.end()) < 1);
}

TEST_CASE("How many numbers a probe will hold is known before anything is recorded") {
  const Folder folder;
  for (const ProbeInput input : {ProbeInput::key, ProbeInput::layer})
    for (const ReadOut read_out : {ReadOut::linear, ReadOut::quadratic}) {
      HostPool pool = pool_of(1);
      Settings settings = settings_in(folder.path);
      settings.probe.input = input;
      settings.probe.read_out = read_out;
      const Outcome outcome = run(settings, pool);
      std::size_t numbers = 0;
      for (const ProbeLayer& layer : outcome.fit.probe->layers())
        numbers += layer.weights.size() + layer.square_weights.size() + layer.scale.centre.size() + layer.scale.scale.size();
      CHECK(ProbeFit::probe_numbers(settings.probe, pool.host().description()) == numbers);
    }
}

TEST_CASE("Sizes of values count as much as is asked for, within each head") {
  const Folder folder;
  const auto fitted = [&](double value_weight) {
    HostPool pool = pool_of(1);
    Settings settings = settings_in(folder.path, 12);
    settings.probe.value_weight = value_weight;
    return run(settings, pool).fit;
  };
  const ProbeFit::Result without = fitted(0), with = fitted(1.5);
  CHECK(with.explained > 0.99);  // but for the texts, whose means differ a little
  for (std::size_t l = 0; l < 2; ++l)
    for (std::size_t head = 0; head < scripted::kHeads; ++head) {
      const float* const before = without.probe->layers()[l].weights.data() + head * 4;
      const float* const after = with.probe->layers()[l].weights.data() + head * 4;
      CHECK(after[0] - before[0] == Approx(1.5 * 0.4).margin(0.05));
      CHECK(after[1] - before[1] == Approx(0).margin(0.05));
      CHECK(after[2] - before[2] == Approx(-1.5 * 0.6 * static_cast<double>(head)).margin(0.05));
      CHECK(std::abs(after[3] - before[3]) < 1);  // the 2 that all values have in common does not count
    }
  for (const double wrong : {-0.1, 4.5, std::numeric_limits<double>::quiet_NaN()})
    CHECK_THROWS_WITH(fitted(wrong), Contains("value weight: must be from 0 to 4"));
}

TEST_CASE("A quadratic read-out finds what a linear one cannot") {
  const Folder folder;
  const auto explained = [&](ReadOut read_out) {
    HostPool pool(
        [] {
          auto host = std::make_unique<scripted::Host>();
          host->bend = 1.5f;
          return host;
        },
        1);
    Settings settings = settings_in(folder.path, 12);
    settings.probe.read_out = read_out;
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

namespace {

/// Hosts that take longer for some texts, so that these are finished behind later ones; the last made fails at call `fail_at`.
HostPool uneven_pool(int workers, int fail_at = -1) {
  return HostPool(
      [workers, fail_at, made = 0]() mutable {
        auto host = std::make_unique<scripted::Host>();
        host->uneven = true;
        if (++made == workers) host->fail_at = fail_at;
        return host;
      },
      workers);
}

nlohmann::json probe_of_all(const std::filesystem::path& folder, std::size_t texts) {
  HostPool one = pool_of(1);
  return run(settings_in(folder, texts), one).fit.probe->to_json();
}

}  // namespace

TEST_CASE("Any number of workers gives the same probe, bit for bit, whoever is first") {
  const Folder folder;
  const nlohmann::json first = probe_of_all(folder.path, 24);
  for (const int workers : {2, 3, 5}) {
    HostPool pool = uneven_pool(workers);
    CHECK(run(settings_in(folder.path, 24), pool).fit.probe->to_json() == first);
  }
}

TEST_CASE("What several workers had recorded when one failed or they were stopped is gone on with, bit for bit") {
  const Folder folder;
  const nlohmann::json whole = probe_of_all(folder.path, 24);
  std::filesystem::remove(folder.path / "calibration.state");
  Settings rest = settings_in(folder.path, 24);
  rest.resume = true;
  HostPool failing = uneven_pool(3, 6);  // context and tail of a text are two calls
  CHECK_THROWS_WITH(run(settings_in(folder.path, 24), failing), "scripted failure");
  HostPool healthy = uneven_pool(3);
  std::atomic<bool> stop = false;
  const Outcome part = run(
      rest, healthy, [&](std::size_t done, std::size_t) { stop = done >= 12; }, &stop);
  CHECK(part.stopped);
  CHECK(part.recordings >= 12);
  // What was begun is finished: six (two per worker) from the text on that was being added, and two that waited for their turn.
  CHECK(part.recordings <= 11 + 6 + 2);
  CHECK(part.fit.probe->to_json() != whole);
  const Outcome resumed = run(rest, healthy);
  CHECK(resumed.recordings == 24);
  CHECK(resumed.fit.probe->to_json() == whole);
}

TEST_CASE("A calibration that was stopped and resumed gives the same probe, bit for bit") {
  const Folder folder;
  HostPool pool = pool_of(1);
  const auto long_enough = [&] {
    Settings out = settings_in(folder.path);
    out.lengths = {100, 150};  // for evenness
    return out;
  };
  const ProbeFit::Result fitted = run(long_enough(), pool).fit;
  const nlohmann::json whole = fitted.probe->to_json();
  const std::vector<float> even = fitted.evenness;
  CHECK(even.at(0) > 0);
  const std::size_t tokens = evaluated(pool);
  std::atomic<bool> stop = false;
  const Outcome part = run(
      long_enough(), pool, [&](std::size_t done, std::size_t) { stop = done == 3; }, &stop);
  CHECK(part.stopped);
  CHECK(part.recordings == 3);
  CHECK(part.fit.probe);
  CHECK(part.fit.probe->to_json() != whole);
  Settings rest = long_enough();
  rest.resume = true;
  const Outcome resumed = run(rest, pool);
  CHECK(resumed.recordings == 6);
  CHECK(resumed.fit.evenness == even);
  CHECK(evaluated(pool) == 2 * tokens);  // the part and the rest, no text twice
  CHECK(resumed.fit.probe->to_json() == whole);
}

TEST_CASE("A run that fails keeps what was recorded") {
  const Folder folder;
  HostPool pool(
      [] {
        auto host = std::make_unique<scripted::Host>();
        host->fail_at = 5;  // in the third text: context and tail are two calls each
        return host;
      },
      1);
  CHECK_THROWS_WITH(run(settings_in(folder.path), pool), "scripted failure");
  HostPool healthy = pool_of(1);
  Settings rest = settings_in(folder.path);
  rest.resume = true;
  const Outcome resumed = run(rest, healthy);
  CHECK(resumed.recordings == 6);
  HostPool again = pool_of(1);
  run(settings_in(folder.path), again);
  CHECK(evaluated(healthy) < evaluated(again) * 5 / 6);  // two of the six were there
}

TEST_CASE("A state that does not belong or is damaged is refused in one line") {
  const Folder folder;
  HostPool pool = pool_of(1);
  Settings settings = settings_in(folder.path);
  run(settings, pool);
  settings.resume = true;
  Settings other = settings;
  other.identity = {{"seed", 2}};
  CHECK_THROWS_WITH(run(other, pool), Contains("must be begun with the same settings and files, was with others (seed)"));
  other = settings;
  other.probe.input = ProbeInput::layer;
  CHECK_THROWS_WITH(run(other, pool), Contains("cannot be resumed: calibration: must get"));
  other = settings;
  other.probe.read_out = ReadOut::linear;
  CHECK_THROWS_WITH(run(other, pool), Contains("cannot be resumed: calibration: must get"));
  std::ifstream in(settings.state, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  for (const std::size_t length : {std::size_t{0}, std::size_t{1}, bytes.size() / 2, bytes.size() - 1}) {
    std::ofstream(settings.state, std::ios::binary) << bytes.substr(0, length);
    CHECK_THROWS_WITH(run(settings, pool), Contains("damaged, cannot be resumed"));
  }
  const std::size_t count = bytes.find("\"recordings\":6") + 13;
  for (const std::size_t at : {std::size_t{0}, count, bytes.find('\n'), bytes.size() / 2, bytes.size() - 1}) {
    std::string changed = bytes;
    changed[at] ^= 1;
    std::ofstream(settings.state, std::ios::binary) << changed;
    CHECK_THROWS_WITH(run(settings, pool), Contains("damaged, cannot be resumed"));
  }
  std::filesystem::remove(settings.state);
  CHECK_THROWS_WITH(run(settings, pool), Contains("there is no calibration to resume"));
}

TEST_CASE("Lengths are shortened until texts and what follows them are within what the model was trained for") {
  const Folder folder;
  Settings settings = settings_in(folder.path);
  scripted::Host host;
  const Plan whole = plan(host, settings);
  CHECK(plan_within_training(host, settings).longest == whole.longest);  // not known of this model
  host.train(whole.longest);
  plan_within_training(host, settings);
  CHECK(settings.lengths == std::vector<std::size_t>{40, 60});
  host.train(whole.longest - 20);
  const Plan shorter = plan_within_training(host, settings);
  CHECK(shorter.longest <= whole.longest - 20);
  CHECK(shorter.longest_context + 15 >= whole.longest_context);  // no more than is needed
  CHECK(settings.lengths[0] == 40);
}
