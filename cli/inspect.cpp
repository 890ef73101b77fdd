#include <algorithm>
#include <iostream>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/format.hpp"
#include "base/json_limits.hpp"
#include "cli/command.hpp"
#include "cli/file_facts.hpp"
#include "cli/options.hpp"
#include "report/table.hpp"

namespace namm::cli {
namespace {

using Facts = nlohmann::ordered_json;

std::string value_text(const std::string& name, const Facts& value) {
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return detail::one_line(value.get_ref<const std::string&>());
  if (value.is_null()) return "-";
  if (value.is_array()) {
    constexpr std::size_t kShown = 16;
    std::string out;
    for (std::size_t i = 0; i < std::min(value.size(), kShown); ++i)
      out.append(out.empty() ? "" : ", ").append(value_text(name, value[i]));
    if (value.size() > kShown) out.append(", … (").append(std::to_string(value.size())).append(" in all)");
    return out;
  }
  const std::string text = value.dump(-1, ' ', false, Facts::error_handler_t::replace);
  if (value.is_number() && name.find("bytes") != std::string::npos && value.get<double>() >= 1024)
    return text + " (" + format_bytes(value.get<double>()) + ")";
  return detail::one_line(text);
}

bool holds_objects(const Facts& value) {
  return value.is_array() && std::any_of(value.begin(), value.end(), [](const Facts& item) { return item.is_object(); });
}

/// Of `item` what is not the same in `first`.
Facts differing(const Facts& item, const Facts& first) {
  Facts out = Facts::object();
  for (const auto& [name, value] : item.items())
    if (!first.contains(name) || first[name] != value) out[name] = value;
  return out;
}

void print_facts(const Facts& facts, std::size_t indent);

/// The first of a list of objects, and in what the others differ from it.
void print_objects(const Facts& list, std::size_t indent) {
  std::cout << "  " << list.size() << '\n';
  for (std::size_t i = 0; i < list.size(); ++i) {
    const bool alike = i > 0 && list[i].is_object() && list[0].is_object();
    std::cout << std::string(indent, ' ') << i + 1 << (alike ? ", as 1 but for\n" : "\n");
    print_facts(alike ? differing(list[i], list[0]) : list[i], indent + 2);
  }
}

/// "  label   value" per field, objects indented below their label.
void print_facts(const Facts& facts, std::size_t indent) {
  std::size_t width = 0;
  for (const auto& [name, value] : facts.items())
    if (!value.is_object() && !holds_objects(value)) width = std::max(width, report::display_width(name));
  for (const auto& [name, value] : facts.items()) {
    std::string label = detail::one_line(name);
    std::replace(label.begin(), label.end(), '_', ' ');
    std::cout << std::string(indent, ' ') << label;
    if (holds_objects(value)) {
      print_objects(value, indent + 2);
    } else if (value.is_object()) {
      std::cout << (value.empty() ? "  -\n" : "\n");
      print_facts(value, indent + 2);
    } else {
      std::cout << std::string(width - std::min(width, report::display_width(label)) + 2, ' ') << value_text(name, value) << '\n';
    }
  }
}

}  // namespace

int run_inspect(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 100);
  const auto positional = add_files(options, "what to look at");
  options.add_options()("json", po::value<std::string>()->value_name("FILE"), "writes the same as JSON, one object per line");
  add_general(options);
  const auto values =
      parse(arguments, options, "namm inspect FILE... [options]",
            "Says what a file is: a model (GGUF; only the header is read) and whether a policy can be attached to it, a policy "
            "file or a policy's name (default, h2o, ...), the folder of a run, a calibration or a tuning, a checkpoint, a trace, "
            "results, or prompts.",
            positional);
  if (!values) return 0;
  apply_general(*values);
  std::string lines;
  bool failed = false, first = true;
  for (const std::string& file : files_from(*values)) {
    try {
      const Facts facts = file_facts(file);
      lines += facts.dump(-1, ' ', false, Facts::error_handler_t::replace) + "\n";
      if (!first) std::cout << '\n';
      first = false;
      print_facts(facts, 0);
    } catch (const std::exception& error) {
      std::cerr << "namm: " << detail::one_line(error.what()) << '\n';
      failed = true;
    }
  }
  if (values->contains("json")) {
    std::cout.flush();  // FILE may be /dev/stdout
    write_file_atomically((*values)["json"].as<std::string>(), lines);
  }
  return failed ? 1 : 0;
}

}  // namespace namm::cli
