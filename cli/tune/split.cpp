#include "cli/tune/split.hpp"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include "base/atomic_file.hpp"
#include "base/json_fields.hpp"
#include "base/json_limits.hpp"
#include "cli/model_options.hpp"
#include "cli/tune/choice.hpp"
#include "eval/record_file.hpp"
#include "namm/cache_policy.hpp"

namespace namm::cli {
bool is_of_bytes(const Budget& budget) {
  return budget.unit == Budget::Unit::byte_fraction || budget.unit == Budget::Unit::mebibytes;
}

std::vector<std::string> compared_stores(const Budget& budget) {
  static const std::vector<std::string> of_bytes = {"f16", "q8_0", "q8_0+4means", "q8_0,q4_0", "q8_0,q4_0+4means", "q4_0"};
  static const std::vector<std::string> of_tokens = {"f16", "f16+4means"};
  const std::vector<std::string>& all = is_of_bytes(budget) ? of_bytes : of_tokens;
  std::vector<std::string> out;
  for (const std::string& store : all)
    if (why_not_held(budget, store).empty()) out.push_back(store);
  return out;
}

std::string why_not_held(const Budget& budget, const std::string& store) {
  CachePolicy held;
  held.selection.budget = budget;
  held.store = parse_row_formats(store);
  try {
    require_valid(held);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  if (budget.unit != Budget::Unit::fraction && budget.unit != Budget::Unit::byte_fraction) return {};
  // whatever holds more than its share could not be compared with what does not
  const double compression = usual_compression(held.store);
  const int needed = held.selection.sinks + held.selection.recent + tokens_of_means(held.store, compression);
  const std::int64_t tokens = budget.tokens(kShortestTuned, 0, 1, compression);
  if (tokens >= needed) return {};
  return "budget: must hold " + std::to_string(needed) + " tokens, the protected ones" +
         (held.store.means > 0 ? " and means" : "") + ", of a text of " + std::to_string(kShortestTuned) + " in " +
         to_string(held.store) + ", is " + to_string(budget) + " (" + std::to_string(tokens) +
         " tokens); raise it; calibrate and evolve take any";
}

std::string Way::name() const {
  return recency ? store : store + " without recency";
}

std::vector<Way> ways_of(const std::string& store) {
  std::vector<Way> out = {{store, true}};
  if (parse_row_formats(store).means > 0) out.push_back({store, false});
  return out;
}

int compared_passes(const Budget& budget) {
  int passes = 0;
  for (const std::string& store : compared_stores(budget)) passes += 1 + static_cast<int>(ways_of(store).size());
  return passes;
}

Split split_of(const Tuning& tuning, const std::string& store) {
  Split out;
  out.store = store;
  // the shapes of the cached layers show once a context is there
  const auto host = host_factory(llama::LlamaModel::load(tuning.model, tuning.offload), ModelOptions(), 64)();
  const double compression = host->description().compression(parse_row_formats(store));
  Budget budget = parse_budget(tuning.budget);
  if (budget.unit == Budget::Unit::byte_fraction) budget.unit = Budget::Unit::fraction, budget.value *= compression;
  if (budget.unit == Budget::Unit::mebibytes) {
    const std::int64_t heads = host->description().cached_heads();
    budget.value *= compression;
    // of 16 bits, into which the budget has just been turned
    out.holds_all =
        budget.tokens(kLongestTuned, host->description().bytes_per_token() / static_cast<double>(heads), heads) >= kLongestTuned;
  }
  if (budget.unit == Budget::Unit::fraction && budget.value >= 1) out.holds_all = true, budget.value = 1;
  out.budget = to_string(budget);
  return out;
}

Split choose_split(const Tuning& tuning) {
  nlohmann::json nat_of = nlohmann::json::object();
  Way best;
  for (const std::string& store : compared_stores(parse_budget(tuning.budget))) {
    const auto results = eval::load_results(tuning.split(store));
    for (const Way& way : ways_of(store)) {
      const auto changes = changes_of(results, tuning.fitted(way.recency).string());
      if (changes.empty())
        throw std::runtime_error(tuning.split(store).string() + ": must have results of " + tuning.fitted(way.recency).string() +
                                 ", has not; begin another tuning");
      nat_of[way.name()] = mean_of(changes);
      if (best.store.empty() || nat_of[way.name()] > nat_of[best.name()]) best = way;
    }
  }
  Split out = split_of(tuning, best.store);
  out.recency = best.recency;
  out.nat_of = std::move(nat_of);
  return out;
}

void save_split(const Tuning& tuning, const Split& split) {
  const nlohmann::json content = {{"store", split.store},
                                  {"recency", split.recency},
                                  {"budget", split.budget},
                                  {"holds_all", split.holds_all},
                                  {"nat", split.nat_of}};
  write_file_atomically(tuning.split_file(), content.dump(1) + "\n");
}

Split recorded_split(const Tuning& tuning) {
  Split out;
  out.budget = tuning.budget;
  std::ifstream in(tuning.split_file(), std::ios::binary);
  if (!in) {
    if (tuning.store == kDefaultStore) return out;
    out = tuning.store == kAutoStore ? choose_split(tuning) : split_of(tuning, tuning.store);
    save_split(tuning, out);
    return out;
  }
  const nlohmann::json content = detail::try_json(std::string(std::istreambuf_iterator<char>(in), {}));
  try {
    if (!content.is_object()) throw std::invalid_argument("must be a JSON object, is something else, cut off or damaged");
    const detail::JsonFields fields(content, "");
    out.store = to_string(parse_row_formats(fields.text("store")));
    if (fields.has("recency")) out.recency = fields.boolean("recency");  // earlier versions had none without
    out.budget = to_string(parse_budget(fields.text("budget")));
    out.holds_all = fields.boolean("holds_all");
    out.nat_of = fields.need("nat");
  } catch (const std::exception& error) {
    const std::string why = error.what();
    throw std::runtime_error(tuning.split_file().string() + ": " + why.substr(0, why.find(';')) + "; delete it and resume");
  }
  return out;
}

}  // namespace namm::cli
