#include <map>

#include "core/networks/score_network.hpp"
#include "golden.hpp"
#include "tests/check.hpp"

using namespace namm;

namespace {

/// Largest error over heads of a network on [kv_head][token][25] features.
double worst_error(const ScoreNetwork& network, const golden::Array& features, const golden::Array& params,
                   const golden::Array& wanted) {
  double worst = 0;
  for (std::size_t head = 0; head < features.shape[0]; ++head) {
    std::vector<float> got(features.shape[1]);
    network.score(features.slice(head), 25, params.data, got);
    worst = std::max(worst, golden::largest_error(got, wanted.slice(head)));
  }
  return worst;
}

std::map<int, golden::Array> features_by_length(const nlohmann::json& file) {
  std::map<int, golden::Array> out;
  for (const nlohmann::json& item : file.at("features")) out[item.at("N")] = golden::array(item.at("features"));
  return out;
}

}  // namespace

TEST_CASE("BAM scores agree with the reference", "[golden]") {
  const nlohmann::json file = golden::load("bam.json");
  const auto features = features_by_length(file);
  REQUIRE(bam_network()->parameter_count(25) == 4172);
  for (const nlohmann::json& item : file.at("cases")) {
    double worst = 0, largest = 1;
    for (const nlohmann::json& result : item.at("results")) {
      const golden::Array wanted = golden::array(result.at("scores"));
      worst = std::max(worst, worst_error(*bam_network(), features.at(result.at("N")), golden::array(item.at("params")), wanted));
      for (const float score : wanted.data) largest = std::max(largest, std::abs(double{score}));
    }
    golden::report("bam ", item.at("name"), ": max error ", worst, ", largest score ", largest);
    CHECK(worst <= 5e-6 * largest);
  }
}

TEST_CASE("MLP scores agree with the reference", "[golden]") {
  const nlohmann::json file = golden::load("bam.json");
  const auto features = features_by_length(file);
  for (const nlohmann::json& item : file.at("mlp")) {
    const auto network = mlp_network(item.at("hidden_depth"), item.at("bias"));
    REQUIRE(network->parameter_count(25) == item.at("n_params").get<std::size_t>());
    double worst = 0;
    for (const nlohmann::json& result : item.at("results")) {
      worst = std::max(worst, worst_error(*network, features.at(result.at("N")), golden::array(item.at("params")),
                                          golden::array(result.at("scores"))));
    }
    golden::report("mlp ", item.at("name"), ": max error ", worst);
    CHECK(worst <= 2e-5);
  }
}
