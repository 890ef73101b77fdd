#include "eval/resume.hpp"

#include <stdexcept>
#include <tuple>

#include "base/json_limits.hpp"
#include "eval/record_file.hpp"

namespace namm::eval {
namespace {

nlohmann::json identity(const ResultRecord& r) {
  nlohmann::json out = r.settings;
  out["model"] = r.model;
  out["architecture"] = r.architecture;
  out["seed"] = r.seed;
  out["samples"] = r.samples;
  return out;
}

std::string shown(const nlohmann::json& object, const std::string& name) {
  return object.contains(name) ? detail::one_line(object[name].dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
                               : std::string("not told");
}

auto key(const ResultRecord& r) {
  return std::tie(r.policy, r.task, r.length_tokens, r.budget, r.mode, r.interval_tokens);
}

}  // namespace

EarlierResults::EarlierResults(const std::filesystem::path& path, const ResultRecord& common) : name_(path.string()) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return;
  records_ = load_unfinished_results(path);
  const nlohmann::json mine = identity(common);
  for (const ResultRecord& record : records_) {
    const nlohmann::json theirs = identity(record);
    if (theirs == mine) continue;
    nlohmann::json names = mine;
    names.update(theirs);
    for (const auto& [name, value] : names.items())
      if (shown(mine, name) != shown(theirs, name))
        throw std::runtime_error(name_ + ": must come from the same evaluation to be resumed, has \"" + name + "\" " +
                                 shown(theirs, name) + " where this one has " + shown(mine, name) +
                                 "; give the same options or another --json file");
  }
}

std::string EarlierResults::other_program(const ResultRecord& common) const {
  for (const ResultRecord& record : records_)
    if (record.version != common.version || record.commit != common.commit)
      return detail::one_line(record.version + " " + record.commit);
  return {};
}

const ResultRecord* EarlierResults::find(const ResultRecord& wanted) const {
  for (const ResultRecord& record : records_) {
    if (key(record) != key(wanted)) continue;
    if (record.memory != wanted.memory)
      throw std::runtime_error(name_ + ": must hold results of the same policies to be resumed, has others of " +
                               detail::one_line(wanted.policy) +
                               " (the policy, its statistics or --protect-... differ); give another --json file");
    return &record;
  }
  return nullptr;
}

}  // namespace namm::eval
