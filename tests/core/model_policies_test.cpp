#include "core/model_policies.hpp"

#include <chrono>
#include <cstdlib>
#include <fstream>

#include "tests/check.hpp"
#include "tests/support/folder.hpp"

using namespace namm;
using namm::test::Folder;

namespace {

constexpr const char* kKey = "0123456789abcdef";
constexpr const char* kOtherKey = "fedcba9876543210";

PolicyFile some_policy(const char* model) {
  PolicyFile file;
  file.policy = make_policy("knorm");
  file.selection.budget = parse_budget("25%");
  file.provenance["model"] = model;
  return file;
}

std::string name_of(const std::optional<ModelPolicies::Kept>& kept) {
  return kept ? kept->name : "none";
}

}  // namespace

TEST_CASE("the policy that was tuned for a budget is found before the calibrated one, and other models' never") {
  const Folder folder;
  const ModelPolicies policies(folder.path());
  CHECK(name_of(policies.best(kKey, parse_budget("25%"))) == "none");
  policies.keep(kKey, "tuned-12.5%", some_policy("a"));
  CHECK(name_of(policies.best(kKey, parse_budget("25%"))) == "none");  // made for another budget
  CHECK(name_of(policies.best(kKey, std::nullopt)) == "tuned-12.5%");
  policies.keep(kKey, "calibrated", some_policy("a"));
  policies.keep(kKey, "tuned-25%", some_policy("a"));
  policies.keep(kOtherKey, "tuned-50%", some_policy("b"));
  CHECK(name_of(policies.best(kKey, parse_budget("0.125"))) == "tuned-12.5%");
  CHECK(name_of(policies.best(kKey, parse_budget("25%"))) == "tuned-25%");
  CHECK(name_of(policies.best(kKey, parse_budget("50%"))) == "calibrated");
  CHECK(name_of(policies.best(kKey, std::nullopt)) == "calibrated");  // which of the tuned ones is meant is not known
  CHECK(policies.all().size() == 4);
  REQUIRE(policies.of(kOtherKey).size() == 1);
  CHECK(load_policy_file(policies.of(kOtherKey).front().file).provenance["model"] == "b");

  policies.remove(policies.of(kOtherKey).front());
  CHECK(policies.of(kOtherKey).empty());
  CHECK_FALSE(std::filesystem::exists(folder.path() / kOtherKey));
}

TEST_CASE("a policy is kept in either form, one of each name") {
  const Folder folder;
  const ModelPolicies policies(folder.path());
  for (const char* const ending : {".json", ".safetensors", ".json", ".safetensors"}) {
    const auto kept = policies.keep(kKey, "calibrated", some_policy(ending), ending);
    CHECK(kept.file.extension() == ending);
    REQUIRE(policies.of(kKey).size() == 1);
    CHECK(policies.best(kKey, std::nullopt)->file == kept.file);
    CHECK(load_policy_file(kept.file).provenance["model"] == ending);
  }
  // as a writer leaves it that was killed before it removed the other
  const auto binary = folder.path() / kKey / "calibrated.safetensors", text = folder.path() / kKey / "calibrated.json";
  save_policy_file(text, some_policy("other"));
  for (const auto& newer : {text, binary}) {
    std::filesystem::last_write_time(newer == text ? binary : text,
                                     std::filesystem::last_write_time(newer) - std::chrono::hours(1));
    REQUIRE(policies.of(kKey).size() == 1);
    CHECK(policies.of(kKey).front().file == newer);
    std::filesystem::last_write_time(newer == text ? binary : text,
                                     std::filesystem::last_write_time(newer) + std::chrono::hours(1));
  }
  policies.remove(policies.of(kKey).front());
  CHECK(policies.of(kKey).empty());
}

TEST_CASE("names and keys that could leave the folder are refused, files of other names are not looked at") {
  const Folder folder;
  const ModelPolicies policies(folder.path());
  for (const char* const name : {"", "other", "tuned-", "tuned-lots", "tuned-0.25", "../calibrated", "tuned-25%/x"})
    CHECK_THROWS_AS(policies.keep(kKey, name, some_policy("a")), std::invalid_argument);
  for (const char* const key : {"", "..", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef0"})
    CHECK_THROWS_AS(policies.keep(key, "calibrated", some_policy("a")), std::invalid_argument);
  policies.keep(kKey, "calibrated", some_policy("a"));
  test::write(folder.path() / kKey / "notes.txt", "mine");
  test::write(folder.path() / kKey / "tuned-lots.json", "{}");
  CHECK(policies.all().size() == 1);
  CHECK(policies.of("..").empty());
}

TEST_CASE("without a data folder nothing is found, and keeping says why it cannot be") {
  const ModelPolicies policies{std::filesystem::path()};
  CHECK(policies.all().empty());
  CHECK(name_of(policies.best(kKey, std::nullopt)) == "none");
  CHECK_THROWS_WITH(policies.keep(kKey, "calibrated", some_policy("a")), Contains("XDG_DATA_HOME"));
}
