#include "core/policies/key_probe.hpp"
#include "core/policy_file.hpp"
#include "namm/policy.hpp"
#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// A calibrated policy of the embedded host with every offset at `offset`; its probe's weights times `scale`.
void write_offsets(const std::string& path, float offset, const std::string& name, const std::string& budget = "12.5%",
                   float scale = 1) {
  namm::PolicyFile file =
      namm::load_policy_file(std::string(NAMM_SOURCE_DIR) + "/experiments/calibrate/policies/jamba-recall-probe.json");
  json fields = file.policy->to_json();
  for (json& layer : fields["probe"]["layers"])
    for (json& weight : layer["weights"]) weight = weight.get<float>() * scale;
  const std::unique_ptr<namm::Policy> policy = namm::make_policy("key-probe", fields);
  policy->set_parameters(std::vector<float>(policy->parameter_count(), offset));
  file.policy = policy->clone();
  file.selection.budget = namm::parse_budget(budget);
  file.provenance = {{"name", name}};
  namm::save_policy_file(path, file);
}

}  // namespace

TEST_CASE("average writes the first policy with the mean of all offsets, the recency asked for and where it comes from") {
  const Folder folder;
  write_offsets(folder / "a.json", 1.0f, "first");
  write_offsets(folder / "b.json", -2.5f, "second", "12.5%", 0.5f);
  const Outcome outcome =
      run_program({"average", folder / "a.json", folder / "b.json", "--output", folder / "mean.json", "--recency", "1"});
  CAPTURE(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out.find("mean of 2, key-probe") != std::string::npos);
  const namm::PolicyFile mean = namm::load_policy_file(folder / "mean.json");
  const auto& policy = dynamic_cast<const namm::KeyProbePolicy&>(*mean.policy);
  CHECK(policy.recency() == 1.0f);
  CHECK(policy.parameters() == std::vector<float>(policy.parameter_count(), -0.75f));
  const json probe = policy.to_json()["probe"];
  CHECK(probe == namm::load_policy_file(folder / "a.json").policy->to_json()["probe"]);
  CHECK(probe != namm::load_policy_file(folder / "b.json").policy->to_json()["probe"]);
  CHECK(to_string(mean.selection.budget) == "12.5%");
  CHECK(mean.provenance["averaged"] == json({{{"name", "first"}}, {{"name", "second"}}}));
  CHECK(run_program({"inspect", folder / "mean.json"}).code == 0);
}

TEST_CASE("average names the file that does not fit and writes nothing") {
  const Folder folder;
  write_policy(folder / "linear.json");
  write_offsets(folder / "a.json", 1.0f, "first");
  write_offsets(folder / "quarter.json", 1.0f, "other", "25%");
  const std::string out = folder / "mean.json";
  const auto refused = [&](std::vector<std::string> words, int code, const std::vector<std::string>& parts) {
    words.insert(words.begin(), "average");
    words.insert(words.end(), {"--output", out});
    check_refused(run_program(words), code, parts);
    CHECK_FALSE(std::filesystem::exists(out));
  };
  refused({folder / "a.json"}, 2, {"files", "at least two"});
  refused({folder / "a.json", folder / "linear.json"}, 1, {"linear.json", "must be key-probe", "is linear"});
  refused({folder / "a.json", folder / "quarter.json"}, 1, {"quarter.json", "selection.budget", "12.5%", "is 25%"});
  refused({folder / "linear.json", folder / "linear.json", "--recency", "1"}, 2, {"--recency", "linear"});
  refused({folder / "a.json", folder / "a.json", "--recency", "5"}, 2, {"recency", "0 to 4", "is 5"});
  refused({folder / "a.json", folder / "none.json"}, 1, {"none.json", "could not be read"});
  check_refused(run_program({"average", folder / "a.json", folder / "a.json"}), 2, {"--output", "must be given"});
}
