// A strategy of one's own, from nothing but the public header, evolves by its name.
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "namm/strategy.hpp"
#include "tests/check.hpp"
#include "tests/evolve/loop_fixture.hpp"

using namespace namm;
using namespace namm::evolve;
using namespace fixture;

namespace {

/// sep-cma by another name, so that it keeps the contract that every registered strategy is checked for.
class Own final : public Strategy {
 public:
  explicit Own(const StrategySettings& settings) : inner_(make_strategy("sep-cma", settings)) {}
  std::string_view name() const override { return "own"; }
  std::size_t dimension() const override { return inner_->dimension(); }
  int population() const override { return inner_->population(); }
  std::int64_t generation() const override { return inner_->generation(); }
  Candidates ask() override { return inner_->ask(); }
  void tell(std::span<const double> values) override { inner_->tell(values); }
  std::vector<double> mean() const override { return inner_->mean(); }
  double step_size() const override { return inner_->step_size(); }
  nlohmann::json state() const override {
    nlohmann::json out = inner_->state();
    out["strategy"] = name();
    return out;
  }
  void restore(const nlohmann::json& state) override {
    nlohmann::json inner = state;
    if (inner.is_object() && inner.contains("strategy") && inner["strategy"] == name())
      inner["strategy"] = "sep-cma";
    else if (inner.is_object())
      inner.erase("strategy");
    inner_->restore(inner);
  }

 private:
  std::unique_ptr<Strategy> inner_;
};

std::unique_ptr<Strategy> make_own(const StrategySettings& settings) {
  return std::make_unique<Own>(settings);
}

}  // namespace

TEST_CASE("a registered strategy evolves by its name and can be resumed", "[strategy]") {
  register_strategy({"own", "sep-cma again", make_own});
  CHECK(strategy_registry().back().name == "own");
  CHECK(make_strategy("own", {3, 0, 0.5, 1, {}})->population() == 7);  // the default of three parameters

  const TemporaryFolder folder;
  RunSettings settings = small_run(folder / "run");
  settings.strategy = "own";
  settings.generations = 1;
  HostPool pool(hosts(), 1);
  run(settings, pool);
  settings.resume = true;
  settings.generations = 2;
  CHECK(run(settings, pool).generation == 2);

  CHECK_THROWS_WITH(register_strategy({"own", "", make_own}), Contains("strategy 'own'") && Contains("registered already"));
  CHECK_THROWS_WITH(register_strategy({"auto", "", make_own}), Contains("registered already"));
  CHECK_THROWS_WITH(register_strategy({"Own", "", make_own}), Contains("lower-case letters"));
  CHECK_THROWS_WITH(register_strategy({"other", "", nullptr}), Contains("must have a function"));
}

TEST_CASE("candidates are a view of the numbers, one candidate after the other", "[strategy]") {
  const double numbers[] = {1, 2, 3, 4, 5, 6};
  const Candidates candidates{numbers, 2, 3};
  CHECK(candidates[2].data() == numbers + 4);
  CHECK(candidates[2].size() == 2);
}
