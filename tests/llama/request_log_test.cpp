// Where requests begin and end, seen in the batches alone.
#include "adapters/llama_cpp/context/request_log.hpp"

#include "tests/check.hpp"

using namespace namm::llama;

namespace {

struct Watched {
  std::vector<Request> ended;
  RequestLog log{[this](const Request& request) { ended.push_back(request); }};
  double now = 0;
  void batch(const std::vector<BatchShare>& shares) {
    std::vector<SequenceUse> uses;
    for (const BatchShare& share : shares) {
      uses.emplace_back();
      uses.back().key = share.key;
      uses.back().tokens_seen = share.last + 1;
    }
    log.batch(
        shares, uses,
        [](std::int64_t key) {
          return Holder{static_cast<std::int32_t>(key) - 100, 1};
        },
        now, now + 1);
    now += 1;
  }
};

}  // namespace

TEST_CASE("a chat: prompts in chunks, generation, the next turn", "[llama]") {
  Watched w;
  w.batch({{100, 0, 0, 31}});
  w.batch({{100, 0, 32, 39}});
  for (int p = 40; p < 45; ++p) w.batch({{100, 0, p, p}});
  CHECK(w.ended.empty());
  w.batch({{100, 0, 45, 50}});  // the next turn
  REQUIRE(w.ended.size() == 1);
  CHECK(w.ended[0].sequence == 0);
  CHECK(w.ended[0].prompt_tokens == 40);
  CHECK(w.ended[0].reused_tokens == 0);
  CHECK(w.ended[0].generated_tokens == 5);
  CHECK(w.ended[0].cache.tokens_seen == 45);
  CHECK(w.ended[0].seconds == 7);
  w.batch({{100, 0, 51, 51}});
  w.batch({{100, 0, 20, 30}});  // cut, and another prompt
  REQUIRE(w.ended.size() == 2);
  CHECK(w.ended[1].prompt_tokens == 6);
  CHECK(w.ended[1].reused_tokens == 45);
  CHECK(w.ended[1].generated_tokens == 1);
  w.log.end_all();
  CHECK(w.ended.size() == 2);  // a prompt without generation is a probe
}

TEST_CASE("a request ends when others go on without it", "[llama]") {
  Watched w;
  w.batch({{100, 0, 0, 9}, {101, 0, 0, 4}});
  w.batch({{100, 0, 10, 10}, {101, 0, 5, 5}});
  for (int p = 6; p < 9; ++p) w.batch({{101, 0, p, p}});
  CHECK(w.ended.empty());  // a slow reader may still come back
  w.batch({{101, 0, 9, 9}});
  REQUIRE(w.ended.size() == 1);
  CHECK(w.ended[0].sequence == 0);
  w.batch({{102, 0, 0, 20}, {101, 0, 10, 10}});  // 102 reads a long prompt:
  w.batch({{101, 0, 11, 11}});                   // waiting for its next chunk is not the end
  w.batch({{102, 0, 21, 40}, {101, 0, 12, 12}});
  w.batch({{102, 0, 41, 41}, {101, 0, 13, 13}});
  CHECK(w.ended.size() == 1);
  w.log.end(101);
  REQUIRE(w.ended.size() == 2);
  CHECK(w.ended[1].generated_tokens == 9);
  w.log.end_all();
  REQUIRE(w.ended.size() == 3);
  CHECK(w.ended[2].prompt_tokens == 41);
}
