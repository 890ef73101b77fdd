#include <array>
#include <unordered_set>

#include "tasks/generators.hpp"
#include "tasks/needles.hpp"
#include "tasks/scores.hpp"

namespace namm::tasks {
namespace {

/// {city} and {value} stand for the names.
struct CityFact {
  std::string_view told, question, answer_start;
  bool year;
};
constexpr std::array kCityFacts = {
    CityFact{"The emblem of {city} is the {value}.", "What is the emblem of {city}?", "The emblem of {city} is the", false},
    CityFact{"The best-known product of {city} is its {value}.", "What is the best-known product of {city}?",
             "The best-known product of {city} is its", false},
    CityFact{"The main square of {city} is named after the {value}.", "What is the main square of {city} named after?",
             "The main square of {city} is named after the", false},
    CityFact{"The city of {city} was founded in {value}.", "When was the city of {city} founded?",
             "The city of {city} was founded in", true},
};
constexpr std::array<std::string_view, 20> kFirst = {"Bram", "Kel",  "Tor",  "Mar", "Os",  "Wen",  "Hal",  "Dun", "Pel", "Gar",
                                                     "Lind", "Ster", "Thor", "Vel", "Nor", "Alde", "Cray", "Fen", "Rus", "Yar"};
constexpr std::array<std::string_view, 20> kLast = {"field", "mouth", "haven", "wick",  "bury",  "ster",  "minster",
                                                    "dale",  "holm",  "gate",  "combe", "stead", "worth", "thorp",
                                                    "by",    "cliff", "brook", "more",  "burgh", "leigh"};
constexpr std::size_t kCities = 4;

std::string draw_city(Rng& rng, Split split) {
  for (;;) {
    std::string city(kFirst[rng.below(kFirst.size())]);
    city += kLast[rng.below(kLast.size())];
    if (split_of_needle(city) == split) return city;
  }
}
std::string filled(std::string_view form, std::string_view city, std::string_view value) {
  std::string text(form);
  if (const std::size_t at = text.find("{city}"); at != std::string::npos) text.replace(at, 6, city);
  if (const std::size_t at = text.find("{value}"); at != std::string::npos) text.replace(at, 7, value);
  return text;
}

/// Facts in prose: three facts each about four invented cities, scattered over the text as sentences of it; one is asked for.
/// Unlike the codes of `kv-recall`, they look like the rest of the text. No published definition. Score: `prefix`.
class CityFacts final : public RetrievalTask {
 public:
  using RetrievalTask::RetrievalTask;
  std::string_view name() const override { return "city-facts"; }

  Sample make(const SampleRequest& request, const TokenCounter& count_tokens) const override {
    Sample sample = start(request);
    Rng rng = needle_rng(request);
    std::unordered_set<std::string> used;
    const auto fresh = [&](auto draw) {
      std::string word = draw();
      while (!used.insert(word).second) word = draw();
      return word;
    };
    struct Told {
      const CityFact* fact;
      std::string city, value, text;
    };
    std::vector<Told> all;
    std::vector<Needle> needles;
    for (std::size_t c = 0; c < kCities; ++c) {
      const std::string city = fresh([&] { return draw_city(rng, request.split); });
      const std::size_t left_out = rng.below(kCityFacts.size());
      for (std::size_t f = 0; f < kCityFacts.size(); ++f) {
        if (f == left_out) continue;
        const CityFact& fact = kCityFacts[f];
        const std::string value =
            fresh([&] { return fact.year ? draw_year(rng, request.split) : draw_word(rng, request.split); });
        all.push_back({&fact, city, value, filled(fact.told, city, value)});
        needles.push_back({all.back().text, rng.fraction()});
      }
    }
    const Told& asked = all[rng.below(all.size())];
    const auto source = filler(request);
    sample.context = fill_context(name(), *source, needles, request.length_tokens, count_tokens, [&](std::string_view sentence) {
      for (const std::string& word : used)
        if (score_contains({&word, 1}, sentence) > 0) return true;
      return false;
    });
    sample.evidence = {extent_of(needles, asked.text)};
    sample.needle_offset = sample.evidence.front().offset;
    sample.question.append("\n\n").append(filled(asked.fact->question, asked.city, ""));
    sample.answer_prefix.append(" ").append(filled(asked.fact->answer_start, asked.city, ""));
    sample.answers = {asked.value};
    return sample;
  }

 private:
  static std::string draw_year(Rng& rng, Split split) {
    for (;;) {
      std::string year = std::to_string(rng.between(1100, 1899));
      if (split_of_needle(year) == split) return year;
    }
  }
};

}  // namespace

std::unique_ptr<Task> make_city_facts(std::shared_ptr<const Haystack> haystack) {
  return std::make_unique<CityFacts>(std::move(haystack));
}

}  // namespace namm::tasks
