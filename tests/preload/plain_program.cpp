// Uses llama.cpp's public API and nothing else: plain_program MODEL ACTION... Each action is one word:
//   streams:N  unified:N   a context with N sequences (first action; default unified:1)
//   fa:off  kv:q4_0  swa:full    before it: flash attention off, type of the cache, window layers with as many cells as others
//   eval:SEQ:COUNT:SEED    evaluates COUNT random tokens behind SEQ, in chunks of 32
//   step:SEQ:COUNT:SEED    the same one by one, each after a look at the newest logits, as one that samples does
//   branch:A,B,...:COUNT:SEED  COUNT steps of one token of each of these sequences, one batch each
//   turn:SEQ:COUNT:SEED    the same tokens, half of them in chunks and the others one by one
//   both:COUNT:SEED        COUNT tokens of sequences 0 and 1 in one batch each chunk, the same seed + sequence
//   together:COUNT:OWN:SEED    one batch: COUNT tokens that both have, then OWN of each
//   cut:SEQ:P  rm:SEQ  clear  copy:A:B[:END]  shift:SEQ  keep:SEQ  middle:SEQ:A:B
//   save:SEQ  load:SEQ     the state of a sequence, in memory (seq -1: of all), and its size on success
//   save_file:SEQ:PATH  load_file:SEQ:PATH    the same in a file, with the tokens 7 8 9
//   state_size             of the one saved last
//   damage:SEQ:COUNT:SEED  loads COUNT damaged copies of the saved state into SEQ and goes on with what was taken; prints how
//   many
//                          were refused
//   checkpoint:SEQ         the size of a partial state
//   logits                 prints the logits of the last token evaluated
//   min:SEQ  max:SEQ       prints the oldest and newest position
//   slow                   exiting takes two seconds more, from the end of what the program registered so far
//   leave                  exits without freeing anything
//   leave_decoding         the same while another thread evaluates
//   fork                   a child that exits at once, waited for
//   pause:MILLISECONDS
//   memory                 prints the anonymous resident memory in kB
// Prints a line per printing or failing action; an action that fails says "failed STATUS".
#include <llama.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Program {
  llama_model* model = nullptr;
  llama_context_params params = llama_context_default_params();
  llama_context* context = nullptr;
  std::vector<std::uint8_t> saved;
  bool evaluated = false;

  llama_memory_t memory() const { return llama_get_memory(context); }
  int vocabulary() const { return llama_vocab_n_tokens(llama_model_get_vocab(model)); }

  bool create(int sequences, bool unified) {
    params.n_ctx = 1024;
    params.n_batch = 256;
    params.n_ubatch = 64;
    params.n_seq_max = static_cast<std::uint32_t>(sequences);
    params.kv_unified = unified;
    params.n_threads = params.n_threads_batch = 1;
    context = llama_init_from_model(model, params);
    if (!context) std::puts("no context");
    return context;
  }

  std::vector<llama_token> tokens(int count, int seed) const {
    std::mt19937 draw(static_cast<unsigned>(seed));
    std::vector<llama_token> out;
    for (int i = 0; i < count; ++i) out.push_back(static_cast<llama_token>(draw() % static_cast<unsigned>(vocabulary())));
    return out;
  }

  void decode(const std::map<int, std::vector<llama_token>>& by_sequence) {
    llama_batch batch = llama_batch_init(512, 0, 1);
    for (const auto& [sequence, list] : by_sequence) {
      llama_pos position = llama_memory_seq_pos_max(memory(), sequence) + 1;
      for (const llama_token token : list) {
        const int i = batch.n_tokens++;
        batch.token[i] = token;
        batch.pos[i] = position++;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = sequence;
        batch.logits[i] = true;
      }
    }
    const int status = llama_decode(context, batch);
    llama_batch_free(batch);
    if (status != 0) std::printf("failed %d\n", status);
  }

  void evaluate(const std::vector<int>& sequences, int count, int seed, int chunk) {
    for (int at = 0; at < count; at += chunk) {
      if (chunk == 1 && evaluated) llama_get_logits_ith(context, -1);
      std::map<int, std::vector<llama_token>> batch;
      for (const int s : sequences) {
        const auto all = tokens(count, seed + s);
        batch[s].assign(all.begin() + at, all.begin() + std::min(count, at + chunk));
      }
      decode(batch);
      evaluated = true;
    }
  }

  /// One batch: `count` tokens that belong to sequences 0 and 1, then `own` of each.
  void begin_together(int count, int own, int seed) {
    llama_batch batch = llama_batch_init(512, 0, 2);
    const auto add = [&](llama_token token, llama_pos position, const std::vector<llama_seq_id>& sequences) {
      const int i = batch.n_tokens++;
      batch.token[i] = token;
      batch.pos[i] = position;
      batch.n_seq_id[i] = static_cast<std::int32_t>(sequences.size());
      std::copy(sequences.begin(), sequences.end(), batch.seq_id[i]);
      batch.logits[i] = true;
    };
    for (int i = 0; const llama_token token : tokens(count, seed)) add(token, i++, {0, 1});
    for (const int s : {0, 1})
      for (int i = count; const llama_token token : tokens(own, seed + 1 + s)) add(token, i++, {s});
    const int status = llama_decode(context, batch);
    llama_batch_free(batch);
    if (status != 0) std::printf("failed %d\n", status);
  }

  void take_turn(int sequence, int count, int seed) {
    const auto all = tokens(count, seed + sequence);
    for (int at = 0; at < count; at += at < count / 2 ? count / 2 : 1)
      decode({{sequence, {all.begin() + at, all.begin() + (at < count / 2 ? count / 2 : at + 1)}}});
  }

  void leave_decoding() {
    std::thread([this] {
      for (int seed = 0;; ++seed) {
        evaluate({0}, 200, seed, 32);
        llama_memory_seq_rm(memory(), 0, -1, -1);
      }
    }).detach();
    sleep_for(100);
    std::exit(0);
  }

  static void sleep_for(int milliseconds) { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }

  static void fork_and_wait() {
    const pid_t child = ::fork();
    if (child == 0) std::exit(0);
    int status = -1;
    if (::waitpid(child, &status, 0) != child || status != 0) std::printf("failed fork %d\n", status);
  }

  void print_logits() const {
    const float* const row = llama_get_logits_ith(context, -1);
    for (int i = 0; i < vocabulary(); ++i) std::printf("%s%.7g", i ? " " : "", static_cast<double>(row[i]));
    std::puts("");
  }

  void save(int sequence) {
    saved.resize(sequence < 0 ? llama_state_get_size(context) : llama_state_seq_get_size(context, sequence));
    const std::size_t written = sequence < 0 ? llama_state_get_data(context, saved.data(), saved.size())
                                             : llama_state_seq_get_data(context, saved.data(), saved.size(), sequence);
    if (written == 0 || written != saved.size()) std::puts("failed save");
  }

  void load(int sequence) {
    const std::size_t read = sequence < 0 ? llama_state_set_data(context, saved.data(), saved.size())
                                          : llama_state_seq_set_data(context, saved.data(), saved.size(), sequence);
    if (read == 0 || read != saved.size()) std::puts("failed load");
  }

  void load_damaged(int sequence, int count, int seed) {
    std::mt19937 draw(static_cast<unsigned>(seed));
    const std::vector<std::uint8_t> whole = saved;
    int refused = 0;
    for (int i = 0; i < count; ++i) {
      saved = whole;
      const std::size_t end = i % 2 ? saved.size() : std::min<std::size_t>(saved.size(), 4096);  // headers, or anywhere
      for (unsigned n = draw() % 4 + 1; n > 0; --n) saved[draw() % end] ^= static_cast<std::uint8_t>(1 + draw() % 255);
      if (i % 5 == 0) saved.resize(draw() % saved.size());
      const std::size_t read = llama_state_seq_set_data(context, saved.data(), saved.size(), sequence);
      refused += read == 0;
      if (read > 0) evaluate({sequence}, 2, i, 2);
      llama_memory_seq_rm(memory(), sequence, -1, -1);
    }
    saved = whole;
    std::printf("%d\n", refused);
  }

  void save_file(int sequence, const std::string& path) const {
    const llama_token tokens[] = {7, 8, 9};
    const std::size_t written = sequence < 0 ? llama_state_save_file(context, path.c_str(), tokens, 3)
                                             : llama_state_seq_save_file(context, path.c_str(), sequence, tokens, 3);
    if (written == 0) std::puts("failed save");
  }

  void load_file(int sequence, const std::string& path) const {
    llama_token tokens[4] = {};
    std::size_t count = 0;
    if (sequence >= 0 && (!llama_state_seq_load_file(context, path.c_str(), sequence, nullptr, 0, &count) || count != 3))
      return void(std::puts("failed count"));
    const std::size_t read = sequence < 0 ? llama_state_load_file(context, path.c_str(), tokens, 4, &count)
                                          : llama_state_seq_load_file(context, path.c_str(), sequence, tokens, 4, &count);
    if (read == 0 || count != 3 || tokens[2] != 9) std::puts("failed load");
  }

  static std::vector<int> list(const std::string& text) {
    std::vector<int> out;
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) out.push_back(std::stoi(word));
    return out;
  }

  void act(const std::vector<std::string>& words) {
    const auto n = [&](std::size_t i) { return std::stoi(words.at(i)); };
    const std::string& what = words[0];
    if (what == "eval") evaluate({n(1)}, n(2), n(3), 32);
    if (what == "step") evaluate({n(1)}, n(2), n(3), 1);
    if (what == "branch") evaluate(list(words[1]), n(2), n(3), 1);
    if (what == "turn") take_turn(n(1), n(2), n(3));
    if (what == "both") evaluate({0, 1}, n(1), n(2), 16);
    if (what == "together") begin_together(n(1), n(2), n(3));
    if (what == "cut" && !llama_memory_seq_rm(memory(), n(1), n(2), -1)) std::puts("failed cut");
    if (what == "rm" && !llama_memory_seq_rm(memory(), n(1), -1, -1)) std::puts("failed rm");
    if (what == "middle") std::puts(llama_memory_seq_rm(memory(), n(1), n(2), n(3)) ? "removed" : "not removed");
    if (what == "clear") llama_memory_clear(memory(), true);
    if (what == "keep") llama_memory_seq_keep(memory(), n(1));
    if (what == "copy") llama_memory_seq_cp(memory(), n(1), n(2), -1, words.size() > 3 ? n(3) : -1);
    if (what == "shift") llama_memory_seq_add(memory(), n(1), 4, -1, -2);
    if (what == "can_shift") std::printf("%d\n", llama_memory_can_shift(memory()));
    if (what == "save") save(n(1));
    if (what == "load") load(n(1));
    if (what == "damage") load_damaged(n(1), n(2), n(3));
    if (what == "save_file") save_file(n(1), words.at(2));
    if (what == "load_file") load_file(n(1), words.at(2));
    if (what == "state_size") std::printf("%zu\n", saved.size());
    if (what == "checkpoint")
      std::printf("%zu\n", llama_state_seq_get_size_ext(context, n(1), LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY));
    if (what == "slow") std::atexit([] { sleep_for(2000); });
    if (what == "leave") std::exit(0);
    if (what == "leave_decoding") leave_decoding();
    if (what == "fork") fork_and_wait();
    if (what == "pause") sleep_for(n(1));
    if (what == "min") std::printf("%d\n", llama_memory_seq_pos_min(memory(), n(1)));
    if (what == "max") std::printf("%d\n", llama_memory_seq_pos_max(memory(), n(1)));
    if (what == "logits") print_logits();
    if (what == "memory") {
      std::ifstream in("/proc/self/smaps_rollup");
      for (std::string word; in >> word;)
        if (word == "Anonymous:") {
          in >> word;
          std::puts(word.c_str());
        }
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  ggml_backend_load_all();  // GGML_BACKEND_PATH: a device for all layers and the cache
  Program program;
  llama_model_params model_params = llama_model_default_params();
  model_params.n_gpu_layers = std::getenv("GGML_BACKEND_PATH") ? 99 : 0;
  program.model = llama_model_load_from_file(argv[1], model_params);
  if (!program.model) return 3;
  program.params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  program.params.swa_full = false;
  for (int i = 2; i < argc; ++i) {
    std::vector<std::string> words;
    std::istringstream line(argv[i]);
    for (std::string word; std::getline(line, word, ':');) words.push_back(word);
    if (words[0] == "fa") {
      program.params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    } else if (words[0] == "swa") {
      program.params.swa_full = true;
    } else if (words[0] == "kv") {
      for (int t = 0; t < GGML_TYPE_COUNT; ++t)
        if (ggml_type_name(static_cast<ggml_type>(t)) && words[1] == ggml_type_name(static_cast<ggml_type>(t)))
          program.params.type_k = program.params.type_v = static_cast<ggml_type>(t);
    } else if (words[0] == "slow") {  // before anything of llama.cpp's, and ours, is registered
      program.act(words);
    } else if (words[0] == "streams" || words[0] == "unified") {
      if (!program.create(std::stoi(words[1]), words[0] == "unified")) return 4;
    } else {
      if (!program.context && !program.create(1, true)) return 4;
      program.act(words);
    }
  }
  if (program.context) llama_free(program.context);
  llama_model_free(program.model);
  return 0;
}
