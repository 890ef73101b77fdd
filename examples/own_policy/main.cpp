// The program namm with a policy of our own:  ./own_policy evolve --policy norms ..., ./own_policy eval --policy norms,h2o ...
#include <namm/command_line.hpp>

#include "norms.hpp"

int main(int argc, char** argv) {
  namm::register_policy({"norms", "small keys and large values are kept", Norms::make});
  return namm::run_command_line(argc, argv);
}
