#pragma once
#include <exception>
#include <string>

namespace namm::test {

/// What `work` throws, for tests of the sentence.
template <class Work>
std::string message(Work work) {
  try {
    work();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace namm::test
