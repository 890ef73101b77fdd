// The module namm._core: policies and sequences, as they are in C++. std::invalid_argument becomes ValueError and
// std::runtime_error RuntimeError, with their sentences.
#include "adapters/python/src/bind.hpp"

NB_MODULE(_core, module) {
  module.doc() = "Policies and what they know of a sequence; what the package namm is built on.";
  module.attr("__version__") = NAMM_VERSION;
  namm::python::bind_policy(module);
  namm::python::bind_sequence(module);
}
