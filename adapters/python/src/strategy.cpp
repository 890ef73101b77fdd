// namm.Strategy: the evolution strategies of the core as ask and tell.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "adapters/python/src/bind.hpp"
#include "base/json_limits.hpp"
#include "evolve/strategies/cumulative.hpp"
#include "namm/strategy.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace namm::python {
namespace {

using Doubles = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;

/// Anything that NumPy reads as numbers.
Doubles doubles(const nb::object& numbers) {
  return nb::cast<Doubles>(nb::module_::import_("numpy").attr("ascontiguousarray")(numbers, "dtype"_a = "float64"));
}

std::vector<double> row_of(const nb::object& numbers, const char* what) {
  const Doubles read = doubles(numbers);
  if (read.ndim() != 1)
    throw std::invalid_argument(std::string(what) + ": must be a row of numbers, has " + std::to_string(read.ndim()) +
                                " dimensions");
  return {read.data(), read.data() + read.size()};
}

/// A strategy, and which candidates wait for their values.
class StrategyObject {
 public:
  StrategyObject(const std::string& name, const nb::object& parameters, double step_size, int population, std::uint64_t seed,
                 bool maximise)
      : sign_(maximise ? -1 : 1) {
    StrategySettings settings;
    if (nb::isinstance<nb::int_>(parameters)) {
      const auto count = nb::cast<std::int64_t>(parameters);
      if (count < 1) throw std::invalid_argument("parameters: must be at least 1, are " + std::to_string(count));
      settings.dimension = static_cast<std::size_t>(count);
    } else {
      settings.mean = row_of(parameters, "parameters");
      settings.dimension = settings.mean.size();
    }
    settings.step_size = step_size;
    settings.population = population;
    settings.seed = seed;
    strategy_ = make_strategy(name, settings);
  }

  const Strategy& strategy() const { return *strategy_; }

  nb::ndarray<nb::numpy, double, nb::ndim<2>> ask() {
    const std::vector<double>& waiting = candidates();
    auto* const copy = new std::vector<double>(waiting);
    const nb::capsule owner(copy, [](void* pointer) noexcept { delete static_cast<std::vector<double>*>(pointer); });
    return {copy->data(), {static_cast<std::size_t>(strategy_->population()), strategy_->dimension()}, owner};
  }

  void tell(const nb::object& candidates, const nb::object& values) {
    std::vector<double> losses = row_of(values, "values");
    for (double& value : losses) value *= sign_;
    if (candidates.is_none() || are_asked(candidates))
      strategy_->tell(losses);
    else
      tell_others(doubles(candidates), losses);
    asked_.clear();
  }

  std::string save() const { return strategy_->state().dump(); }

  void restore(const std::string& saved) {
    const nlohmann::json state = detail::parse_json(saved);
    strategy_->restore(state);
    asked_.clear();
    if (state.at("asked").get<bool>()) candidates();
  }

 private:
  const std::vector<double>& candidates() {
    const Candidates of = strategy_->ask();
    asked_.assign(of.data, of.data + of.count * of.dimension);
    return asked_;
  }

  bool are_asked(const nb::object& candidates) const {
    const Doubles given = doubles(candidates);
    if (given.ndim() != 2 || given.shape(0) != static_cast<std::size_t>(strategy_->population()) ||
        given.shape(1) != strategy_->dimension())
      throw std::invalid_argument("candidates: must be [" + std::to_string(strategy_->population()) + "][" +
                                  std::to_string(strategy_->dimension()) + "], as ask() gives them, are of another shape");
    return std::equal(asked_.begin(), asked_.end(), given.data(), given.data() + given.size());
  }

  void tell_others(const Doubles& candidates, const std::vector<double>& losses) {
    auto* const strategy = dynamic_cast<evolve::CumulativeStrategy*>(strategy_.get());
    if (strategy == nullptr)
      throw std::invalid_argument("candidates: must be those of ask(), are others; " + std::string(strategy_->name()) +
                                  " draws in pairs: give None, or use cma or sep-cma, which learn from any");
    if (!std::all_of(candidates.data(), candidates.data() + candidates.size(), [](double x) { return std::isfinite(x); }))
      throw std::invalid_argument("candidates: must be finite, one is not");
    // one candidate behind the other is the core's matrix, one per column
    strategy->tell_with(Eigen::Map<const Eigen::MatrixXd>(candidates.data(), static_cast<Eigen::Index>(candidates.shape(1)),
                                                          static_cast<Eigen::Index>(candidates.shape(0))),
                        losses);
  }

  std::unique_ptr<Strategy> strategy_;
  double sign_;  // strategies minimise
  std::vector<double> asked_;
};

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const StrategyEntry& entry : strategy_registry()) out.push_back(entry.name);
  return out;
}

std::string representation(const StrategyObject& self) {
  const Strategy& of = self.strategy();
  return "<namm.Strategy " + std::string(of.name()) + ", " + std::to_string(of.dimension()) + " parameters, population " +
         std::to_string(of.population()) + ", generation " + std::to_string(of.generation()) + ">";
}

}  // namespace

void bind_strategy(nb::module_& module) {
  module.def("strategy_names", &names);
  nb::class_<StrategyObject>(module, "Strategy")
      .def(nb::init<const std::string&, const nb::object&, double, int, std::uint64_t, bool>(), "name"_a, "parameters"_a,
           nb::kw_only(), "step_size"_a, "population"_a = 0, "seed"_a = 1, "maximise"_a = false)
      .def("ask", &StrategyObject::ask, nb::rv_policy::move)
      .def("tell", &StrategyObject::tell, "candidates"_a.none(), "values"_a)
      .def("save", &StrategyObject::save)
      .def("restore", &StrategyObject::restore, "saved"_a)
      .def_prop_ro("name", [](const StrategyObject& s) { return std::string(s.strategy().name()); })
      .def_prop_ro("dimension", [](const StrategyObject& s) { return s.strategy().dimension(); })
      .def_prop_ro("population", [](const StrategyObject& s) { return s.strategy().population(); })
      .def_prop_ro("generation", [](const StrategyObject& s) { return s.strategy().generation(); })
      .def_prop_ro("step_size", [](const StrategyObject& s) { return s.strategy().step_size(); })
      .def_prop_ro(
          "mean", [](const StrategyObject& s) { return to_array(s.strategy().mean()); }, nb::rv_policy::move)
      .def("__repr__", &representation);
}

}  // namespace namm::python
