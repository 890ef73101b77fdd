#include "tasks/random.hpp"
#include "tests/check.hpp"
#include "tests/tasks/samples.hpp"

using namespace namm::tasks;
using namespace namm::tasks::testing;

TEST_CASE("The random streams are the same on every machine", "[tasks]") {
  CHECK(mix64(0) == 0xE220A8397B1DCDAFULL);  // the first output of SplitMix64 from state 0
  Rng rng("test", Split::train, 1, 2);
  const std::uint64_t first = rng.between(0, 999'999'999);
  Rng again("test", Split::train, 1, 2);
  CHECK(again.between(0, 999'999'999) == first);
  for (Rng other : {Rng("tesu", Split::train, 1, 2), Rng("test", Split::test, 1, 2), Rng("test", Split::train, 2, 1)})
    CHECK(other.between(0, 999'999'999) != first);
}

// Published host models are trained on these texts: a change of format makes them worse at the tasks. If a change is meant,
// the models under experiments/hosts/ have to be trained again, and then the numbers here be replaced.
TEST_CASE("The formats of the tasks stay as they are", "[tasks]") {
  struct Stored {
    const char* task;
    Split split;
    std::uint64_t seed, index;
    std::size_t length;
    std::uint64_t hash;
  };
  const Stored stored[] = {
      {"passkey", Split::train, 0, 0, 512, 0xB20F9D6A65CFCD7B},
      {"passkey", Split::test, 7, 123, 2000, 0x76EB17CAA3E78F4F},
      {"niah-single", Split::train, 0, 0, 512, 0xDAF4C9C9EAACA951},
      {"niah-single", Split::validation, 7, 123, 2000, 0xF799EF305AB6EE49},
      {"kv-recall", Split::train, 0, 0, 512, 0xF3E44EBA1560CB97},
      {"kv-recall", Split::test, 7, 123, 2000, 0x29E909B372874F15},
      {"niah-single-1", Split::test, 7, 123, 1500, 0x43E711A094B488D8},
      {"niah-single-2", Split::test, 7, 123, 1500, 0x613CDBFD63E7DF58},
      {"niah-single-3", Split::test, 7, 123, 1500, 0xE87753CF000B40E2},
      {"niah-multikey-1", Split::test, 7, 123, 1500, 0xFF957AC76927B509},
      {"niah-multikey-2", Split::test, 7, 123, 1500, 0xA8FA5C0C1030C314},
      {"niah-multikey-3", Split::test, 7, 123, 1500, 0xEABDFA3DDDEF3ED0},
      {"niah-multivalue", Split::test, 7, 123, 1500, 0xB21AC477BA08AAC4},
      {"niah-multiquery", Split::test, 7, 123, 1500, 0xA6D23A4262D13A03},
      {"vt", Split::test, 7, 123, 1500, 0xC50255A738131297},
      {"cwe", Split::test, 7, 123, 1500, 0x7237D561664B8741},
      {"fwe", Split::test, 7, 123, 1500, 0xA9DACB5E37C3672E},
      {"number-string", Split::test, 7, 123, 1500, 0x8FC0F935EF8E4720},
      {"kv-retrieval", Split::test, 7, 123, 1500, 0x4A80EEE032C1A87F},
      {"passage-retrieval", Split::test, 7, 123, 1500, 0xE500D4D27382D863},
      {"passage-count", Split::test, 7, 123, 1500, 0x8092DDE3A6319556},
      {"code-completion", Split::test, 7, 123, 1500, 0xAF465202AE9858E6},
      {"code-retrieval", Split::test, 7, 123, 1500, 0xF4D373FB510E2580},
      {"multi-turn", Split::test, 7, 123, 1500, 0xE2E38902E0B2C076},
      {"city-facts", Split::test, 7, 123, 1500, 0x1D9834C748AD6075},
      {"text", Split::test, 7, 123, 1500, 0x30D44A0CF80020D9},
  };
  for (const Stored& s : stored) {
    INFO(s.task << " " << to_string(s.split) << " " << s.length);
    const Sample sample = make_sample(s.task, s.split, s.seed, s.index, s.length);
    CHECK(hash_text(all_text(sample)) == s.hash);
  }
}

TEST_CASE("The same request gives the same prompt, another gives another", "[tasks]") {
  for (const TaskEntry& entry : task_registry()) {
    INFO(entry.name);
    const Sample sample = make_sample(entry.name, Split::train, 3, 4);
    CHECK(all_text(make_sample(entry.name, Split::train, 3, 4)) == all_text(sample));
    CHECK(make_sample(entry.name, Split::train, 3, 5).context != sample.context);
    CHECK(make_sample(entry.name, Split::train, 4, 4).context != sample.context);
    CHECK(make_sample(entry.name, Split::test, 3, 4).context != sample.context);
    CHECK(sample.id == std::string(entry.name) + "/train/3/4");
    CHECK(sample.task == entry.name);
  }
}

TEST_CASE("A longer prompt asks for the same needle", "[tasks]") {
  for (const char* task : {"passkey", "niah-single"}) {
    const Sample brief = make_sample(task, Split::test, 1, 9, 200);
    const Sample longer = make_sample(task, Split::test, 1, 9, 3000);
    CHECK(brief.answers == longer.answers);
    CHECK(brief.question == longer.question);
  }
}
