#include "cli/command.hpp"

namespace namm::cli {

int run_inspect(const std::vector<std::string>&) { return 1; }

}  // namespace namm::cli
