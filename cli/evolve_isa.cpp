#include "cli/evolve_isa.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/json_limits.hpp"
#include "cli/run_config.hpp"
#include "kernels/isa.hpp"

namespace namm::cli {
namespace {

/// Of the run in a folder, whatever file --config names. Empty where there is none to be read: runs of before had none, and what
/// is wrong with the file is said where it is read as a config.
std::string isa_of_run(const std::filesystem::path& folder) {
  std::ifstream in(folder / "run.json", std::ios::binary);
  if (!in) return {};
  try {
    const nlohmann::json run = detail::parse_json(std::string(std::istreambuf_iterator<char>(in), {}));
    return run.is_object() && run.contains(kIsaField) ? run[kIsaField].get<std::string>() : std::string();
  } catch (const std::exception&) {
    return {};
  }
}

std::string remedy(const std::string& begun_with) {
  const std::vector<std::string>& here = kernels::isa_names();
  if (std::find(here.begin(), here.end(), begun_with) != here.end()) return "set NAMM_ISA=" + begun_with;
  return "this machine lacks " + begun_with + ": resume on one that has it, or begin a new run";
}

}  // namespace

void check_instruction_set(const EvolvePlan& plan) {
  const std::string here = kernels::isa_name();
  if (!plan.resume) {
    if (!plan.config_isa.empty() && plan.config_isa != here)
      spdlog::warn("--config: is of a run with the instruction set {}, this one uses {} and will not write the same bytes",
                   plan.config_isa, here);
    return;
  }
  const std::string begun_with = isa_of_run(plan.output);
  if (begun_with.empty() || begun_with == here) return;
  throw std::runtime_error("run '" + plan.output.string() + "': must go on with the instruction set it was begun with (" +
                           begun_with + "), this process uses " + here + "; " + remedy(begun_with));
}

}  // namespace namm::cli
