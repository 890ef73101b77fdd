// Every reader of files that strangers may have written: what the program writes is read, damaged copies are read or refused in
// one line, and nothing else happens. `bash tests/fuzz/run.sh` looks for findings with libFuzzer; their files stay in
// tests/fuzz/cases.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "tests/check.hpp"
#include "tests/fuzz/mutate.hpp"
#include "tests/fuzz/target.hpp"
#include "tests/support/folder.hpp"

using namespace namm;
using namespace namm::fuzz;

namespace {

std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names, out;
  if (std::filesystem::is_directory(folder))
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) out.push_back(test::read(name));
  return out;
}

/// Damaged copies per target; the environment asks for more.
int mutations() {
  const char* const asked = std::getenv("NAMM_FUZZ_MUTATIONS");
  return asked ? std::atoi(asked) : 400;
}

}  // namespace

TEST_CASE("files from strangers are read or refused in one line", "[fuzz]") {
  for (const Target& target : targets()) {
    CAPTURE(std::string(target.name));
    const test::Folder folder;
    target.write_seeds(folder.path());
    std::vector<std::string> seeds = files_in(folder.path());
    CHECK(!seeds.empty());
    for (const std::string& seed : seeds) CHECK(try_target(target, seed));
    for (const std::string& seed : seeds)
      if (target.repair) CHECK(target.repair(seed) == seed);
    for (const std::string& found : files_in(std::filesystem::path(NAMM_SOURCE_DIR) / "tests/fuzz/cases" / target.name))
      try_target(target, found);
    std::mt19937 draw(7);
    int refused = 0;
    for (int i = 0; i < mutations(); ++i) {
      std::string damaged = mutate(seeds[draw() % seeds.size()], draw);
      if (target.repair && i % 2 == 0) damaged = target.repair(std::move(damaged));
      refused += !try_target(target, damaged);
    }
    CHECK(refused > mutations() / 20);  // it does look at them
  }
}
