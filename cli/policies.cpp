#include <algorithm>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "adapters/llama_cpp/model_key.hpp"
#include "base/json_limits.hpp"
#include "cli/command.hpp"
#include "cli/options.hpp"
#include "core/model_policies.hpp"
#include "report/table.hpp"

namespace namm::cli {
namespace {

namespace fs = std::filesystem;
using Kept = ModelPolicies::Kept;

std::string given(const po::variables_map& values, const char* name) {
  return values.contains(name) ? values[name].as<std::string>() : std::string();
}

/// --model or --key; "" if neither is given.
std::string key_from(const po::variables_map& values) {
  const std::string model = given(values, "model"), key = given(values, "key");
  if (!model.empty() && !key.empty()) throw std::invalid_argument("--model: must be given without --key; choose one");
  return model.empty() ? key : llama::model_key(model);
}

std::string need_key(const po::variables_map& values, const std::string& action) {
  const std::string key = key_from(values);
  if (key.empty())
    throw std::invalid_argument("policies " + action + ": --model FILE must be given, or --key of 'namm policies list'" +
                                (action == "export" ? ", or --file POLICY" : ""));
  return key;
}

/// What the options name: one, or with several refused and listed.
Kept one_from(const po::variables_map& values, const ModelPolicies& policies, const std::string& action) {
  const std::string name = given(values, "name"), key = need_key(values, action);
  std::vector<Kept> kept = policies.of(key);
  if (kept.empty()) throw std::runtime_error("policies: nothing is kept for this model; 'namm policies list' shows what is");
  std::string names;
  for (const Kept& one : kept) names.append(names.empty() ? "" : ", ").append(one.name);
  if (!name.empty()) std::erase_if(kept, [&](const Kept& one) { return one.name != name; });
  if (kept.size() != 1)
    throw std::invalid_argument("--name: must be one of " + names + (name.empty() ? ", is missing" : ", is \"" + name + "\""));
  return kept.front();
}

std::string text_of(const nlohmann::json& provenance, const char* field) {
  const auto found = provenance.find(field);
  return found != provenance.end() && found->is_string() ? detail::one_line(found->get_ref<const std::string&>()) : "-";
}

int list(const po::variables_map& values, const ModelPolicies& policies) {
  const std::string key = key_from(values);
  std::vector<std::vector<std::string>> rows;
  bool damaged = false;
  for (const Kept& kept : key.empty() ? policies.all() : policies.of(key)) {
    try {
      const PolicyFile file = load_policy_file(kept.file);
      rows.push_back({text_of(file.provenance, "model"), kept.name, std::string(to_string(file.selection.mode)),
                      to_string(file.selection.budget), text_of(file.provenance, "date"), kept.key});
    } catch (const std::exception& error) {
      std::cerr << "namm: " << detail::one_line(error.what()) << '\n';
      damaged = true;
    }
  }
  if (rows.empty())
    std::cout << "no policies are kept" << (key.empty() ? "" : " for this model")
              << "; 'namm calibrate --model FILE --output DIR' makes and keeps one\n";
  else
    report::print_table(std::cout, {"model", "name", "mode", "budget", "made", "key"}, rows, 6, report::TableFormat::text);
  return damaged ? 1 : 0;
}

int show(const po::variables_map& values, const ModelPolicies& policies) {
  return run_inspect({one_from(values, policies, "show").file.string()});
}

int export_to(const po::variables_map& values, const ModelPolicies& policies) {
  const std::string output = given(values, "output");
  if (output.empty()) throw std::invalid_argument("policies export: --output FILE must be given; for example --output own.json");
  std::error_code ignored;
  if (fs::exists(output, ignored)) throw std::runtime_error("--output " + output + ": must not exist, does; choose another name");
  const std::string file = given(values, "file");
  if (!file.empty() && (values.contains("model") || values.contains("key") || values.contains("name")))
    throw std::invalid_argument("--file: must be given without --model, --key and --name; choose the file or what is kept");
  save_policy_file(output, load_policy_file(file.empty() ? one_from(values, policies, "export").file : fs::path(file)));
  std::cout << "policy: " << output << '\n';
  return 0;
}

int add(const po::variables_map& values, const ModelPolicies& policies) {
  const std::string file = given(values, "file"), model = given(values, "model");
  if (file.empty() || model.empty())
    throw std::invalid_argument("policies add: --model FILE and --file POLICY must both be given");
  const std::string key = llama::model_key(model);
  PolicyFile policy = load_policy_file(file);
  if (!policy.provenance.contains("model")) policy.provenance["model"] = fs::path(model).filename().string();
  const std::string name = given(values, "name").empty() ? std::string(kCalibratedName) : given(values, "name");
  std::cout << "kept: " << policies.keep(key, name, policy, fs::path(file).extension().string()).file.string() << '\n';
  return 0;
}

int remove(const po::variables_map& values, const ModelPolicies& policies) {
  const Kept kept = one_from(values, policies, "remove");
  policies.remove(kept);
  std::cout << "removed: " << kept.file.string() << '\n';
  return 0;
}

struct Action {
  std::string_view name;
  int (*run)(const po::variables_map&, const ModelPolicies&);
};
constexpr Action kActions[] = {{"list", list}, {"show", show}, {"export", export_to}, {"add", add}, {"remove", remove}};

}  // namespace

int run_policies(const std::vector<std::string>& arguments) {
  po::options_description options("Options", 100);
  options.add_options()("action", po::value<std::string>()->default_value("list")->value_name("ACTION"),
                        "list, show, export (to --output, of what is kept or of --file), add (--file, for --model) or remove; "
                        "the name of the option may be left out")("model,m", po::value<std::string>()->value_name("FILE"),
                                                                  "the model, a GGUF file")(
      "key", po::value<std::string>()->value_name("KEY"), "of a model whose file is not at hand, as list prints it")(
      "name", po::value<std::string>()->value_name("NAME"), "calibrated, or tuned-B for the budget B (tuned-25%)")(
      "file", po::value<std::string>()->value_name("FILE"), "the policy to add, or to export in another form")(
      "output,o", po::value<std::string>()->value_name("FILE"),
      "where to export to; must not exist; in binary form if it ends in .safetensors");
  add_general(options);
  po::positional_options_description positional;
  positional.add("action", 1);
  const auto values =
      parse(arguments, options, "namm policies [list|show|export|add|remove] [options]",
            "The policies that were made for your models. `calibrate` and `tune` keep them in your data folder "
            "(XDG_DATA_HOME, else ~/.local/share), known by the content of the model's file, whatever its name.\n"
            "run, eval and attach use a model's own where no policy is named: the one tuned for the budget, else the calibrated "
            "one.",
            positional);
  if (!values) return 0;
  apply_general(*values);
  const std::string name = (*values)["action"].as<std::string>();
  for (const Action& action : kActions)
    if (action.name == name) return action.run(*values, ModelPolicies());
  throw std::invalid_argument("policies: must be followed by list, show, export, add or remove, is followed by \"" + name +
                              "\"; see --help");
}

}  // namespace namm::cli
