#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.hpp"

namespace namm::cli {

/// A line as a shell takes it, `arguments` with `more` words behind them: what goes on where a command was stopped.
std::string again(std::string_view command, const std::vector<std::string>& arguments, const std::vector<std::string>& more);

/// While one command runs others (tune), how to go on is its own to say: in them says_how_to_go_on() is false.
class RunsOthers {
 public:
  RunsOthers();
  ~RunsOthers();
  RunsOthers(const RunsOthers&) = delete;
  RunsOthers& operator=(const RunsOthers&) = delete;
};
bool says_how_to_go_on();

/// Arguments that parse() has read, without these options and their values, however they were spelt (-o FILE, -oFILE,
/// --output=FILE).
std::vector<std::string> without(const std::vector<std::string>& arguments, const po::options_description& options,
                                 std::span<const std::string_view> dropped);

}  // namespace namm::cli
