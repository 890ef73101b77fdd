// The module namm._core: policies, sequences, calibration and evolution, as they are in C++. std::invalid_argument becomes
// ValueError and std::runtime_error RuntimeError, with their sentences.
#include "adapters/python/src/bind.hpp"

NB_MODULE(_core, module) {
  module.doc() = "Policies, what they know of a sequence, calibration and evolution; what the package namm is built on.";
  module.attr("__version__") = NAMM_VERSION;
  namm::python::bind_policy(module);
  namm::python::bind_sequence(module);
  namm::python::bind_calibration(module);
  namm::python::bind_strategy(module);
  namm::python::bind_evolution(module);
}
