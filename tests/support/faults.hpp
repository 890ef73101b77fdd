#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include "tests/support/program.hpp"

namespace namm::test {

/// What can go wrong with files, as tests/support/failing_files.cpp brings it about.
inline constexpr const char* kFaults[] = {"open", "write", "sync", "rename"};
inline constexpr const char* kKill = "kill";

struct FaultyOutcome {
  Outcome outcome;
  bool happened = false;  ///< false: there were not so many calls
};

/// Runs `run` where call number `at` of the kind fails for files in `folder`, which is made if it is not there.
template <class Run>
FaultyOutcome with_fault(const char* kind, int at, const std::string& folder, Run run) {
  std::filesystem::create_directories(folder);
  const std::string mark = folder + ".fault";
  std::filesystem::remove(mark);
  setenv("NAMM_FAULT", kind, 1);
  setenv("NAMM_FAULT_AT", std::to_string(at).c_str(), 1);
  setenv("NAMM_FAULT_FOLDER", (folder + "/").c_str(), 1);
  setenv("NAMM_FAULT_MARK", mark.c_str(), 1);
  setenv("LD_PRELOAD", NAMM_FAILING_FILES, 1);
  FaultyOutcome out{run(), false};
  for (const char* name : {"LD_PRELOAD", "NAMM_FAULT", "NAMM_FAULT_AT", "NAMM_FAULT_FOLDER", "NAMM_FAULT_MARK"}) unsetenv(name);
  out.happened = std::filesystem::exists(mark);
  return out;
}

/// Every how manieth call is made to fail: each where NAMM_FAULTS=all.
inline int fault_step() {
  return std::getenv("NAMM_FAULTS") ? 1 : 4;
}

}  // namespace namm::test
