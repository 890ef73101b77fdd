// The table of refused flags against the help of the real llama-server, if it was built (cmake/setup.sh --with-server).
#include <filesystem>
#include <set>
#include <sstream>

#include "adapters/llama_cpp/version/attach_rules.hpp"
#include "tests/preload/attached.hpp"

using namespace namm::test;

namespace {

/// Tune what is switched on elsewhere.
bool only_tunes(const std::string& flag) {
  static const std::set<std::string> kKnown = {"-td",
                                               "-tbd",
                                               "-Cd",
                                               "-Crd",
                                               "-Cbd",
                                               "-Crbd",
                                               "-ctkd",
                                               "-ctvd",
                                               "-otd",
                                               "-cmoed",
                                               "-ncmoed",
                                               "-devd",
                                               "-ngld",
                                               "--draft",
                                               "--draft-n",
                                               "--draft-max",
                                               "--draft-min",
                                               "--draft-n-min",
                                               "--draft-p-min",
                                               "--draft-p-split",
                                               "--threads-draft",
                                               "--threads-batch-draft",
                                               "--cpu-mask-draft",
                                               "--cpu-range-draft",
                                               "--cpu-strict-draft",
                                               "--prio-draft",
                                               "--poll-draft",
                                               "--cpu-mask-batch-draft",
                                               "--cpu-range-batch-draft",
                                               "--cpu-strict-batch-draft",
                                               "--prio-batch-draft",
                                               "--poll-batch-draft",
                                               "--cache-type-k-draft",
                                               "--cache-type-v-draft",
                                               "--override-tensor-draft",
                                               "--cpu-moe-draft",
                                               "--n-cpu-moe-draft",
                                               "--device-draft",
                                               "--gpu-layers-draft",
                                               "--n-gpu-layers-draft",
                                               "--spec-draft-n-max",
                                               "--spec-draft-n-min",
                                               "--spec-draft-p-min",
                                               "--spec-draft-p-split",
                                               "--spec-synth-len",
                                               "--spec-synth-rates"};
  for (const char* const family :
       {"--spec-ngram-", "--spec-draft-threads", "--spec-draft-cpu-", "--spec-draft-prio", "--spec-draft-poll",
        "--spec-draft-type-", "--spec-draft-override-", "--spec-draft-n-cpu-", "--spec-draft-ncmoe", "--spec-draft-backend-",
        "--spec-draft-device", "--spec-draft-ngl", "--no-spec-draft-backend-"})
    if (flag.starts_with(family)) return true;
  return kKnown.contains(flag);
}

bool is_refused(const std::string& flag) {
  for (const auto& rule : namm::preload::attach_rules())
    if (rule.programs & namm::preload::kServer)
      for (const auto name : rule.names)
        if (name == flag) return true;
  return false;
}

}  // namespace

TEST_CASE("every flag of llama-server for speculation is refused or only tunes it", "[preload][flags]") {
  const std::string server = std::string(NAMM_LLAMA_PROGRAMS) + "/llama-server";
  if (!std::filesystem::exists(server)) {
    WARN("no llama-server: bash cmake/setup.sh --with-server builds it");
    return;
  }
  std::istringstream help(run_command({server, "--help"}).out);
  int flags = 0;
  for (std::string line; std::getline(help, line);) {
    if (line.empty() || line[0] != '-' || line.starts_with("-----")) continue;
    // "-hfd,  -hfrd, --hf-repo-draft, --spec-draft-hf <user>/<model>..."
    std::istringstream words(line);
    for (std::string word; words >> word && word[0] == '-';) {
      if (word.back() == ',') word.pop_back();
      if (word.find("spec") == std::string::npos && word.find("draft") == std::string::npos) continue;
      if (word == "--special") continue;  // tokens
      ++flags;
      CAPTURE(word);
      CHECK((is_refused(word) || only_tunes(word)));
    }
  }
  CHECK(flags > 30);
}
