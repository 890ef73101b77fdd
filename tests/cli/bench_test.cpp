#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/program.hpp"

using namespace namm::test;

namespace {
const std::vector<std::string> kKernels = {"attention-prefill", "attention-decode", "spectrogram", "bam",
                                           "key-probe",         "compaction",       "update"};
}

TEST_CASE("bench runs every kernel on small shapes and writes what it measured") {
  const Folder folder;
  const Outcome outcome = run_program({"bench", "--small", "--repetitions", "1", "--threads", "2", "--json", folder / "b.json"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto written = nlohmann::json::parse(read(folder / "b.json"));
  for (const char* field : {"version", "commit", "llama", "machine", "threads", "repetitions", "peaks", "models"})
    CHECK(written.contains(field));
  CHECK(written.at("small") == true);
  CHECK(written.at("clock") == "wall");
  CHECK(written.at("threads") == 2);
  CHECK(written.at("peaks").at("flops_per_second") > 1e8);
  CHECK(written.at("peaks").at("bytes_per_second") > 1e8);
  for (const char* field : {"processor", "cores", "isa"}) CHECK(written.at("machine").contains(field));
  std::vector<std::string> seen;
  for (const auto& one : written.at("kernels")) {
    const std::string kernel = one.at("kernel");
    INFO(kernel);
    if (seen.empty() || seen.back() != kernel) seen.push_back(kernel);
    CHECK(outcome.out.find("\n" + kernel + ": " + one.at("shape").get<std::string>()) != std::string::npos);
    CHECK(one.at("variants").at(0).at("ratio").is_null());  // of one repetition
    for (const auto& variant : one.at("variants")) {
      CHECK(variant.at("seconds_min") > 0.0);
      CHECK(variant.at("seconds_median") >= variant.at("seconds_min"));
      for (const char* field :
           {"name", "ratio", "bytes", "flops", "bytes_per_second", "flops_per_second", "share_of_read_peak", "share_of_fma_peak"})
        CHECK(variant.contains(field));
    }
  }
  CHECK(seen == kKernels);
  CHECK(outcome.out.rfind("no ratios: they need at least 5 repetitions, these are 1; see --repetitions\n", 0) == 0);
}

TEST_CASE("bench gives ratios with their range from five repetitions on") {
  const Folder folder;
  const Outcome outcome =
      run_program({"bench", "--small", "--kernel", "spectrogram", "--repetitions", "5", "--json", folder / "b.json"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(outcome.out.find("no ratios") == std::string::npos);
  CHECK(outcome.out.find("1.00 [1.00, 1.00]") != std::string::npos);
  const auto written = nlohmann::json::parse(read(folder / "b.json"));
  for (const auto& one : written.at("kernels"))
    for (const auto& variant : one.at("variants")) {
      CHECK(variant.at("ratio_range").at(0) <= variant.at("ratio"));
      CHECK(variant.at("ratio") <= variant.at("ratio_range").at(1));
    }
}

TEST_CASE("bench of a model sets llama.cpp with and without flash attention, the full cache and the policy side by side") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const Outcome outcome = run_program({"bench", "--model", host, "--policy", "streaming", "--budget", "25%", "--length", "64,200",
                                       "--decode", "3", "--interval", "64", "--repetitions", "1", "--json", folder / "b.json"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto written = nlohmann::json::parse(read(folder / "b.json"));
  CHECK(written.at("kernels").empty());
  const auto& bench = written.at("models").at(0);
  CHECK(bench.at("policy") == "streaming");
  REQUIRE(bench.at("runs").size() == 8);
  const std::vector<std::string> ways = {"stock, -fa on", "stock, -fa off", "attached, full cache", "attached, the policy"};
  for (std::size_t r = 0; r < 8; ++r) CHECK(bench.at("runs").at(r).at("name") == ways[r % 4]);
  for (const auto& run : bench.at("runs")) {
    CHECK(run.at("prefill_tokens_per_second") > 0.0);
    CHECK(run.at("decode_tokens_per_second") > 0.0);
    CHECK(run.at("peak_rss_bytes") > 1e6);
  }
  CHECK(bench.at("runs").at(4).at("prefill_ratio").is_null());
  CHECK(bench.at("runs").at(4).at("kv_bytes") == 0);
  CHECK(bench.at("runs").at(7).at("kv_bytes") < bench.at("runs").at(6).at("kv_bytes"));
}

TEST_CASE("bench of a model on a GPU has both caches there") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  setenv("GGML_BACKEND_PATH", NAMM_EMULATED, 1);
  std::vector<std::string> words = {"bench",
                                    "--model",
                                    host,
                                    "--gpu-layers",
                                    "99",
                                    "--device",
                                    "EMU0",
                                    "--budget",
                                    "25%",
                                    "--length",
                                    "200",
                                    "--decode",
                                    "3",
                                    "--interval",
                                    "64",
                                    "--repetitions",
                                    "1",
                                    "--json",
                                    folder / "b.json",
                                    "--policy"};
  std::vector<std::string> codes = words;
  words.emplace_back("streaming");
  codes.insert(codes.end(), {"streaming", "--store", "q8_0"});
  const Outcome outcome = run_program(words), refused = run_program(codes);
  unsetenv("GGML_BACKEND_PATH");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const auto runs = nlohmann::json::parse(read(folder / "b.json")).at("models").at(0).at("runs");
  REQUIRE(runs.size() == 4);
  CHECK(runs.at(3).at("kv_bytes") > 0);
  CHECK(runs.at(3).at("kv_bytes") <= runs.at(2).at("kv_bytes"));
  check_refused(refused, 2, {"store: must be f16", "device memory"});
}

TEST_CASE("bench refuses what it cannot measure") {
  check_refused(run_program({"bench", "--kernel", "bma"}), 2, {"--kernel", "\"bma\"", "bam"});
  check_refused(run_program({"bench", "--threads", "0"}), 2, {"--threads", "is 0"});
  check_refused(run_program({"bench", "--repetitions", "0"}), 2, {"--repetitions", "is 0"});
  check_refused(run_program({"bench", "--clock", "sun"}), 2, {"--clock", "sun", "processor"});
  check_refused(run_program({"bench", "--policy", "h2o"}), 2, {"--policy", "--model"});
  check_refused(run_program({"bench", "--interval", "64"}), 2, {"--interval", "--model"});
  check_refused(run_program({"bench", "--gpu-layers", "99"}), 2, {"--gpu-layers", "--model"});
  check_refused(run_program({"bench", "--device", "CUDA0"}), 2, {"--device", "--model"});
  check_refused(run_program({"bench", "--model", "unused.gguf", "--budget", "25%"}), 2, {"--budget", "--policy"});
  check_refused(run_program({"bench", "--model", "unused.gguf", "--protect-sinks", "4"}), 2, {"--protect-sinks", "--policy"});
  check_refused(run_program({"bench", "--model", "unused.gguf", "--decode", "2147483647"}), 2, {"--decode", "at most"});
  check_refused(run_program({"bench", "--kernel", "bam", "--small", "--json", "/no/such/folder/b.json"}), 1,
                {"--json", "b.json", "No such file"});
}
