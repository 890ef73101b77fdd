// The same policy over the cache that llama.cpp holds: quality and released cells, in one evaluation.
#include <cstdlib>

#include "tests/support/program.hpp"

using namespace namm::test;
using nlohmann::json;

namespace {

/// While it lives, programs find an emulated GPU.
struct WithDevice {
  WithDevice() { setenv("GGML_BACKEND_PATH", NAMM_EMULATED, 1); }
  ~WithDevice() { unsetenv("GGML_BACKEND_PATH"); }
};

}  // namespace

TEST_CASE("eval by callback: the answers of the full cache in a third of its cells, where recency loses them") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  const std::vector<std::string> words = {"eval", "--model",    host,      "--policy", "h2o,streaming", "--budget",
                                          "25%",  "--tasks",    "passkey", "--length", "1000",          "--samples",
                                          "4",    "--interval", "128",     "--quiet",  "--json"};
  const auto evaluate = [&](const std::string& name, std::initializer_list<std::string> more) {
    const Outcome outcome = run_program(with(with(words, {folder / name}), more));
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    return parse_lines(read(folder / name));
  };
  const auto stock = evaluate("callback.jsonl", {"--attachment", "callback", "--cells", "512"});
  const auto ours = evaluate("backend.jsonl", {});
  REQUIRE(stock.size() == 3);
  REQUIRE(ours.size() == 3);
  const json &full = stock[0], &h2o = stock[1], &streaming = stock[2];
  CHECK(full["quality"] == 1.0);
  CHECK(full["cells_final"].get<double>() > 900);
  CHECK(full["physical_saving"].get<double>() <= 0);
  CHECK(h2o["quality"] == 1.0);
  CHECK(streaming["quality"].get<double>() < 0.8);
  for (const json& record : {h2o, streaming}) {
    CHECK(record["attachment"] == "callback");
    CHECK(record["cells_allocated"] == 512);  // the text is twice as long: released cells were used again
    CHECK(record["cells_final"].get<double>() < full["cells_final"].get<double>() / 3);
    CHECK(record["cells_peak"].get<double>() <= 1100 * 0.25 + 128);
    CHECK(record["logical_saving"].get<double>() > 0.7);
    CHECK(record["kv_bytes_final"].get<double>() ==
          512 * full["kv_bytes_final"].get<double>() / full["cells_allocated"].get<double>());
    CHECK(record["physical_saving"].get<double>() > 0.4);
  }
  // a cache of ours keeps as many entries and answers as well
  CHECK(ours[1]["attachment"] == "backend");
  CHECK(ours[1]["entries_final"] == h2o["entries_final"]);
  CHECK(ours[1]["quality"] == h2o["quality"]);
  CHECK(!ours[1].contains("cells_final"));
}

TEST_CASE("run by callback: says what llama.cpp allocated and what is in use; --compare, too") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 2 == 0 ? "the " : "garden ";
  const std::vector<std::string> words = {"run",      "--model",    host, "--policy",     "h2o", "--budget",
                                          "25%",      "--interval", "64", "--max-tokens", "6",   "--attachment",
                                          "callback", "--prompt",   text, "--json"};
  const Outcome outcome = run_program(with(words, {folder / "run.json"}));
  CAPTURE(outcome.err, outcome.out);
  REQUIRE(outcome.code == 0);
  for (const char* part : {"allocated by llama.cpp", "in use", "logical saving"})
    CHECK(outcome.out.find(part) != std::string::npos);
  const json line = parse_lines(read(folder / "run.json")).at(0);
  CHECK(line["attachment"] == "callback");
  CHECK(line["cells_final"].get<double>() < 0.5 * line["prompt_tokens"].get<double>());
  CHECK(line["entries_final"].get<double>() < 0.5 * line["entries_full"].get<double>());
  CHECK(run_program(with(words, {folder / "compare.json", "--compare"})).code == 0);
  CHECK(parse_lines(read(folder / "compare.json")).size() == 4);
}

TEST_CASE("attachments that cannot be are refused") {
  NAMM_NEED_HOST(host);
  const auto refused = [&](std::initializer_list<std::string> more, int code, const std::vector<std::string>& parts) {
    check_refused(run_program(with({"run", "--model", host, "--policy", "knorm", "--budget", "25%", "--prompt", "a b c"}, more)),
                  code, parts);
  };
  refused({"--attachment", "gpu"}, 2, {"--attachment", "backend, device or callback", "gpu"});
  refused({"--cells", "512"}, 2, {"--cells", "512", "--attachment callback"});
  refused({"--gpu-layers", "-1"}, 2, {"--gpu-layers", "is -1"});
  refused({"--device", "CUDA0"}, 2, {"--device", "--gpu-layers 99"});
  refused({"--attachment", "device"}, 2, {"--attachment device", "--gpu-layers 99"});
  refused({"--attachment", "device", "--gpu-layers", "99", "--cells", "512"}, 2, {"--cells", "device", "is 512"});
  refused({"--attachment", "callback", "--mode", "pooled"}, 2, {"--mode", "uniform", "pooled", "--attachment backend"});
  refused({"--attachment", "callback", "--cells", "-1"}, 2, {"--cells", "is -1"});
  // with a llama.cpp built for a GPU this runs
  const Outcome offloaded = run_program({"run", "--model", host, "--policy", "knorm", "--budget", "25%", "--prompt", "a b c",
                                         "--attachment", "callback", "--gpu-layers", "9"});
  if (offloaded.code != 0) check_refused(offloaded, 1, {"--gpu-layers", "without a GPU backend", "is 9"});
}

TEST_CASE("layers go to a GPU, and the cache beside them if it is asked for") {
  NAMM_NEED_HOST(host);
  const Folder folder;
  std::string text;
  for (int i = 0; i < 120; ++i) text += "word" + std::to_string(i) + " ";
  const WithDevice emulated;
  const std::string policy = GENERATE(as<std::string>{}, "knorm", "namm");
  std::vector<json> records;
  for (const std::vector<std::string>& where : {std::vector<std::string>{},
                                                {"--gpu-layers", "99"},
                                                {"--gpu-layers", "99", "--device", "EMU0", "--attachment", "device"}}) {
    const std::string file = folder / ("run" + std::to_string(records.size()) + ".json");
    std::vector<std::string> words = {"run", "--model",      host, "--policy", policy, "--budget", "25%", "--interval",
                                      "64",  "--max-tokens", "6",  "--prompt", text,   "--json",   file};
    words.insert(words.end(), where.begin(), where.end());
    const Outcome outcome = run_program(words);
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 0);
    records.push_back(parse_lines(read(file)).at(0));
  }
  CHECK(records[1]["attachment"] == "backend");
  CHECK(records[2]["attachment"] == "device");
  for (const json& record : records) {
    CHECK(record["entries_final"] == records[0]["entries_final"]);
    CHECK(record["kv_bytes_final"].get<double>() < 0.7 * record["kv_bytes_full"].get<double>());
  }
  check_refused(run_program({"run", "--model", host, "--policy", "knorm", "--budget", "25%", "--prompt", "a b c", "--gpu-layers",
                             "99", "--attachment", "device", "--store", "q8_0"}),
                2, {"store", "device memory"});
  check_refused(run_program({"eval", "--model", host, "--policy", "kvzip", "--budget", "25%", "--gpu-layers", "99",
                             "--attachment", "device"}),
                2, {"kvzip", "--attachment backend"});
  check_refused(run_program({"run", "--model", host, "--policy", "knorm", "--budget", "25%", "--prompt", "a b c", "--gpu-layers",
                             "99", "--device", "CUDA7"}),
                1, {"--device", "CUDA7", "EMU0"});
}
