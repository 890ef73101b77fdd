// What users bring along or save on a server: prompts, slots, sessions.
#include <fstream>
#include <iterator>
#include <numeric>
#include <random>

#include "adapters/c/policy_sequence.hpp"
#include "adapters/llama_cpp/store/cache_store.hpp"
#include "adapters/preload/session_file.hpp"
#include "base/bytes.hpp"
#include "base/crc32c.hpp"
#include "tasks/prompt_file.hpp"
#include "tasks/scores.hpp"
#include "tests/fuzz/targets.hpp"
#include "tests/llama/mask.hpp"

namespace namm::fuzz {
namespace {

/// Scored by its own answer, too.
void read_prompts(const std::filesystem::path& file) {
  for (const tasks::Sample& sample : tasks::load_prompts(file))
    if (!sample.answers.empty())
      tasks::score_by_metric(sample.metric.empty() ? "contains" : sample.metric, sample.answers, sample.answers[0],
                             sample.choices);
}

void write_prompts(const std::filesystem::path& folder) {
  const auto write = [&](const char* name, const char* text) { std::ofstream(folder / name, std::ios::binary) << text; };
  write("own",
        R"({"context":"The key is 7.","question":"Which key?","answers":["7"],"answer_prefix":"It is","id":3,"metric":"contains"}
{"context":"plain"}
)");
  write(
      "longbench",
      R"({"input":"Who?","context":"It was he.","answers":["he"],"length":3,"dataset":"narrativeqa","language":"en","all_classes":null,"_id":"a"}
)");
  write(
      "longbench2",
      R"({"_id":"b","domain":"d","question":"Which?","choice_A":"1","choice_B":"2","choice_C":"3","choice_D":"4","answer":"B","context":"two"}
)");
  write("infinitebench", R"({"id":0,"context":"numbers","input":"What?","answer":["71432"],"options":[]}
)");
  write("text", "\xef\xbb\xbfPlain text, caf\xc3\xa9.\r\nTwo lines.\n");
}

// One layer of one head; the cells of the tokens that were saved.
constexpr int kSize = 4, kCells = 16, kTokens = 6;

/// A store with the one layer.
struct SmallStore {
  llama::CacheStore store{load_policy("h2o").with_budget("50%").with_interval(4).with_protection(1, 1)};
  SmallStore() { store.add_layer(&kCells, {0, 1, kSize, kSize}, kCells); }
};

llama::SavedRows saved_rows() {
  llama::SavedRows rows{&kCells, 0, {}};
  for (int cell = 0; cell < kTokens; ++cell) rows.cells.push_back(cell);
  return rows;
}

void read_slot(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  SmallStore small;
  llama::CacheStore& store = small.store;
  ByteReader reader(std::as_bytes(std::span(content)));
  const auto saved = store.read(reader);
  const llama::SavedRows rows = saved_rows();
  store.install(saved, std::span(&rows, 1));
  store.usage();
  store.update();
}

void write_slot(const std::filesystem::path& folder) {
  SmallStore small;
  llama::CacheStore& store = small.store;
  std::mt19937 draw(1);
  std::normal_distribution<float> normal;
  std::vector<float> rows(kTokens * kSize), output(rows.size());
  for (float& x : rows) x = normal(draw);
  std::vector<std::int32_t> own(kTokens);
  std::vector<std::int64_t> cells(kTokens);
  for (int i = 0; i < kTokens; ++i)
    own[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(cells[static_cast<std::size_t>(i)] = i);
  test::Mask mask(kTokens, kCells);
  mask.causal(own);
  store.write_keys(0, rows.data(), kSize, cells);
  store.write_values(0, rows.data(), kSize, cells.size());
  llama::AttentionCall call;
  call.queries = rows.data();
  call.output = output.data();
  call.query_token_stride = call.output_token_stride = call.query_head_stride = call.output_head_stride = kSize;
  call.query_heads = 1;
  call.queries_per_stream = kTokens;
  call.masks = {mask.view()};
  store.attend(0, call);
  const llama::SavedRows saved = saved_rows();
  const auto names = [](std::int64_t) { return llama::CacheStore::Names{0}; };
  ByteWriter size;
  store.save(size, std::span(&saved, 1), names);
  std::string bytes(size.count(), '\0');
  ByteWriter out(std::as_writable_bytes(std::span(bytes)));
  store.save(out, std::span(&saved, 1), names);
  std::ofstream(folder / "six-tokens", std::ios::binary) << bytes;
}

void read_session_file(const std::filesystem::path& file) {
  preload::read_session(file.string());
}

void write_session_file(const std::filesystem::path& folder) {
  preload::write_session((folder / "three").string(), {{1, 2, 3}, std::vector<std::byte>(40, std::byte{7})});
}

/// The checksum stands behind the mark, and is of all that follows it.
std::string repair_session(std::string content) {
  constexpr std::size_t mark = 8, checked = mark + sizeof(std::uint32_t);
  if (content.size() < checked) return content;
  const std::uint32_t right = crc32c(std::as_bytes(std::span(content)).subspan(checked));
  std::memcpy(content.data() + mark, &right, sizeof right);
  return content;
}

PolicySequence small_sequence() {
  return PolicySequence(load_policy("h2o").with_budget("50%").with_interval(4).with_protection(1, 1),
                        {{0, 2, kSize, kSize, 0}, {1, 1, kSize, kSize, 3}});
}

void read_sequence(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(in), {}};
  PolicySequence sequence = small_sequence();
  sequence.restore(std::as_bytes(std::span(content)));
  sequence.usage();
  sequence.update();
}

void write_sequence(const std::filesystem::path& folder) {
  PolicySequence sequence = small_sequence();
  std::vector<std::int32_t> positions(kTokens);
  std::iota(positions.begin(), positions.end(), 0);
  for (const int layer : {0, 1}) sequence.append(layer, positions, {});
  const std::vector<float> attention(kTokens, 1.0f / kTokens);
  for (const int head : {0, 1}) sequence.observe(0, head, attention, 1, kTokens, kTokens - 1);
  const std::vector<std::byte> saved = sequence.save();
  std::ofstream(folder / "six-tokens", std::ios::binary)
      .write(reinterpret_cast<const char*>(saved.data()), static_cast<std::streamsize>(saved.size()));
}

}  // namespace

Target sequence_target() {
  return {"sequence", read_sequence, write_sequence};
}
Target prompts_target() {
  return {"prompts", read_prompts, write_prompts};
}
Target slot_target() {
  return {"slot", read_slot, write_slot};
}
Target session_target() {
  return {"session", read_session_file, write_session_file, repair_session};
}

}  // namespace namm::fuzz
