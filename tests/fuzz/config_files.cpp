// run.json and --config: a run as JSON.
#include <fstream>

#include "cli/options.hpp"
#include "cli/run_config.hpp"
#include "tests/fuzz/targets.hpp"

namespace namm::fuzz {
namespace {

namespace po = boost::program_options;

constexpr std::string_view kOfProcess[] = {"output"};

/// One of every type that commands have, and the groups that several share.
po::options_description options() {
  po::options_description out;
  out.add_options()("output,o", po::value<std::string>())("budget,b", po::value<std::string>()->default_value("25%"))(
      "population", po::value<int>()->default_value(0))("generations", po::value<std::int64_t>()->default_value(30))(
      "seed", po::value<std::uint64_t>()->default_value(1))("step-size", po::value<double>()->default_value(0))(
      "recency", po::value<float>()->default_value(1));
  cli::add_memory(out);
  cli::add_tasks(out, "512");
  cli::add_general(out);
  return out;
}

/// Read, put under the command line's words, checked, and written again: the same run.
void read_config(const std::filesystem::path& file) {
  static const po::options_description all = options();
  const cli::RunConfig config = cli::load_run_config(file, all, kOfProcess);
  for (std::size_t stage = 0; stage < config.stages.size(); ++stage) {
    const auto values = cli::parse({}, all, "namm evolve", "", {},
                                   [&](po::variables_map& given) { cli::apply_run_config(config, stage, all, given); });
    cli::memories_from(*values);
    cli::parse_budgets((*values)["budget"].as<std::string>());
    cli::run_config_of(*values, all, {}).dump();
  }
}

void write_configs(const std::filesystem::path& folder) {
  const auto write = [&](const char* name, const char* text) { std::ofstream(folder / name, std::ios::binary) << text; };
  write("plain", R"({"budget":"25%,64","mode":"pooled","interval":128,"seed":3,"step-size":0.3,"recency":0.5,"no-chat":true}
)");
  write("stages",
        R"({"tasks":["passkey","needle"],"stages":[{"generations":10},{"length":"300,600","quiet":false}],"isa":"scalar"}
)");
}

}  // namespace

Target config_target() {
  return {"config", read_config, write_configs};
}

}  // namespace namm::fuzz
