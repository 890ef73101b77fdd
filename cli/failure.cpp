#include "cli/failure.hpp"

#include <iostream>
#include <new>
#include <stdexcept>

#include "base/json_limits.hpp"

namespace namm::cli {

int print_failure() {
  try {
    throw;
  } catch (const std::invalid_argument& error) {
    std::cerr << "namm: " << detail::without_tags(error.what()) << std::endl;
    return 2;
  } catch (const std::bad_alloc&) {
    std::cerr << "namm: memory: not enough for this; use a smaller --context, --workers or model" << std::endl;
  } catch (const std::exception& error) {
    std::cerr << "namm: " << detail::without_tags(error.what()) << std::endl;
  }
  return 1;
}

}  // namespace namm::cli
