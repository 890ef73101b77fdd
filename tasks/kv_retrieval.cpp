#include "tasks/fit.hpp"
#include "tasks/generators.hpp"
#include "tasks/needles.hpp"

namespace namm::tasks {
namespace {

/// Key-value retrieval (InfiniteBench, arXiv 2402.13718, "Retrieve.KV", after Liu et al., arXiv 2307.03172): a JSON object of
/// random identifiers as keys and values; the value of one key is asked for. As many pairs as fit; the place of the asked one
/// is uniform. Score: `contains`.
class KvRetrieval final : public Task {
 public:
  std::string_view name() const override { return "kv-retrieval"; }
  int max_answer_tokens() const override { return 50; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start_sample(name(), request);
    sample.metric = "contains";
    Rng rng("kv-retrieval/needle", request.split, request.seed, request.index);
    const double depth = rng.fraction();
    std::vector<std::string> pairs;  // "key": "value"
    const auto text_of = [&](std::size_t count) {
      while (pairs.size() < count) {
        std::string pair = "\"";
        pair.append(draw_uuid(rng, request.split)).append("\": \"").append(draw_uuid(rng, request.split)).append("\"");
        pairs.push_back(std::move(pair));
      }
      std::string text = "Extract the value corresponding to the specified key in the JSON object below.\n\nJSON data:\n{";
      for (std::size_t i = 0; i < count; ++i) text.append(i == 0 ? "" : ", ").append(pairs[i]);
      return text + "}";
    };
    const std::size_t length = request.length_tokens;
    const std::size_t count =
        fit_size(length / 8 + 1, length / 64 + 1, length, [&](std::size_t size) { return count_tokens(text_of(size)); });
    if (count < 2) refuse_short(name(), length, "two pairs", count_tokens(text_of(2)));
    sample.context = text_of(count);
    const std::string asked = pairs[static_cast<std::size_t>(depth * static_cast<double>(count))];
    sample.needle_offset = sample.context.find(asked);
    sample.evidence = {{sample.needle_offset, asked.size()}};
    sample.question = "\n\nKey: " + asked.substr(0, 38);
    sample.answer_prefix = "\nThe value associated with the specified key is:";
    sample.answers = {asked.substr(40), asked.substr(41, 36)};  // in quotation marks, as in the object, and without
    return sample;
  }
};

}  // namespace

std::unique_ptr<Task> make_kv_retrieval(std::shared_ptr<const Haystack>) {
  return std::make_unique<KvRetrieval>();
}

}  // namespace namm::tasks
